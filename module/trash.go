package module

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	if by.Preview == nil {
		clear := m.vacate(ctx, tx, what.Name)
		if what.Domain == nil {
			clear = m.vacateBox(ctx, tx, what.Mailboxes[0].Address())
		}
		if clear != nil {
			return clear
		}
	}
	what.User, what.Until = by.User, tx.Now.Add(time.Duration(set.KeepDeleted)*24*time.Hour)
	id, err := tx.InsertDeleted(ctx, what)
	if err != nil {
		return fmt.Errorf("keep what is deleted: %w", err)
	}
	if len(what.Mailboxes) == 0 { // no mail, nothing on its way
		return tx.SetMailState(ctx, id, store.MailKept)
	}
	m.moving.begin(tx, id)
	if by.Preview == nil {
		if err := m.tree.FreeTrash(id); err != nil {
			return err
		}
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

// vacate makes sure that no mail of the domain n, or of a mailbox of it, is on its
// way still, to the trash or back: a new one would find it, or lose its own.
func (m *Module) vacate(ctx context.Context, tx *store.Tx, n mail.Name) error {
	return m.arrive(ctx, tx, n, func(store.Deleted) bool { return true })
}

// vacateBox is vacate for one mailbox: what becomes of others is none of its business.
func (m *Module) vacateBox(ctx context.Context, tx *store.Tx, a mail.Address) error {
	return m.arrive(ctx, tx, a.Domain, func(d store.Deleted) bool { return d.Object == a.String() || d.Object == a.Domain.String() })
}

func (m *Module) arrive(ctx context.Context, tx *store.Tx, n mail.Name, concerns func(store.Deleted) bool) error {
	under, err := tx.Underway(ctx, n)
	if err != nil {
		return err
	}
	for _, d := range under {
		switch {
		case !concerns(d):
			continue
		case m.moving.has(d.ID): // by a change that is not durable yet, and may still be undone
			return &mail.Error{Kind: mail.Busy, Field: "elid", Value: d.Object}
		}
		if err := m.carry(m.moveOf(d)); err != nil {
			return err
		}
		if err := arrived(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes that mail is where it belongs.
func arrived(ctx context.Context, tx *store.Tx, d store.Deleted) error {
	if d.State == store.MailRestoring {
		return tx.Forget(ctx, d.ID)
	}
	return tx.SetMailState(ctx, d.ID, store.MailKept)
}

// moving are the rows whose mail changes are to move that are not over.
type moving struct {
	mu  sync.Mutex
	ids map[int64]int
}

// begin notes that the transaction is to move the mail of a row, until over is called.
func (mv *moving) begin(tx *store.Tx, id int64) {
	mv.mu.Lock()
	defer mv.mu.Unlock()
	if mv.ids == nil {
		mv.ids = map[int64]int{}
	}
	mv.ids[id]++ // more than once where a number is given again after what had it was undone
	tx.OnUndo(func() { mv.over(id) })
}

func (mv *moving) over(id int64) {
	mv.mu.Lock()
	defer mv.mu.Unlock()
	if mv.ids[id]--; mv.ids[id] <= 0 {
		delete(mv.ids, id)
	}
}

func (mv *moving) has(id int64) bool {
	mv.mu.Lock()
	defer mv.mu.Unlock()
	return mv.ids[id] > 0
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
	if !mv.back {
		return m.tree.Lay(mv.id, mv.path)
	}
	there, err := m.tree.Bring(mv.id, mv.path)
	if err == nil && !there { // there was no mail: reconcile makes the directories
		m.unpublished.Store(true)
	}
	return err
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
			if err := arrived(ctx, tx, d); err != nil {
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
		var failed error
		erased := ids[:0]
		for _, id := range ids {
			if err := m.tree.Erase(id); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			erased = append(erased, id)
		}
		err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			for _, id := range erased {
				if err := tx.Forget(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err = errors.Join(failed, err); err != nil {
			return fmt.Errorf("forget what was deleted: %w", err)
		}
	}
	return ctx.Err()
}

// leftLasts is how long mail that no row knows of is kept at least: somebody may look
// for it.
const leftLasts = 30 * 24 * time.Hour

// EraseLeft removes mail for good that was found where nobody knew of it, a month
// later, or as much later as deleted mail is kept.
func (m *Module) EraseLeft(ctx context.Context) error {
	set, err := m.Settings(ctx)
	if err != nil {
		return err
	}
	kept := max(leftLasts, time.Duration(set.KeepDeleted)*24*time.Hour)
	return m.tree.EraseLeft(m.db.Now().Add(-kept))
}

// measuredAtOnce is how many mailboxes' sizes are noted in one change: other changes
// wait meanwhile.
const measuredAtOnce = 256

// Measure reads what the mailboxes hold, as Dovecot has counted it, and notes what
// changed.
func (m *Module) Measure(ctx context.Context) error {
	type size struct {
		of   mail.Address
		used int64
	}
	var sizes []size // read to the end before the mail is looked at, which may take long
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.EachMailbox(ctx, func(b mail.Mailbox) error {
			sizes = append(sizes, size{b.Address(), b.Used})
			return ctx.Err()
		})
	})
	changed := map[mail.Address]int64{}
	note := func() error {
		if len(changed) == 0 {
			return nil
		}
		defer clear(changed)
		return m.db.SetUsed(ctx, changed)
	}
	for _, s := range sizes {
		if err = errors.Join(err, ctx.Err()); err != nil {
			break
		}
		if n, counted := m.tree.Used(s.of); counted && n != s.used {
			changed[s.of] = n
		}
		if len(changed) >= measuredAtOnce {
			err = note()
		}
	}
	if err == nil {
		err = note()
	}
	if err != nil {
		return fmt.Errorf("measure mailboxes: %w", err)
	}
	return nil
}
