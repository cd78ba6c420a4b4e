package core

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
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
	defer c.progress.begin(r.ID, f.owner)()
	a := &Answer{}
	if err := f.owner.call(ctx, wire.Call{Func: r.Func, Params: c.withFilter(by, r), Session: s}, &a.Result); err != nil {
		return nil, err
	}
	if a.Filter != nil {
		c.sessions.keep(by.session, filterKey{a.Filter.Func, by.User}, a.Filter.Params)
	}
	return a, nil
}

// withFilter returns the parameters of a call with those of the filter that the
// session keeps for the function, or for the list whose filter form it is. What
// the call says itself goes before, and saving a filter begins with none.
func (c *Core) withFilter(by Caller, r Request) map[string]string {
	if by.session == (sessionKey{}) {
		return r.Params
	}
	list, isForm := strings.CutSuffix(r.Func, ".filter")
	if isForm && r.Params["sok"] != "" {
		return r.Params
	}
	kept := c.sessions.kept(by.session, filterKey{list, by.User})
	if len(kept) == 0 {
		return r.Params
	}
	params := maps.Clone(kept)
	maps.Copy(params, r.Params)
	return params
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
