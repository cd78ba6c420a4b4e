package core

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// wakeRest is how long a module is left alone that could not be reached.
const wakeRest = time.Minute

// wake serves core.wake.
func (c *conn) wake(ctx context.Context, req *jsonrpc2.Request) {
	var w wire.Wake
	if err := params(req, &w); err != nil {
		c.reply(ctx, req, nil, invalidParams(err))
		return
	}
	if err := c.module.core.keepWake(context.WithoutCancel(ctx), c.module.name, w.At); err != nil {
		c.module.log.Error().Err(err).Msg("when the module is to be called again was not kept")
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"})
		return
	}
	c.reply(ctx, req, struct{}{}, nil)
}

// keepWake keeps when a module is to be called; the zero time: not at all.
func (c *Core) keepWake(ctx context.Context, module string, at time.Time) error {
	return c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if at.IsZero() {
			return forgetWake(ctx, tx, module)
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO wake (module, at) VALUES (?, ?)`, module, at.UnixMilli()); err != nil {
			return fmt.Errorf("keep when module %s is to be called: %w", module, err)
		}
		return nil
	})
}

func forgetWake(ctx context.Context, tx *sql.Tx, module string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM wake WHERE module = ?`, module); err != nil {
		return fmt.Errorf("forget when module %s was to be called: %w", module, err)
	}
	return nil
}

// Wake calls the modules whose time has come. The core does so by itself every
// Options.WakePause.
func (c *Core) Wake(ctx context.Context) error {
	due, err := c.wakesDue(ctx)
	if err != nil {
		return err
	}
	for name, at := range due {
		i := slices.IndexFunc(c.modules, func(m *module) bool { return m.name == name })
		next := time.Time{}
		if i >= 0 {
			if c.modules[i].connected() {
				continue // it sees for itself; one that is just ending is called once it has ended
			}
			if _, err := c.modules[i].connection(ctx); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				c.modules[i].log.Warn().Err(err).Msg("module not reached when it wanted to be called; it is tried again")
				next = c.opt.Now().Add(wakeRest)
			}
		}
		if err := c.woken(ctx, name, at, next); err != nil {
			return err
		}
	}
	return nil
}

// connected says that a connection to the module stands.
func (m *module) connected() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current != nil && !m.current.isClosed()
}

// woken notes that a module was called, or is to be called again at next; unless it
// has asked for another time since.
func (c *Core) woken(ctx context.Context, name string, at int64, next time.Time) error {
	return c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var now int64
		err := tx.QueryRowContext(ctx, `SELECT at FROM wake WHERE module = ?`, name).Scan(&now)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && now != at:
			return nil
		case err != nil:
			return fmt.Errorf("read when module %s is to be called: %w", name, err)
		case next.IsZero():
			return forgetWake(ctx, tx, name)
		}
		_, err = tx.ExecContext(ctx, `UPDATE wake SET at = ? WHERE module = ?`, next.UnixMilli(), name)
		return err
	})
}

// wakesDue are the modules to be called by now, and when they were to be.
func (c *Core) wakesDue(ctx context.Context) (map[string]int64, error) {
	due := map[string]int64{}
	err := c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT module, at FROM wake WHERE at <= ?`, c.opt.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("read which modules are to be called: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var at int64
			if err := rows.Scan(&name, &at); err != nil {
				return fmt.Errorf("read which modules are to be called: %w", err)
			}
			due[name] = at
		}
		return rows.Err()
	})
	return due, err
}

// keepWaking calls modules until the core ends.
func (c *Core) keepWaking() {
	tick := time.NewTicker(c.opt.WakePause)
	defer tick.Stop()
	for {
		select {
		case <-c.running.Done():
			return
		case <-tick.C:
			if err := c.Wake(c.running); err != nil && c.running.Err() == nil {
				c.log.Error().Err(err).Msg("modules not called")
			}
		}
	}
}
