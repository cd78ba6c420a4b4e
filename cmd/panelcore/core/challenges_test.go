package core

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestChallengesAreBoundedForEachModule(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := newChallenges(func() time.Time { return now })
	a, b := &module{}, &module{}
	for i := range maxChallenges {
		if err := c.put(a, fmt.Sprint(i), "x"); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := c.put(a, "more", "x"); !errors.Is(err, errChallenges) {
		t.Error(err)
	}
	if err := c.put(a, "0", "y"); err != nil {
		t.Errorf("one that is there again: %v", err)
	}
	if err := c.put(b, "theirs", "x"); err != nil {
		t.Errorf("another module: %v", err)
	}
	if err := c.put(b, "0", "x"); !errors.Is(err, errOtherChallenge) {
		t.Errorf("another module's token: %v", err)
	}
	c.remove(b, "0")
	if got, ok := (&Core{challenges: c}).ChallengeAnswer("0"); got != "y" || !ok {
		t.Errorf("another module changed it: %q %v", got, ok)
	}
	now = now.Add(challengeAge)
	if err := c.put(b, "0", "x"); err != nil || len(c.byToken) != 1 {
		t.Errorf("after an hour: %v, %d kept", err, len(c.byToken))
	}
}
