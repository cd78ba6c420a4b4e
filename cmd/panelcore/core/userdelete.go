package core

import (
	"context"
	"database/sql"

	"maildomain/rpc/wire"
)

// deleteUsers deletes users with their certificates. What modules hold for them
// stays: modules are told that the users changed, no more.
func (c *Core) deleteUsers(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	c.editing.Lock()
	defer c.editing.Unlock()
	a := ok("")
	for _, name := range elids(r.Params["elid"]) {
		done := wire.Done{Elid: name, OK: true}
		e, err := c.deleteUser(context.WithoutCancel(ctx), name)
		if err != nil {
			return nil, err
		}
		if e != nil {
			done.OK, done.Error = false, e.data(r.Lang)
		}
		a.Done = append(a.Done, done)
	}
	if len(a.Done) == 0 {
		return nil, missedUser("")
	}
	c.invalidate("users")
	c.wake("certificates")
	return a, nil
}

// deleteUser returns why that user is not deleted, or a fault.
func (c *Core) deleteUser(ctx context.Context, name string) (*Error, error) {
	u := c.users.find(name)
	switch {
	case u == nil:
		return missedUser(name), nil
	case c.hasUsers(name):
		return badValue("elid", name, "children"), nil
	case u.Level == levelAdmin && c.isLastAdmin(name):
		return badValue("elid", name, "lastadmin"), nil
	}
	if err := c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := deleteCertificatesOf(ctx, tx, name); err != nil { // they are not for the next user of that name
			return err
		}
		return deleteUser(ctx, tx, name)
	}); err != nil {
		return nil, err
	}
	c.users.remove(name)
	c.sessions.endOf(name)
	return nil, nil
}
