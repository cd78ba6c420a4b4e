package core

import (
	"maps"
	"sync"
	"time"
)

const (
	guessWindow    = 10 * time.Minute
	addressGuesses = 30                  // wrong passwords from one address within the window
	nameGuesses    = 10                  // for one user name, from all addresses where the user has not logged in before
	knownFor       = 30 * 24 * time.Hour // how long an address counts as one where the user has logged in
	maxGuesses     = 20_000              // entries of each kind that are kept
)

// attempts bounds how often passwords can be guessed. A wrong one counts for the
// address and for the user name. At an address where the user has logged in
// before it counts for the two together and for nothing else, so that nobody
// can lock a user out by guessing from elsewhere.
type attempts struct {
	now   func() time.Time
	mu    sync.Mutex
	wrong map[attemptKey]guesses
	known map[attemptKey]time.Time // pairs that got in, and when last
}

// An attemptKey is an address, a user name, or both.
type attemptKey struct{ address, name string }

type guesses struct {
	until time.Time // then they are forgotten
	count int
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, wrong: map[attemptKey]guesses{}, known: map[attemptKey]time.Time{}}
}

// wait says how long no guess is allowed for name from address; 0 for not at all.
func (a *attempts) wait(address, name string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for _, k := range a.keys(now, address, name) {
		if g := a.wrong[k]; g.count >= limitOf(k) {
			wait = max(wait, g.until.Sub(now))
		}
	}
	return wait
}

// failed counts a wrong password.
func (a *attempts) failed(address, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for _, k := range a.keys(now, address, name) {
		g, ok := a.wrong[k]
		if !now.Before(g.until) {
			if !ok && len(a.wrong) >= maxGuesses {
				makeRoom(a.wrong, func(g guesses) bool { return !now.Before(g.until) })
			}
			g = guesses{until: now.Add(guessWindow)}
		}
		g.count++
		a.wrong[k] = g
	}
}

// succeeded remembers that the user has logged in from there.
func (a *attempts) succeeded(address, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if len(a.known) >= maxGuesses {
		makeRoom(a.known, func(at time.Time) bool { return now.Sub(at) >= knownFor })
	}
	a.known[attemptKey{address, name}] = now
}

// keys are what a guess counts for.
func (a *attempts) keys(now time.Time, address, name string) []attemptKey {
	pair := attemptKey{address, name}
	if at, ok := a.known[pair]; ok && now.Sub(at) < knownFor {
		return []attemptKey{pair}
	}
	return []attemptKey{{address: address}, {name: name}}
}

func limitOf(k attemptKey) int {
	if k.name == "" {
		return addressGuesses
	}
	return nameGuesses
}

// makeRoom forgets what is over, and where that is little so many of the rest that
// it need not look again soon.
func makeRoom[V any](m map[attemptKey]V, over func(V) bool) {
	maps.DeleteFunc(m, func(_ attemptKey, v V) bool { return over(v) })
	for k := range m {
		if len(m) <= maxGuesses*3/4 {
			return
		}
		delete(m, k)
	}
}
