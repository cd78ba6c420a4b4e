package core

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"maildomain/rpc/wire"
)

// editParams shows or changes the server's parameters.
func (c *Core) editParams(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	c.editing.Lock()
	defer c.editing.Unlock()
	before := c.params.all()
	changed := map[string]param{}
	values := map[string]string{}
	for name, old := range before {
		if name == paramUpdateSecret {
			values[name] = "" // never shown
			if r.Params[name] == "" {
				continue // left empty it stays
			}
		} else {
			values[name] = old.String()
		}
		if value, sent := r.Params[name]; sent {
			changed[name] = old.set(value)
			if err := checkParam(name, value, changed[name]); err != nil {
				return nil, err
			}
		}
	}
	if r.Params["sok"] == "" {
		var algorithms []wire.Option
		for _, a := range updateAlgorithms {
			algorithms = append(algorithms, wire.Option{Key: a, Label: a})
		}
		return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: values, SLists: map[string][]wire.Option{paramUpdateAlgorithm: algorithms}}}, nil
	}
	if key, sent := changed[paramUpdateKey]; sent && key.text == "" {
		changed[paramUpdateSecret] = param{}
	}
	next := maps.Clone(before)
	maps.Copy(next, changed)
	if err := c.zones.allows(ctx, next); err != nil {
		return nil, err
	}
	if err := c.db.update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		for name, p := range changed {
			if err := putParam(ctx, tx, name, p); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	c.params.put(changed)
	c.invalidate("params")
	return ok(""), c.zones.follow(context.WithoutCancel(ctx), before, next)
}

// allows says whether zones can be with those parameters.
func (z *zones) allows(ctx context.Context, ps map[string]param) error {
	if _, err := newUpdateServer(ps); err != nil {
		return err
	}
	lacks, err := z.lacking(ctx, newNameservers(ps))
	if err == nil && lacks != "" {
		return badValue(paramNameservers, ps[paramNameservers].String(), "zone_lacks", lacks)
	}
	return err
}

// follow has the zones follow parameters that changed.
func (z *zones) follow(ctx context.Context, before, now map[string]param) error {
	differs := func(name string) bool {
		return before[name].text != now[name].text || !slices.Equal(before[name].list, now[name].list)
	}
	if differs(paramNameservers) || differs(paramServerIPs) {
		if err := z.rewrite(ctx); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(ownParams, differs) {
		return z.markAll(ctx)
	}
	return nil
}
