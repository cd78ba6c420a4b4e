package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/rpc/wire"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// newTestLogins returns logins in which a hash that has to wait is given up, so
// that a test which holds the only place sees who needs one.
func newTestLogins(t *testing.T) (*logins, *clock, *user) {
	t.Helper()
	h := newHashing(1, 20*time.Millisecond)
	hash, err := h.hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Unix(1_000_000, 0)}
	return newLogins(c.Now, h), c, &user{User: wire.User{Name: "u", Active: true}, hash: hash}
}

func isBusy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Type == typeBusy
}

func TestCheckedPasswordIsRememberedForAMinute(t *testing.T) {
	l, clock, u := newTestLogins(t)
	check := func(u *user, password string) (bool, error) { return l.check(t.Context(), u, "u", password) }
	if right, err := check(u, "right"); !right || err != nil {
		t.Fatal(right, err)
	}
	l.hashing.slots <- struct{}{} // from here on whatever needs a hash is busy
	clock.now = clock.now.Add(time.Minute - 1)
	if right, err := check(u, "right"); !right || err != nil {
		t.Error("not remembered:", right, err)
	}
	if right, err := check(u, "wrong"); right || !isBusy(err) {
		t.Error("a wrong password was not hashed:", right, err)
	}
	other := *u
	other.hash = strings.Replace(u.hash, "$v=19$", "$v=19$", 1) + "A"
	if right, err := check(&other, "right"); right || !isBusy(err) {
		t.Error("remembered over a change of the password:", right, err)
	}
	clock.now = clock.now.Add(1)
	if right, err := check(u, "right"); right || !isBusy(err) {
		t.Error("remembered for more than a minute:", right, err)
	}
}

func TestUnknownUserCostsAHash(t *testing.T) {
	l, _, u := newTestLogins(t)
	for _, c := range []struct {
		u        *user
		password string
	}{{nil, "right"}, {u, "wrong"}, {&user{User: u.User}, "right"}, {&user{User: u.User, hash: "$argon2id$nonsense"}, ""}} {
		if right, err := l.check(t.Context(), c.u, "u", c.password); right || err != nil {
			t.Error(right, err)
		}
	}
	l.hashing.slots <- struct{}{}
	if _, err := l.check(t.Context(), nil, "nobody", "x"); !isBusy(err) {
		t.Error("no hash for an unknown user:", err)
	}
	if right, err := l.check(t.Context(), u, "u", strings.Repeat("x", maxPassword+1)); right || err != nil {
		t.Error("a password longer than any was hashed:", right, err)
	}
}

// TestCallersAtOncePayForOneHash: 64 callers with a place for one hash and hardly
// any patience all get in.
func TestCallersAtOncePayForOneHash(t *testing.T) {
	l, _, u := newTestLogins(t)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if right, err := l.check(t.Context(), u, "u", "right"); !right || err != nil {
				t.Error(right, err)
			}
		})
	}
	wg.Wait()
}

func TestMemoryOfPasswordsIsBounded(t *testing.T) {
	l, clock, _ := newTestLogins(t)
	for i := range maxLogins + 10 {
		l.remember(fmt.Sprint(i), login{until: clock.now.Add(time.Minute)})
	}
	if len(l.seen) != maxLogins {
		t.Errorf("%d are remembered", len(l.seen))
	}
	clock.now = clock.now.Add(time.Minute)
	l.remember("new", login{until: clock.now.Add(time.Minute)})
	if len(l.seen) != 1 {
		t.Errorf("%d are remembered after a minute", len(l.seen))
	}
}

func TestHashIsPHC(t *testing.T) {
	h := newHashing(1, time.Second)
	a, err := h.hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || a == b {
		t.Errorf("%s and %s", a, b)
	}
	// From the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := h.verify(t.Context(), reference, "password"); !ok || err != nil {
		t.Error("reference hash:", ok, err)
	}
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA", "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
	} {
		if ok, err := h.verify(context.Background(), bad, ""); ok || err != nil {
			t.Errorf("%s: %v %v", bad, ok, err)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	clock := &clock{time.Unix(1_000_000, 0)}
	s := newSessions(clock.Now)
	first := s.open("u", "u", sessionKey{})
	for range maxUserSessions {
		clock.now = clock.now.Add(time.Second)
		s.open("u", "u", sessionKey{})
	}
	if _, _, ok := s.use(first); ok {
		t.Error("the oldest session is still there")
	}
	if len(s.all) != maxUserSessions {
		t.Errorf("%d sessions", len(s.all))
	}
	clock.now = clock.now.Add(sessionIdle)
	oldest := sessionKey(sha256.Sum256([]byte(s.open("v", "v", sessionKey{}))))
	if len(s.all) != 1 {
		t.Errorf("%d sessions after an hour", len(s.all))
	}
	for i := range maxSessions - 1 {
		s.all[sha256.Sum256([]byte{byte(i), byte(i >> 8)})] = &session{real: fmt.Sprint(i), used: clock.now.Add(1)}
	}
	s.open("w", "w", sessionKey{})
	if _, ok := s.all[oldest]; ok || len(s.all) != maxSessions {
		t.Errorf("%d sessions of many users; the oldest is there: %v", len(s.all), ok)
	}
}

func TestTextsStandInBothLanguages(t *testing.T) {
	for key, en := range texts["en"] {
		ru, ok := texts["ru"][key]
		if !ok || strings.Count(en, "%") != strings.Count(ru, "%") {
			t.Errorf("%s: en %q, ru %q", key, en, ru)
		}
	}
	if len(texts["en"]) != len(texts["ru"]) {
		t.Errorf("%d texts in English, %d in Russian", len(texts["en"]), len(texts["ru"]))
	}
}
