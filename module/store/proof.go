package store

import (
	"context"
	"database/sql"
	"fmt"

	"maildomain/module/mail"
)

// PutProof has a value of a proof handed over for a domain: it stands beside what is
// there, and no change of the domain takes it away.
func (tx *Tx) PutProof(ctx context.Context, n mail.Name, r mail.Record) error {
	for _, v := range r.Values {
		if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due)
			VALUES (?, ?, ?, ?, ?, ?, 1, 'pending', '', 0, ?)`,
			n.String(), r.Name, string(r.Type), v, r.TTL, string(mail.ForACME), tx.Now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// DropProof has a value of a proof taken away again.
func (tx *Tx) DropProof(ctx context.Context, n mail.Name, r mail.Record) error {
	for _, v := range r.Values {
		if _, err := tx.exec(ctx, `UPDATE record SET wanted = 0, state = 'pending', reason = '', tries = 0, due = ? WHERE domain = ? AND name = ? AND type = ? AND value = ? AND why = ?`,
			tx.Now.UnixMilli(), n.String(), r.Name, string(r.Type), v, string(mail.ForACME)); err != nil {
			return err
		}
	}
	return nil
}

// Proofs are the values of proofs that are to stand, by the domain that they are
// handed over for.
func (tx *Tx) Proofs(ctx context.Context) (map[mail.Name][]mail.Record, error) {
	stand := map[mail.Name][]mail.Record{}
	err := tx.rows(ctx, `SELECT domain, name, type, value, ttl FROM record WHERE why = ? AND wanted = 1`, []any{string(mail.ForACME)}, func(r *sql.Rows) error {
		var domain, value string
		rec := mail.Record{Why: mail.ForACME}
		if err := r.Scan(&domain, &rec.Name, &rec.Type, &value, &rec.TTL); err != nil {
			return fmt.Errorf("read a proof: %w", err)
		}
		rec.Values = []string{value}
		n := mail.StoredName(domain)
		stand[n] = append(stand[n], rec)
		return nil
	})
	return stand, err
}
