package core

import (
	"fmt"
	"testing"
	"time"
)

func TestGuessesAreForgottenWithTheirWindow(t *testing.T) {
	clock := &clock{time.Unix(1_000_000, 0)}
	a := newAttempts(clock.Now)
	for range nameGuesses - 1 {
		a.failed("192.0.2.1", "u")
	}
	if a.wait("192.0.2.2", "u") != 0 {
		t.Fatal("refused before there were too many")
	}
	clock.now = clock.now.Add(guessWindow - time.Second)
	a.failed("192.0.2.1", "u")
	if got := a.wait("192.0.2.2", "u"); got != time.Second {
		t.Errorf("wait of %v; the window began with the first", got)
	}
	if a.wait("192.0.2.2", "v") != 0 || a.wait("192.0.2.1", "v") != 0 {
		t.Error("others wait too")
	}
	clock.now = clock.now.Add(time.Second)
	if a.wait("192.0.2.2", "u") != 0 {
		t.Error("not forgotten")
	}
	a.failed("192.0.2.1", "u")
	if g := a.wrong[attemptKey{name: "u"}]; g.count != 1 {
		t.Errorf("the next window begins with %d", g.count)
	}
}

func TestKnownAddressCountsForItself(t *testing.T) {
	clock := &clock{time.Unix(1_000_000, 0)}
	a := newAttempts(clock.Now)
	a.succeeded("192.0.2.1", "u")
	for range 100 {
		a.failed("192.0.2.9", "u")
	}
	if a.wait("192.0.2.1", "u") != 0 {
		t.Error("locked out from elsewhere")
	}
	for range nameGuesses {
		a.failed("192.0.2.1", "u")
	}
	if a.wait("192.0.2.1", "u") == 0 {
		t.Error("guesses from a known address have no end")
	}
	if a.wait("192.0.2.1", "v") != 0 {
		t.Error("they count for the whole address")
	}
	clock.now = clock.now.Add(knownFor)
	for range nameGuesses {
		a.failed("192.0.2.9", "u")
	}
	if a.wait("192.0.2.1", "u") == 0 {
		t.Error("an address is known for ever")
	}
}

func TestMemoryOfGuessesIsBounded(t *testing.T) {
	clock := &clock{time.Unix(1_000_000, 0)}
	a := newAttempts(clock.Now)
	for i := range maxGuesses {
		a.failed(fmt.Sprint(i), fmt.Sprint(i))
		a.succeeded(fmt.Sprint("k", i), "u")
	}
	a.succeeded("one more", "u")
	if len(a.wrong) > maxGuesses || len(a.known) > maxGuesses {
		t.Errorf("%d guesses, %d known", len(a.wrong), len(a.known))
	}
	clock.now = clock.now.Add(guessWindow)
	for i := range maxGuesses / 2 {
		a.failed(fmt.Sprint("later", i), "v")
	}
	if len(a.wrong) > maxGuesses {
		t.Errorf("%d are kept past their window", len(a.wrong))
	}
}
