package core

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
)

// A Caller is who makes a call, checked. It is good for one call: rights can
// change between two.
type Caller struct {
	User  string // whom the call runs as
	Real  string // who logged in; the same as User but for "log in as"
	Level string // of User
	Lang  string // of Real

	session sessionKey // of the session that the call came with; zero for none
}

func callerOf(real, as *user) Caller {
	return Caller{User: as.Name, Real: real.Name, Level: as.Level, Lang: real.Lang}
}

// CheckPassword returns the caller that name and password prove. address is where
// they came from: after too many wrong ones the next is not even looked at.
func (c *Core) CheckPassword(ctx context.Context, name, password, address string) (Caller, error) {
	name = cut(name) // no user has so long a name, and what failed is remembered
	if wait := c.attempts.wait(address, name); wait > 0 {
		return Caller{}, tooMany(wait)
	}
	u := c.users.find(name)
	right, err := c.logins.check(ctx, u, name, password)
	if err != nil {
		return Caller{}, err
	}
	if !right || !u.Active {
		c.attempts.failed(address, name)
		return Caller{}, badPassword()
	}
	// Of many guesses at once, the right one does not count after the wrong ones.
	if wait := c.attempts.wait(address, name); wait > 0 {
		return Caller{}, tooMany(wait)
	}
	c.attempts.succeeded(address, name)
	return callerOf(u, u), nil
}

func tooMany(wait time.Duration) *Error {
	return fail(typeAuth, "attempts", "attempts", int(math.Ceil(wait.Minutes())))
}

func badPassword() *Error { return fail(typeAuth, "badpassword", "badpassword") }

// ResumeSession returns the caller that a session id proves.
func (c *Core) ResumeSession(id string) (Caller, error) {
	ended := fail(typeAuth, "session", "session")
	s, key, ok := c.sessions.use(id)
	if !ok {
		return Caller{}, ended
	}
	real, as := c.users.find(s.real), c.users.find(s.user)
	if real == nil || !real.Active || as == nil || !mayBe(real, as) {
		c.sessions.end(key)
		return Caller{}, ended
	}
	by := callerOf(real, as)
	by.session = key
	return by, nil
}

// LocalUser returns the caller for a name that the operating system vouches for:
// the other end of the control socket is root or the core's own user. While the
// panel has no users at all, any name is an administrator, to make the first.
func (c *Core) LocalUser(name string) (Caller, error) {
	u := c.users.find(name)
	switch {
	case u == nil && c.users.len() == 0:
		return Caller{User: name, Real: name, Level: levelAdmin, Lang: "en"}, nil
	case u == nil || !u.Active:
		return Caller{}, fail(typeAuth, "user", "nouser")
	}
	return callerOf(u, u), nil
}

// As returns the caller who runs as the user name, if the real one may.
func (c *Core) As(by Caller, name string) (Caller, error) {
	if name == by.User {
		return by, nil
	}
	real, as := c.users.find(by.Real), c.users.find(name)
	if real == nil || real.Level == levelUser {
		return Caller{}, fail(typeAccess, "su", "access")
	}
	if as == nil || !mayBe(real, as) {
		e := fail(typeMissed, "su", "nouser") // as if it did not exist
		e.Value = cut(name)
		return Caller{}, e
	}
	next := callerOf(real, as)
	next.session = by.session
	return next, nil
}

// NoCredentials is the error for a call that says nothing of who makes it.
func NoCredentials() *Error { return fail(typeAuth, "", "auth") }

const maxRequestID = 64 // of the id that a client makes

// RequestID returns the id that a call is known by. What a client sent to be able
// to repeat the call is made unguessable and unique over users; an empty one gives
// a random id.
func RequestID(by Caller, client string) (string, error) {
	if client == "" {
		return rand.Text(), nil
	}
	if len(client) > maxRequestID {
		return "", BadRequest("request_id", client)
	}
	for i := 0; i < len(client); i++ {
		if b := client[i]; (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' {
			return "", BadRequest("request_id", client)
		}
	}
	sum := sha256.Sum256([]byte(by.Real + "\x00" + by.User + "\x00" + client))
	return "c-" + hex.EncodeToString(sum[:16]), nil
}
