package store

import (
	"context"
	"database/sql"

	"maildomain/module/mail"
)

// Underway is what was deleted and whose mail is not where it belongs yet, of one
// domain or, for the zero Name, of all.
func (tx *Tx) Underway(ctx context.Context, of mail.Name) (ds []Deleted, err error) {
	text, args := `SELECT `+deletedColumns+` FROM deleted WHERE state <> 'kept' ORDER BY id`, []any(nil)
	if !of.IsZero() {
		text, args = `SELECT `+deletedColumns+` FROM deleted WHERE domain = ? AND state <> 'kept' ORDER BY id`, []any{of.String()}
	}
	err = tx.rows(ctx, text, args, func(r *sql.Rows) error {
		d, err := scanDeleted(r.Scan)
		ds = append(ds, d)
		return err
	})
	return ds, err
}

// Expired are the numbers of what may not be brought back any more, at most most.
func (tx *Tx) Expired(ctx context.Context, most int) (ids []int64, err error) {
	err = tx.rows(ctx, `SELECT id FROM deleted WHERE until <= ? AND state = 'kept' ORDER BY until LIMIT ?`, []any{tx.Now.UnixMilli(), most},
		func(r *sql.Rows) error {
			ids = append(ids, 0)
			return r.Scan(&ids[len(ids)-1])
		})
	return ids, err
}

// SetMailState notes where the mail of something deleted is.
func (tx *Tx) SetMailState(ctx context.Context, id int64, s MailState) error {
	_, err := tx.exec(ctx, `UPDATE deleted SET state = ? WHERE id = ?`, string(s), id)
	return err
}

// ExpireNow has something deleted removed for good with the next occasion.
func (tx *Tx) ExpireNow(ctx context.Context, id int64) error {
	_, err := tx.exec(ctx, `UPDATE deleted SET until = ? WHERE id = ?`, tx.Now.UnixMilli(), id)
	return err
}

// Forget removes the row of something deleted, whose mail is gone or back.
func (tx *Tx) Forget(ctx context.Context, id int64) error {
	_, err := tx.exec(ctx, `DELETE FROM deleted WHERE id = ?`, id)
	return err
}
