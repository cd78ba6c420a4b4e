package core

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	loginMemory = time.Minute // how long a checked password is remembered
	maxLogins   = 10_000      // how many are
)

// logins checks passwords, and remembers each that was right for a minute, so
// that a script which sends it with every call pays its hash once. What is
// remembered is a keyed hash under a key that lives as long as the process.
type logins struct {
	now     func() time.Time
	hashing *hashing
	key     []byte

	flight singleflight.Group // callers with one password at once pay for one hash
	mu     sync.RWMutex
	seen   map[string]login
}

type login struct {
	mac   [sha256.Size]byte
	hash  string // of the user when the password was checked: another password, another hash
	until time.Time
}

func newLogins(now func() time.Time, h *hashing) *logins {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return &logins{now: now, hashing: h, key: key, seen: map[string]login{}}
}

// check says whether password is u's. u is nil for a name that nobody has, which
// costs as much as a wrong password.
func (l *logins) check(ctx context.Context, u *user, name, password string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	mac := l.mac(name, password)
	hash := ""
	if u != nil {
		hash = u.hash
		l.mu.RLock()
		seen, ok := l.seen[name]
		l.mu.RUnlock()
		if ok && seen.hash == hash && l.now().Before(seen.until) && hmac.Equal(seen.mac[:], mac[:]) {
			return true, nil
		}
	}
	// The first caller's hanging up must not fail the others.
	ctx = context.WithoutCancel(ctx)
	right, err, _ := l.flight.Do(string(mac[:])+hash, func() (any, error) {
		return l.hashing.verify(ctx, hash, password)
	})
	if err != nil || !right.(bool) {
		return false, err
	}
	l.remember(name, login{mac: mac, hash: hash, until: l.now().Add(loginMemory)})
	return true, nil
}

func (l *logins) mac(name, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, l.key)
	h.Write(binary.AppendUvarint(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

func (l *logins) remember(name string, seen login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.seen[name]; !ok && len(l.seen) >= maxLogins {
		l.makeRoom()
	}
	l.seen[name] = seen
}

// makeRoom forgets what has run out, and one more where that is nothing.
func (l *logins) makeRoom() {
	now, before := l.now(), len(l.seen)
	for name, seen := range l.seen {
		if !now.Before(seen.until) {
			delete(l.seen, name)
		}
	}
	for name := range l.seen {
		if len(l.seen) < before {
			return
		}
		delete(l.seen, name)
	}
}
