package module

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// bury keeps what is about to be deleted, so that it can be brought back, and has its
// mail moved to the trash after the commit.
func (m *Module) bury(ctx context.Context, tx *store.Tx, by Actor, d *deed, what store.Deleted) error {
	set, err := settings(ctx, tx)
	if err != nil {
		return err
	}
	what.User, what.Until = by.User, tx.Now.Add(time.Duration(set.KeepDeleted)*24*time.Hour)
	id, err := tx.InsertDeleted(ctx, what)
	if err != nil {
		return fmt.Errorf("keep what is deleted: %w", err)
	}
	if len(what.Mailboxes) == 0 { // no mail, nothing on its way
		return tx.SetMailState(ctx, id, store.MailKept)
	}
	for _, b := range what.Mailboxes {
		d.mailboxes, d.bytes = d.mailboxes+1, d.bytes+b.Used
	}
	p := m.tree.Layout().MailPath(what.Name)
	if what.Domain == nil {
		p = m.tree.Layout().BoxPath(what.Mailboxes[0].Address())
		d.gone = append(d.gone, what.Object)
	}
	d.moves = append(d.moves, move{id: id, path: p})
	return nil
}

// vacate makes sure that no mail of an earlier domain or mailbox below n is on its
// way to the trash still: a new one would find it, or lose its own.
func (m *Module) vacate(ctx context.Context, tx *store.Tx, n mail.Name) error {
	under, err := tx.Underway(ctx, n)
	if err != nil {
		return err
	}
	for _, d := range under {
		if d.State != store.MailMoving {
			continue
		}
		if err := m.carry(m.moveOf(d)); err != nil {
			return err
		}
		if err := tx.SetMailState(ctx, d.ID, store.MailKept); err != nil {
			return err
		}
	}
	return nil
}

// moveOf is the move that something deleted waits for.
func (m *Module) moveOf(d store.Deleted) move {
	p := m.tree.Layout().MailPath(d.Name)
	if a, err := mail.ParseAddress(d.Object); err == nil {
		p = m.tree.Layout().BoxPath(a)
	}
	return move{id: d.ID, path: p, back: d.State == store.MailRestoring}
}

func (m *Module) carry(mv move) error {
	if mv.back {
		return m.tree.Bring(mv.id, mv.path)
	}
	return m.tree.Lay(mv.id, mv.path)
}

// Underway says that mail was moved, and that the database does not know of its
// arrival yet: Settle is wanted.
func (m *Module) Underway() bool { return m.underway.Load() }

// Settle brings mail to where the database says that it belongs, and notes that it
// is there. It is harmless at any time.
func (m *Module) Settle(ctx context.Context) error {
	m.underway.Store(false)
	var any []store.Deleted
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		any, err = tx.Underway(ctx, mail.Name{})
		return err
	})
	if err == nil && len(any) == 0 {
		return nil // without waiting for the writer
	}
	var failed error
	err = m.db.Alone(ctx, func(ctx context.Context, tx *store.Tx) error {
		under, err := tx.Underway(ctx, mail.Name{})
		if err != nil {
			return err
		}
		for _, d := range under {
			if err := m.carry(m.moveOf(d)); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			if d.State == store.MailRestoring {
				err = tx.Forget(ctx, d.ID)
			} else {
				err = tx.SetMailState(ctx, d.ID, store.MailKept)
			}
			if err != nil {
				return err
			}
		}
		tx.Aside()
		return nil
	})
	if err = errors.Join(failed, err); err != nil {
		m.underway.Store(true)
		return fmt.Errorf("move deleted mail: %w", err)
	}
	return nil
}

// erasedAtOnce is how many deleted things are removed for good between two looks at
// the database.
const erasedAtOnce = 16

// Purge removes for good what was deleted and has been kept for long enough. It is
// harmless at any time, and goes on where an earlier one was ended.
func (m *Module) Purge(ctx context.Context) error {
	for ctx.Err() == nil {
		var ids []int64
		err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			ids, err = tx.Expired(ctx, erasedAtOnce)
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := m.tree.Erase(id); err != nil {
				return err
			}
		}
		err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			for _, id := range ids {
				if err := tx.Forget(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forget what was deleted: %w", err)
		}
	}
	return ctx.Err()
}

// Measure reads what the mailboxes hold, as Dovecot has counted it, and notes what
// changed.
func (m *Module) Measure(ctx context.Context) error {
	changed := map[mail.Address]int64{}
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.EachMailbox(ctx, func(b mail.Mailbox) error {
			n, counted, err := m.tree.Used(b.Address())
			if err == nil && counted && n != b.Used {
				changed[b.Address()] = n
			}
			return errors.Join(err, ctx.Err())
		})
	})
	if err != nil {
		return fmt.Errorf("read what mailboxes hold: %w", err)
	}
	if len(changed) == 0 {
		return nil
	}
	return m.db.SetUsed(ctx, changed)
}
