package rpc

import (
	"slices"
	"sync"
	"time"

	"maildomain/rpc/wire"
)

const (
	maxAge    = time.Minute // a core that forgets module.invalidate is believed no longer
	maxCached = 10_000      // users by name, and as many again in pages
)

// A cache remembers what the core answered. Nothing that was asked for before a
// forget enters it afterwards: whoever asks notes the generation first, and what
// comes of an older one is not kept.
//
// That there is no user of some name is not remembered, so that asking for many
// names fills nothing.
type cache struct {
	now func() time.Time

	mu     sync.Mutex
	gen    uint64
	users  map[string]remembered[wire.User]
	pages  map[pageKey]remembered[[]wire.User]
	paged  int // users in pages
	params remembered[*wire.Params]
}

type remembered[T any] struct {
	what T
	when time.Time
}

type pageKey struct{ parent, after string }

func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

func (c *cache) fresh(when time.Time) bool { return c.now().Sub(when) < maxAge }

func (c *cache) user(name string) (wire.User, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.users[name]
	return u.what, ok && c.fresh(u.when)
}

// page returns the answer to q if all of it is remembered.
func (c *cache) page(q wire.UsersQuery) ([]wire.User, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(q.Names) == 0 {
		p, ok := c.pages[pageKey{q.Parent, q.After}]
		return p.what, ok && c.fresh(p.when)
	}
	if q.Parent != "" || q.After != "" || len(q.Names) > wire.MaxUsers {
		return nil, false
	}
	users := make([]wire.User, 0, len(q.Names))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(q.Names))) {
		u, ok := c.users[name]
		if !ok || !c.fresh(u.when) {
			return nil, false
		}
		users = append(users, u.what)
	}
	return users, true
}

func (c *cache) keepUsers(at uint64, q wire.UsersQuery, users []wire.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at != c.gen {
		return
	}
	when := c.now()
	if len(q.Names) == 0 && len(users) <= maxCached {
		if c.paged+len(users) > maxCached || len(c.pages) >= maxCached {
			c.pages, c.paged = nil, 0
		}
		if c.pages == nil {
			c.pages = map[pageKey]remembered[[]wire.User]{}
		}
		key := pageKey{q.Parent, q.After}
		c.paged += len(users) - len(c.pages[key].what)
		c.pages[key] = remembered[[]wire.User]{users, when}
	}
	if c.users == nil {
		c.users = map[string]remembered[wire.User]{}
	}
	for _, u := range users {
		if len(c.users) >= maxCached {
			for name := range c.users { // any
				delete(c.users, name)
				break
			}
		}
		c.users[u.Name] = remembered[wire.User]{u, when}
	}
}

// settings returns the server's settings, nil if they are not remembered, and the
// generation to keep them under.
func (c *cache) settings() (*wire.Params, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fresh(c.params.when) {
		return nil, c.gen
	}
	return c.params.what, c.gen
}

func (c *cache) keepSettings(at uint64, p *wire.Params) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == c.gen {
		c.params = remembered[*wire.Params]{p, c.now()}
	}
}

// forget drops what is remembered of users or of params; of both for any other word but
// zones, of which nothing is.
func (c *cache) forget(what string) {
	if what == "zones" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	if what != "params" {
		c.users, c.pages, c.paged = nil, nil, 0
	}
	if what != "users" {
		c.params = remembered[*wire.Params]{}
	}
}
