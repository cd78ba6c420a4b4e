package core

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	sessionIdle     = time.Hour // a session ends when it was not used for so long
	maxSessions     = 10_000
	maxUserSessions = 100 // of one real user; opening another ends the one unused for longest
)

// sessionKey is what a session is stored under: a hash of its id, so that a look
// into the memory yields no id to use.
type sessionKey [sha256.Size]byte

// A session is a login that holds over calls.
type session struct {
	real string // who logged in
	user string // whom the session runs as
	used time.Time

	filters map[filterKey]map[string]string // kept parameters; replaced whole, never changed
}

// A filterKey is a function whose filter is kept, for one of the users that a
// session may run as.
type filterKey struct{ function, user string }

type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[sessionKey]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[sessionKey]*session{}}
}

// open begins a session and returns its id, 130 random bits. It begins with the
// filters of the session from, zero for none.
func (s *sessions) open(real, user string, from sessionKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest, oldestOfUser sessionKey
	count := 0
	for key, o := range s.all {
		if now.Sub(o.used) >= sessionIdle {
			delete(s.all, key)
			continue
		}
		if old := s.all[oldest]; old == nil || o.used.Before(old.used) {
			oldest = key
		}
		if o.real != real {
			continue
		}
		count++
		if old := s.all[oldestOfUser]; old == nil || o.used.Before(old.used) {
			oldestOfUser = key
		}
	}
	if count >= maxUserSessions {
		delete(s.all, oldestOfUser)
	} else if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
	id := rand.Text()
	o := &session{real: real, user: user, used: now}
	if old := s.all[from]; old != nil && old.real == real {
		o.filters = maps.Clone(old.filters)
	}
	s.all[sha256.Sum256([]byte(id))] = o
	return id
}

// use returns the session of that id and marks it as used.
func (s *sessions) use(id string) (session, sessionKey, bool) {
	key := sessionKey(sha256.Sum256([]byte(id)))
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.all[key]
	if o == nil {
		return session{}, key, false
	}
	now := s.now()
	if now.Sub(o.used) >= sessionIdle {
		delete(s.all, key)
		return session{}, key, false
	}
	o.used = now
	return *o, key, true
}

// keep remembers the parameters of a filter for the rest of the session; none
// ends it.
func (s *sessions) keep(key sessionKey, f filterKey, params map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.all[key]
	switch {
	case o == nil:
	case len(params) == 0:
		delete(o.filters, f)
	default:
		if o.filters == nil {
			o.filters = map[filterKey]map[string]string{}
		}
		o.filters[f] = params
	}
}

// kept returns the parameters of a filter that the session keeps; nil for none.
func (s *sessions) kept(key sessionKey, f filterKey) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.all[key]; o != nil {
		return o.filters[f]
	}
	return nil
}

// end ends one session.
func (s *sessions) end(key sessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, key)
}

// endOf ends all sessions of a user, also those that others hold as that user.
func (s *sessions) endOf(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.all {
		if o.real == name || o.user == name {
			delete(s.all, key)
		}
	}
}
