package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Check looks for what is wrong with the database and says it, a sentence each.
func (db *DB) Check(ctx context.Context) (wrong []string, err error) {
	err = db.View(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.rows(ctx, `PRAGMA integrity_check(20)`, nil, func(r *sql.Rows) error {
			var said string
			if err := r.Scan(&said); err != nil {
				return err
			}
			if said != "ok" {
				wrong = append(wrong, said)
			}
			return nil
		})
		if err != nil {
			return err
		}
		var counted, there int64
		if _, err := tx.row(ctx, `SELECT emaildomains, (SELECT count(*) FROM domain) FROM meta`, nil, &counted, &there); err != nil {
			return err
		}
		if counted != there {
			wrong = append(wrong, fmt.Sprintf("%d mail domains are counted, %d are there", counted, there))
		}
		return tx.rows(ctx, `SELECT name, emaildomains, n FROM owner
			LEFT JOIN (SELECT owner, count(*) AS n FROM domain GROUP BY owner) ON owner = name
			WHERE emaildomains <> coalesce(n, 0)`, nil, func(r *sql.Rows) error {
			var name string
			var n sql.NullInt64
			if err := r.Scan(&name, &counted, &n); err != nil {
				return err
			}
			wrong = append(wrong, fmt.Sprintf("%d mail domains of %s are counted, %d are there", counted, name, n.Int64))
			return nil
		})
	})
	return wrong, err
}
