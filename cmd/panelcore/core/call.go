package core

import (
	"context"
	"errors"
	"slices"
	"sync"

	"maildomain/rpc/wire"
)

// A Request is one call of a function.
type Request struct {
	Func     string
	Params   map[string]string
	Lang     string // en, ru
	ID       string // from RequestID
	RemoteIP string
}

// An Answer is what a function answered.
type Answer struct {
	wire.Result
	Auth *Auth // a new session; nil for none
}

// Auth is a session that was opened.
type Auth struct {
	ID    string
	Level string
}

// Call runs a function for by. Its error is an *Error.
func (c *Core) Call(ctx context.Context, by Caller, r Request) (*Answer, error) {
	a, err := c.call(ctx, by, r)
	if err == nil {
		return a, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	c.log.Error().Err(err).Str("request_id", r.ID).Str("func", r.Func).Msg("call failed")
	return nil, Internal(r.ID)
}

func (c *Core) call(ctx context.Context, by Caller, r Request) (*Answer, error) {
	f, err := c.find(ctx, r.Func)
	if err != nil {
		return nil, err
	}
	if rank(by.Level) < rank(f.Level) {
		return nil, fail(typeAccess, "func", "access")
	}
	if f.run != nil {
		return f.run(c, ctx, by, r)
	}
	s := wire.Session{User: by.User, Level: by.Level, Lang: r.Lang, RequestID: r.ID, RemoteIP: r.RemoteIP}
	if by.Real != by.User {
		s.SuBy = by.Real
	}
	a := &Answer{}
	if err := f.owner.call(ctx, wire.Call{Func: r.Func, Params: r.Params, Session: s}, &a.Result); err != nil {
		return nil, err
	}
	return a, nil
}

// find returns the function of that name. When nobody has registered it, the
// modules that have never registered are asked first.
func (c *Core) find(ctx context.Context, name string) (*Function, error) {
	if f := c.Function(name); f != nil {
		return f, nil
	}
	missing := c.ask(ctx)
	if f := c.Function(name); f != nil {
		return f, nil
	}
	if missing {
		return nil, fail(typeUnavailable, "func", "module")
	}
	e := fail(typeMissed, "func", "nofunc")
	e.Value = cut(name)
	return nil, e
}

// ask dials the modules that have never registered, and says whether one of them
// still has not.
func (c *Core) ask(ctx context.Context) bool {
	unknown := slices.DeleteFunc(slices.Clone(c.modules), (*module).registered)
	var wg sync.WaitGroup
	for _, m := range unknown {
		wg.Go(func() { m.connection(ctx) })
	}
	wg.Wait()
	return slices.ContainsFunc(unknown, func(m *module) bool { return !m.registered() })
}
