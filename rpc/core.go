package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/jsonrpc2"
	"golang.org/x/sync/singleflight"

	"maildomain/module"
	"maildomain/rpc/wire"
)

const (
	askLimit   = 5 * time.Second // for one question to the core
	maxIgnored = 256             // questions in a row without an answer; then the connection ends
)

// Core is the panel core as the module asks it: over the connection that the
// present call came on (its context says which), or, where there is no call, over
// any on which the core has agreed to the registration.
//
// Users and settings are remembered until the core sends module.invalidate, a
// connection is registered or ends (what the core could not tell then is unknown),
// or maxAge has gone by. What the methods return is shared:
// it is to be read, not changed. An error of the core's, or none of its answers in
// time, is ErrUnavailable; where it answered, module.ErrRefused too.
type Core struct {
	// Forgot is called when the core has said that what it told before may be so no
	// longer, with its word for what: "users", "params", "certificates"; and with "" when a
	// core was registered, which may have become another meanwhile; nil: nobody asks. It
	// must not wait.
	Forgot func(what string)

	limit   time.Duration
	cache   cache
	flights singleflight.Group

	mu    sync.Mutex
	conns []*conn // registered or not; the newest last
	ready map[*conn]bool
}

// NewCore returns a Core that waits at most limit for an answer (5 s if 0) and
// tells the age of what it remembers by now (time.Now if nil).
func NewCore(limit time.Duration, now func() time.Time) *Core {
	if limit <= 0 {
		limit = askLimit
	}
	if now == nil {
		now = time.Now
	}
	return &Core{limit: limit, cache: cache{now: now}, ready: map[*conn]bool{}}
}

// User returns one user; false if the core knows none of that name.
func (k *Core) User(ctx context.Context, name string) (wire.User, bool, error) {
	if u, ok := k.cache.user(name); ok {
		return u, true, nil
	}
	users, err := k.askUsers(ctx, wire.UsersQuery{Names: []string{name}})
	if err != nil {
		return wire.User{}, false, err
	}
	i := slices.IndexFunc(users, func(u wire.User) bool { return u.Name == name })
	if i < 0 {
		return wire.User{}, false, nil
	}
	return users[i], true, nil
}

// Users returns the users that q asks for, in the order of their names: at most
// wire.MaxUsers of them, the next with q.After.
func (k *Core) Users(ctx context.Context, q wire.UsersQuery) ([]wire.User, error) {
	if users, ok := k.cache.page(q); ok {
		return users, nil
	}
	return k.askUsers(ctx, q)
}

// Params returns the server's settings.
func (k *Core) Params(ctx context.Context) (wire.Params, error) {
	p, at := k.cache.settings()
	if p != nil {
		return *p, nil
	}
	v, err := k.once(ctx, at, "params", func(ctx context.Context, c *conn) (any, error) {
		if p, _ := k.cache.settings(); p != nil { // of one that ended just now
			return *p, nil
		}
		var p wire.Params
		if err := k.ask(ctx, c, wire.CoreParams, struct{}{}, &p); err != nil {
			return nil, err
		}
		k.cache.keepSettings(at, &p)
		return p, nil
	})
	if err != nil {
		return wire.Params{}, err
	}
	return v.(wire.Params), nil
}

func (k *Core) askUsers(ctx context.Context, q wire.UsersQuery) ([]wire.User, error) {
	at := k.cache.generation()
	v, err := k.once(ctx, at, fmt.Sprintf("users %q", q), func(ctx context.Context, c *conn) (any, error) {
		if users, ok := k.cache.page(q); ok { // of one that ended just now
			return users, nil
		}
		var users []wire.User
		if err := k.ask(ctx, c, wire.CoreUsers, q, &users); err != nil {
			return nil, err
		}
		k.cache.keepUsers(at, q, users)
		return users, nil
	})
	if err != nil {
		return nil, err
	}
	return v.([]wire.User), nil
}

// Progress tells the core how far a long call is. Nothing waits for it to arrive.
func (k *Core) Progress(ctx context.Context, p wire.Progress) error {
	return k.tell(ctx, wire.CoreProgress, p)
}

// Changed tells the core that rows changed which people may be looking at.
func (k *Core) Changed(ctx context.Context, p wire.Changed) error {
	return k.tell(ctx, wire.CoreChanged, p)
}

// Wake asks every core that is connected to connect again at that instant; the zero
// one: never mind. A core that does not know of it has not lost anything.
func (k *Core) Wake(ctx context.Context, at time.Time) {
	k.mu.Lock()
	var to []*conn
	for _, c := range k.conns {
		if k.ready[c] && c.alive.Err() == nil {
			to = append(to, c)
		}
	}
	k.mu.Unlock()
	for _, c := range to {
		if err := c.rpc.Notify(ctx, wire.CoreWake, wire.Wake{At: at.UTC()}); err != nil {
			c.log.Warn().Err(err).Msg("the core cannot be told when to call again")
		}
	}
}

func (k *Core) tell(ctx context.Context, method string, p any) error {
	c, err := k.conn(ctx)
	if err != nil {
		return err
	}
	if err := c.rpc.Notify(ctx, method, p); err != nil {
		return fmt.Errorf("%s: %w: %v", method, ErrUnavailable, err)
	}
	return nil
}

// once runs f, or waits for one that runs already for the same question, on the
// same connection, since the same generation of the cache: an answer to a question
// asked before an invalidation is for those who asked before it.
func (k *Core) once(ctx context.Context, at uint64, key string, f func(context.Context, *conn) (any, error)) (any, error) {
	c, err := k.conn(ctx)
	if err != nil {
		return nil, err
	}
	got := k.flights.DoChan(fmt.Sprintf("%p %d %s", c, at, key), func() (any, error) {
		return f(context.WithoutCancel(ctx), c) // the others wait on although this caller may not
	})
	select {
	case r := <-got:
		return r.Val, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask calls the core and decodes its answer.
func (k *Core) ask(ctx context.Context, c *conn, method string, params, into any) error {
	ctx, cancel := context.WithTimeout(ctx, k.limit)
	defer cancel()
	defer context.AfterFunc(c.alive, cancel)()

	err := c.rpc.Call(ctx, method, params, into)
	if err == nil {
		c.ignored.Store(0)
		return nil
	}
	if said, is := errors.AsType[*jsonrpc2.Error](err); is && c.alive.Err() == nil {
		return &coreError{method, said}
	}
	// %v: jsonrpc2's errors are the core's, not ours to pass on.
	var why any = err
	switch {
	case c.alive.Err() != nil || errors.Is(err, jsonrpc2.ErrClosed):
		why = "the connection ended"
	case ctx.Err() != nil:
		why = fmt.Sprintf("no answer within %s", k.limit)
		if c.ignored.Add(1) >= maxIgnored {
			c.log.Error().Int("questions", maxIgnored).Msg("the core answers nothing; connection closed")
			c.close()
		}
	default: // what it answered is none
		return fmt.Errorf("%s: %w, %w: %v", method, ErrUnavailable, module.ErrRefused, err)
	}
	return fmt.Errorf("%s: %w: %v", method, ErrUnavailable, why)
}

// A coreError is an error that the core answered.
type coreError struct {
	method string
	said   *jsonrpc2.Error
}

func (e *coreError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.method, ErrUnavailable, e.said)
}

// Unwrap: what the core refuses is not there for the module.
func (e *coreError) Unwrap() []error { return []error{ErrUnavailable, module.ErrRefused} }

// answered says that err is the core's answer with one of these codes.
func answered(err error, codes ...int64) bool {
	e, is := errors.AsType[*coreError](err)
	return is && slices.Contains(codes, e.said.Code)
}

type connKey struct{}

// withConn returns a context whose questions to the core go over c.
func withConn(ctx context.Context, c *conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// conn returns the connection of the present call, or one that is registered.
func (k *Core) conn(ctx context.Context) (*conn, error) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range slices.Backward(k.conns) {
		if k.ready[c] && c.alive.Err() == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("ask the core: %w: it is not connected", ErrUnavailable)
}

func (k *Core) join(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, c)
}

func (k *Core) registered(c *conn) {
	k.mu.Lock()
	if slices.Contains(k.conns, c) {
		k.ready[c] = true
	}
	k.mu.Unlock()
	k.forget("")
}

func (k *Core) leave(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = slices.DeleteFunc(k.conns, func(o *conn) bool { return o == c })
	delete(k.ready, c)
	k.cache.forget("")
}

// forget is module.invalidate.
func (k *Core) forget(what string) {
	k.cache.forget(what)
	if k.Forgot != nil {
		k.Forgot(what)
	}
}
