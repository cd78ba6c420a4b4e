package core

import (
	"context"
	"database/sql"

	"maildomain/rpc/wire"
)

// editParams shows or changes the server's parameters.
func (c *Core) editParams(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	c.editing.Lock()
	defer c.editing.Unlock()
	changed := map[string]param{}
	values := map[string]string{}
	for name, old := range c.params.all() {
		values[name] = old.String()
		if value, sent := r.Params[name]; sent {
			changed[name] = old.set(value)
			if err := checkParam(name, value, changed[name]); err != nil {
				return nil, err
			}
		}
	}
	if r.Params["sok"] == "" {
		return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: values}}, nil
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
	return ok(""), nil
}
