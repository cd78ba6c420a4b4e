package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Tx is one transaction: a change, or a read that sees one state.
type Tx struct {
	// Now is the instant of the whole transaction, to the millisecond.
	Now time.Time

	s         *session
	wrote     bool // something stands in the transaction that a commit would keep
	aside     bool // it is no change of the wanted state
	prepare   []func() error
	committed []func()
	undone    []func()
}

// Prepare has f run before the transaction is durable, in the order of the changes
// but beside the next ones: f does not use the transaction. An error of it undoes
// this change alone; f may run again after OnUndo.
func (tx *Tx) Prepare(f func() error) { tx.prepare = append(tx.prepare, f) }

// prepared runs what Prepare was given.
func (tx *Tx) prepared() error {
	for _, f := range tx.prepare {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// OnCommit has f run when the transaction is durable, before its caller is
// answered and before any later change commits. f must not fail and not wait.
func (tx *Tx) OnCommit(f func()) { tx.committed = append(tx.committed, f) }

// OnUndo has f run when the transaction did not happen after all.
func (tx *Tx) OnUndo(f func()) { tx.undone = append(tx.undone, f) }

// Aside says that the transaction is no change of the wanted state: it does not
// count as a revision.
func (tx *Tx) Aside() { tx.aside = true }

func run(fs []func()) {
	for _, f := range fs {
		f()
	}
}

// View runs f in a read transaction: all that it reads is of one moment.
func (db *DB) View(ctx context.Context, f func(context.Context, *Tx) error) (err error) {
	if err := db.notes.wait(ctx); err != nil {
		return err
	}
	var s *session
	select {
	case s = <-db.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return ErrClosed
	}
	defer func() { db.readers <- s }()
	// A context that can end costs a goroutine a statement.
	ctx = context.WithoutCancel(ctx)
	if _, err := s.exec(ctx, `BEGIN`); err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() {
		if _, end := s.exec(ctx, `COMMIT`); end != nil {
			err = errors.Join(err, fmt.Errorf("end reading: %w", end))
		}
	}()
	return f(ctx, &Tx{Now: db.instant(), s: s})
}

// Now is the database's clock.
func (db *DB) Now() time.Time { return db.instant() }

func (db *DB) instant() time.Time { return db.now().UTC().Truncate(time.Millisecond) }

// row scans the one row of a query; false where there is none.
func (tx *Tx) row(ctx context.Context, text string, args []any, into ...any) (bool, error) {
	p, err := tx.s.statement(ctx, text)
	if err != nil {
		return false, err
	}
	switch err := p.QueryRowContext(ctx, args...).Scan(into...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("run %q: %w", text, err)
	}
	return true, nil
}

// rows calls each for every row of a query; each scans it.
func (tx *Tx) rows(ctx context.Context, text string, args []any, each func(*sql.Rows) error) error {
	p, err := tx.s.statement(ctx, text)
	if err != nil {
		return err
	}
	rows, err := p.QueryContext(ctx, args...)
	if err != nil {
		return fmt.Errorf("run %q: %w", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (tx *Tx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	tx.wrote = true
	n, err := tx.s.exec(ctx, text, args...)
	if err != nil {
		return 0, fmt.Errorf("run %q: %w", text, err)
	}
	return n, nil
}
