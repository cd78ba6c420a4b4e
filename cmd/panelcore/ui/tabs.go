package ui

import (
	"crypto/sha256"
	"net/url"
	"sync"
	"time"
)

const (
	tabIdle = time.Hour // as a session
	maxTabs = 10_000
	maxSeen = 50 // lists whose place is remembered
)

// tabs is what pages remember of a session beyond what the core does: the place
// in a list that one comes back to, and what happened, until it has been shown.
type tabs struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*tab // by the hash of the session's id
}

type tab struct {
	mu     sync.Mutex
	used   time.Time // guarded by tabs.mu
	seen   map[string]string
	notice *notice
}

func newTabs(now func() time.Time) *tabs {
	return &tabs{now: now, all: map[[sha256.Size]byte]*tab{}}
}

func (t *tabs) of(session string) *tab {
	key := sha256.Sum256([]byte(session))
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	o := t.all[key]
	if o == nil {
		if len(t.all) >= maxTabs {
			t.makeRoom(now)
		}
		o = &tab{seen: map[string]string{}}
		t.all[key] = o
	}
	o.used = now
	return o
}

// makeRoom forgets what no session has any more, and where that is nothing one.
func (t *tabs) makeRoom(now time.Time) {
	for key, o := range t.all {
		if now.Sub(o.used) >= tabIdle {
			delete(t.all, key)
		}
	}
	for key := range t.all {
		if len(t.all) < maxTabs {
			return
		}
		delete(t.all, key)
	}
}

func (t *tabs) forget(session string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, sha256.Sum256([]byte(session)))
}

// leave keeps the query with which a list was last seen.
func (t *tab) leave(list, query string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.seen[list]; !ok && len(t.seen) >= maxSeen {
		clear(t.seen)
	}
	t.seen[list] = query
}

// place returns the query with which a list was last seen.
func (t *tab) place(list string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[list]
}

// rewind goes to the first page of a list, whose rows have become others.
func (t *tab) rewind(list string) {
	q, err := url.ParseQuery(t.place(list))
	if err != nil {
		return
	}
	q.Del("p_num")
	t.leave(list, q.Encode())
}

// tell keeps a notice for the next page.
func (t *tab) tell(n *notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notice = n
}

// told returns the notice that is to be shown, once.
func (t *tab) told() *notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.notice
	t.notice = nil
	return n
}
