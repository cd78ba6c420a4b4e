package core

import (
	"context"
	"fmt"
	"time"
)

// PassOn passes on the zones whose time has come to the authoritative server. The
// core does so by itself every Options.ZonePause.
func (c *Core) PassOn(ctx context.Context) error {
	z := c.zones
	if s, err := newUpdateServer(z.params.all()); s == nil || err != nil {
		return err
	}
	for before := ""; ctx.Err() == nil && !z.hold.on(z.now()); {
		due, err := z.due(ctx)
		if err != nil || len(due) == 0 || due[0] == before { // it could not be noted that it was tried
			return err
		}
		before = due[0]
		for _, zone := range due {
			if ctx.Err() == nil && !z.hold.on(z.now()) {
				z.passOn(zone)
			}
		}
		if len(due) < dueAtOnce {
			return nil
		}
	}
	return ctx.Err()
}

func (z *zones) due(ctx context.Context) ([]string, error) {
	var due []string
	err := z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		rows, err := t.QueryContext(ctx, `SELECT zone FROM unpassed WHERE next <= ? ORDER BY next, zone LIMIT ?`, z.now().Unix(), dueAtOnce)
		if err != nil {
			return fmt.Errorf("read queue of zones: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var zone string
			if err := rows.Scan(&zone); err != nil {
				return fmt.Errorf("read queue of zones: %w", err)
			}
			due = append(due, zone)
		}
		return rows.Err()
	})
	return due, err
}

// keepPassing passes on until the core ends.
func (c *Core) keepPassing() {
	tick := time.NewTicker(c.opt.ZonePause)
	defer tick.Stop()
	for {
		select {
		case <-c.running.Done():
			return
		case <-tick.C:
			if err := c.PassOn(c.running); err != nil && c.running.Err() == nil {
				c.log.Error().Err(err).Msg("zones not passed on")
			}
		}
	}
}
