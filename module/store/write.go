package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"maildomain/module/mail"
)

// maxBatch is how many changes share a commit at most: it bounds how long the
// first of them waits for the others.
const maxBatch = 64

// ErrClosed is the error of a change or a read that came after Close.
var ErrClosed = errors.New("the database is closed")

// A request is a change on its way to the writer.
type request struct {
	ctx  context.Context
	f    func(context.Context, *Tx) error
	solo bool // shares no transaction
	note bool // need not survive the power
	done chan struct{}

	begun   bool // f was run, perhaps more than once
	unready bool // what the change wants prepared failed
	tx      *Tx
	err     error
}

// A panicked change, on its way back to the goroutine that asked for it.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// Update runs f in a write transaction: durable if Update returns nil, else undone.
// No other change runs at the same time, in this process or another, so what f read
// cannot change under it. Changes that wait share a commit; f may run on another
// goroutine, and again where one of them could not be prepared. A context that ends before f began means that f never runs; after
// that f runs to its end.
func (db *DB) Update(ctx context.Context, f func(context.Context, *Tx) error) error {
	return db.submit(&request{ctx: ctx, f: f})
}

// Alone is Update in a transaction that no other change shares: all that f reads
// is committed, and the files of all that is committed are published.
func (db *DB) Alone(ctx context.Context, f func(context.Context, *Tx) error) error {
	return db.submit(&request{ctx: ctx, f: f, solo: true})
}

// Note is Update for what is found out again if it is lost: it is not synced, and a
// power failure may undo it. It never undoes what was synced before, and whatever is
// synced later keeps it.
func (db *DB) Note(ctx context.Context, f func(context.Context, *Tx) error) error {
	return db.submit(&request{ctx: ctx, f: f, note: true})
}

func (db *DB) submit(r *request) error {
	r.done = make(chan struct{})
	select {
	case db.requests <- r:
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-db.closing:
		return ErrClosed
	}
	<-r.done
	if p, ok := errors.AsType[*panicked](r.err); ok {
		panic(p) // it is the caller's panic, not the writer's
	}
	return r.err
}

func (db *DB) writeLoop(s *session) {
	for {
		select {
		case r := <-db.requests:
			for r != nil {
				r = db.batch(s, r)
			}
		case <-db.closing:
			return
		}
	}
}

// batch runs first and whatever else waits, commits once, and has all answered. It
// returns a request that it took but that wants a batch of its own.
func (db *DB) batch(s *session, first *request) (next *request) {
	ctx := context.Background()
	if first.solo {
		db.catchUp()
	}
	if first.note {
		// SQLite changes it between transactions only (WAL: no sync at the commit).
		if _, err := s.conn.ExecContext(ctx, `PRAGMA synchronous = NORMAL`); err == nil {
			defer func() {
				if _, err := s.conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
					panic(fmt.Sprintf("commits are not synced any more: %v", err))
				}
			}()
		}
	}
	if _, err := s.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		first.err = explain(fmt.Errorf("begin a change: %w", err))
		close(first.done)
		return nil
	}
	all := []*request{first}
	lost := db.run(s, first)
collect:
	for lost == nil && !first.solo && len(all) < maxBatch {
		select {
		case r := <-db.requests:
			if r.solo || first.note && !r.note {
				next = r
				break collect
			}
			all = append(all, r)
			lost = db.run(s, r)
		default:
			break collect
		}
	}
	db.catchUp()
	if lost == nil && slices.ContainsFunc(all, func(r *request) bool { return r.unready }) {
		lost = db.again(s, all)
	}
	if lost == nil {
		lost = commit(ctx, s, all)
	}
	if lost != nil {
		// After some errors (a full disk) SQLite has rolled back by itself, and says so here.
		_, _ = s.exec(ctx, `ROLLBACK`)
	}
	db.errands <- func() { answer(all, lost) }
	db.keepPace(s, len(all))
	return next
}

// answer has every request of a batch that is at its end told so.
func answer(all []*request, lost error) {
	for _, r := range all {
		if r.err == nil {
			r.err = explain(lost)
		}
		if r.err == nil {
			run(r.tx.committed)
		} else if r.tx != nil {
			run(r.tx.undone)
		}
		close(r.done)
	}
}

// again runs a batch anew of which something could not be prepared, one after the
// other and each with its preparations: so every change finds what stands if those
// that fail had never been.
func (db *DB) again(s *session, all []*request) (lost error) {
	ctx := context.Background()
	if _, err := s.exec(ctx, `ROLLBACK`); err != nil {
		return fmt.Errorf("undo a batch: %w", err)
	}
	for _, r := range all {
		if r.tx != nil {
			run(r.tx.undone)
			r.tx = nil
		}
	}
	if _, err := s.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin a batch again: %w", err)
	}
	for _, r := range all {
		if !r.begun {
			continue
		}
		if lost := db.carryOut(s, r, true); lost != nil {
			return lost
		}
	}
	return nil
}

// commit makes the batch durable, if any of it is to be.
func commit(ctx context.Context, s *session, all []*request) error {
	wrote, revised := false, false
	for _, r := range all {
		if r.err == nil {
			wrote = wrote || r.tx.wrote
			revised = revised || r.tx.wrote && !r.tx.aside
		}
	}
	if revised {
		if _, err := s.exec(ctx, `UPDATE meta SET revision = revision + 1, clean = 0`); err != nil {
			return fmt.Errorf("count a batch: %w", err)
		}
	}
	end := `COMMIT`
	if !wrote {
		end = `ROLLBACK`
	}
	if _, err := s.exec(ctx, end); err != nil {
		return fmt.Errorf("end a batch: %w", err)
	}
	return nil
}

// run runs r and has it prepared, unless nobody waits for it any more.
func (db *DB) run(s *session, r *request) (lost error) {
	if r.err = r.ctx.Err(); r.err != nil {
		return nil
	}
	r.begun = true
	if lost := db.carryOut(s, r, false); lost != nil || r.err != nil || len(r.tx.prepare) == 0 {
		return lost
	}
	db.errands <- func() { r.unready = guarded(func() error { return r.tx.prepared() }) != nil }
	return nil
}

// carryOut runs r in a savepoint, with its preparations or without: an error undoes
// r and nothing else. It returns an error of its own where the whole transaction is
// lost.
func (db *DB) carryOut(s *session, r *request, prepare bool) (lost error) {
	ctx := context.WithoutCancel(r.ctx)
	if _, err := s.exec(ctx, `SAVEPOINT change`); err != nil {
		r.err = explain(fmt.Errorf("begin a change: %w", err))
		return r.err
	}
	r.tx = &Tx{Now: db.instant(), s: s}
	r.err = explain(guarded(func() error {
		err := r.f(ctx, r.tx)
		if err == nil && prepare {
			err = r.tx.prepared()
		}
		return err
	}))
	if r.err != nil {
		if _, err := s.exec(ctx, `ROLLBACK TO change`); err != nil {
			return errors.Join(fmt.Errorf("undo a change: %w", err), r.err)
		}
	}
	if _, err := s.exec(ctx, `RELEASE change`); err != nil {
		return fmt.Errorf("end a change: %w", err)
	}
	return nil
}

// explain makes of a full disk, and of another process that kept the database
// locked for too long, an error that a person can act on.
func explain(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return &mail.Error{Kind: mail.Unavailable, Field: "disk", Text: "unavailable_disk", Cause: err}
	case sqlite3.SQLITE_BUSY:
		return &mail.Error{Kind: mail.Busy, Field: "database", Cause: err}
	}
	return err
}

// guarded keeps a panic of one change from taking the writer and the other
// changes with it.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return f()
}
