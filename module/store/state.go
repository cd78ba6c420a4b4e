package store

import (
	"context"
	"database/sql"
	"time"
)

// State is what the database says of itself.
type State struct {
	Revision int64 // counts committed batches
	Clean    bool  // stopped in order after the last change, with every file published
	Domains  int64
}

// State reads it.
func (tx *Tx) State(ctx context.Context) (s State, err error) {
	_, err = tx.row(ctx, `SELECT revision, clean, emaildomains FROM meta`, nil, &s.Revision, &s.Clean, &s.Domains)
	return s, err
}

// MarkClean notes that every file equals the database at that revision. A change
// that was committed since makes it do nothing.
func (db *DB) MarkClean(ctx context.Context, revision int64) error {
	return db.outside(ctx, `UPDATE meta SET clean = 1 WHERE revision = ? AND clean = 0`, revision)
}

// A Change is a line of the audit table.
type Change struct {
	ID                              int64 // given by Audit; grows with time
	RequestID, User, SuBy, RemoteIP string
	Func, Object                    string
	Before, After                   []byte // JSON; nil where there was nothing
}

// Audit notes a change, made now.
func (tx *Tx) Audit(ctx context.Context, c Change) error {
	_, err := tx.exec(ctx, `INSERT INTO audit (at, request_id, user, su_by, remote_ip, func, object, before, after)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		tx.Now.UnixMilli(), c.RequestID, c.User, c.SuBy, c.RemoteIP, c.Func, c.Object, string(c.Before), string(c.After))
	return err
}

// An Answer is what a change was answered, kept for callers that ask again.
type Answer struct {
	RequestID, Object string // the key: one request may change several objects
	User, Func        string
	JSON              []byte
}

// Answered is the answer of a request about an object; false where there is none.
func (tx *Tx) Answered(ctx context.Context, requestID, object string) (a Answer, found bool, err error) {
	a.RequestID, a.Object = requestID, object
	var json string
	found, err = tx.row(ctx, `SELECT user, func, answer FROM request WHERE request_id = ? AND object = ?`,
		[]any{requestID, object}, &a.User, &a.Func, &json)
	a.JSON = []byte(json)
	return a, found, err
}

// Answer keeps an answer, in the transaction of the change that it answers.
func (tx *Tx) Answer(ctx context.Context, a Answer) error {
	_, err := tx.exec(ctx, `INSERT INTO request (request_id, object, user, func, answer, at) VALUES (?, ?, ?, ?, ?, ?)`,
		a.RequestID, a.Object, a.User, a.Func, string(a.JSON), tx.Now.UnixMilli())
	return err
}

// ForgetAnswers drops the answers given before t.
func (db *DB) ForgetAnswers(ctx context.Context, t time.Time) error {
	return db.outside(ctx, `DELETE FROM request WHERE at < ?`, t.UnixMilli())
}

// outside runs a statement that is no change of the wanted state: it does not
// count as a revision.
func (db *DB) outside(ctx context.Context, text string, args ...any) error {
	return db.Update(ctx, func(ctx context.Context, tx *Tx) error {
		tx.aside = true
		_, err := tx.exec(ctx, text, args...)
		return err
	})
}

// History calls each for every change of an object, newest first, at most most.
func (tx *Tx) History(ctx context.Context, object string, most int, each func(time.Time, Change) error) error {
	return tx.rows(ctx, `SELECT id, at, request_id, user, su_by, remote_ip, func, before, after FROM audit
		WHERE object = ? ORDER BY id DESC LIMIT ?`, []any{object, most}, func(r *sql.Rows) error {
		c := Change{Object: object}
		var at int64
		var before, after string
		if err := r.Scan(&c.ID, &at, &c.RequestID, &c.User, &c.SuBy, &c.RemoteIP, &c.Func, &before, &after); err != nil {
			return err
		}
		if before != "" {
			c.Before = []byte(before)
		}
		if after != "" {
			c.After = []byte(after)
		}
		return each(time.UnixMilli(at).UTC(), c)
	})
}
