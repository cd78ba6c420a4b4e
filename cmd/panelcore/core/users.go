package core

import (
	"slices"
	"sync"

	"maildomain/rpc/wire"
)

// Levels of a session, in rising order of what they may do.
const (
	levelUser     = "user"
	levelReseller = "reseller"
	levelAdmin    = "admin"
)

// rank orders levels; 0 is no level.
func rank(level string) int {
	return 1 + slices.Index([]string{levelUser, levelReseller, levelAdmin}, level)
}

// A user of the panel. It is never changed once it is in the table: a change
// puts another in its place.
type user struct {
	wire.User
	hash string // of the password, PHC form; empty: no password fits
	demo bool
}

// A userTable is all users in memory, by name and in the order of their names.
type userTable struct {
	mu     sync.RWMutex
	byName map[string]*user
	names  []string
}

func newUserTable(us []*user) *userTable {
	t := &userTable{byName: make(map[string]*user, len(us))}
	for _, u := range us {
		t.put(u)
	}
	return t
}

// find returns the user, nil when there is none.
func (t *userTable) find(name string) *user {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

func (t *userTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.names)
}

// put adds u or replaces the user of its name.
func (t *userTable) put(u *user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.byName[u.Name]; !ok {
		i, _ := slices.BinarySearch(t.names, u.Name)
		t.names = slices.Insert(t.names, i, u.Name)
	}
	t.byName[u.Name] = u
}

func (t *userTable) remove(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := slices.BinarySearch(t.names, name); ok {
		t.names = slices.Delete(t.names, i, i+1)
	}
	delete(t.byName, name)
}

// query answers core.users: in the order of the names, at most wire.MaxUsers.
func (t *userTable) query(q wire.UsersQuery) []wire.User {
	t.mu.RLock()
	defer t.mu.RUnlock()
	names := t.names
	if q.Names != nil {
		names = slices.Clone(q.Names)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	i, exact := slices.BinarySearch(names, q.After)
	if exact {
		i++
	}
	us := []wire.User{}
	for _, name := range names[i:] {
		u := t.byName[name]
		if u == nil || q.Parent != "" && u.Parent != q.Parent {
			continue
		}
		if us = append(us, u.User); len(us) == wire.MaxUsers {
			break
		}
	}
	return us
}

// all returns every user in the order of their names.
func (t *userTable) all() []*user {
	t.mu.RLock()
	defer t.mu.RUnlock()
	us := make([]*user, len(t.names))
	for i, name := range t.names {
		us[i] = t.byName[name]
	}
	return us
}

// mayBe says whether a session of real may run as target: an administrator as
// anyone, a reseller as its own users, anyone as itself.
func mayBe(real, target *user) bool {
	switch {
	case real.Name == target.Name:
		return true
	case !target.Active:
		return false
	case real.Level == levelAdmin:
		return true
	}
	return real.Level == levelReseller && target.Parent == real.Name && target.Level == levelUser
}
