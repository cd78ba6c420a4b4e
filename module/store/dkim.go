package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"maildomain/module/mail"
)

// KeysOf are the DKIM keys of a domain, by selector.
func (tx *Tx) KeysOf(ctx context.Context, n mail.Name) (keys []mail.SigningKey, err error) {
	err = tx.rows(ctx, `SELECT selector, brought, private, record, state, since, due, tries FROM dkim_key WHERE domain = ? ORDER BY selector`,
		[]any{n.String()}, func(r *sql.Rows) error {
			var k mail.SigningKey
			var selector, brought, private, record string
			var since, due int64
			if err := r.Scan(&selector, &brought, &private, &record, &k.State, &since, &due, &k.Tries); err != nil {
				return err
			}
			k.Selector, k.Brought, k.Since, k.Due = mail.StoredSelector(selector), mail.StoredSelector(brought), time.UnixMilli(since).UTC(), time.UnixMilli(due).UTC()
			if k.Key, err = mail.StoredDKIMKey(private, record); err != nil {
				return fmt.Errorf("read key %s of %s: %w", selector, n, err)
			}
			keys = append(keys, k)
			return nil
		})
	return keys, err
}

// PutKeys makes the DKIM keys of a domain what they are to be. Lists may have to note
// something else then: WantRecords sees to that where records follow, else RenewNote.
func (tx *Tx) PutKeys(ctx context.Context, n mail.Name, before, after []mail.SigningKey) error {
	for _, k := range before {
		if !slices.ContainsFunc(after, func(a mail.SigningKey) bool { return a.Selector == k.Selector }) {
			if err := tx.pastSelectors(ctx, n, k.Selector.String()); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM dkim_key WHERE domain = ? AND selector = ?`, n.String(), k.Selector.String()); err != nil {
				return err
			}
		}
	}
	for _, k := range after {
		private, err := k.Key.PEM()
		if err != nil {
			return fmt.Errorf("write key %s of %s: %w", k.Selector, n, err)
		}
		if _, err := tx.exec(ctx, `INSERT INTO dkim_key (domain, selector, brought, private, record, state, since, due, tries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (domain, selector) DO UPDATE SET brought = excluded.brought, private = excluded.private, record = excluded.record, state = excluded.state,
			since = excluded.since, due = excluded.due, tries = excluded.tries`,
			n.String(), k.Selector.String(), k.Brought.String(), string(private), k.Key.Record().String(), string(k.State), k.Since.UnixMilli(), k.Due.UnixMilli(), k.Tries); err != nil {
			return err
		}
	}
	return nil
}

// pastSelectors notes that keys of a domain go: that of a selector, or all. Their
// records are remembered for hours, and letters that they signed come for days.
func (tx *Tx) pastSelectors(ctx context.Context, n mail.Name, selector string) error {
	if _, err := tx.exec(ctx, `DELETE FROM past_selector WHERE until <= ?`, tx.Now.UnixMilli()); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO past_selector (domain, selector, until) SELECT domain, selector, ?3 FROM dkim_key WHERE domain = ?1 AND ?2 IN ('', selector)`,
		n.String(), selector, tx.Now.Add(mail.QueueLifetime).UnixMilli())
	return err
}

// PastSelectors are those of keys that a domain of that name had, and that somebody may
// remember.
func (tx *Tx) PastSelectors(ctx context.Context, n mail.Name) (past []mail.Selector, err error) {
	err = tx.rows(ctx, `SELECT selector FROM past_selector WHERE domain = ? AND until > ?`, []any{n.String(), tx.Now.UnixMilli()}, func(r *sql.Rows) error {
		var s string
		if err := r.Scan(&s); err != nil {
			return err
		}
		past = append(past, mail.StoredSelector(s))
		return nil
	})
	return past, err
}

// KeysDue are the domains with a DKIM key that is to be looked at by now, at most most.
func (tx *Tx) KeysDue(ctx context.Context, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT domain FROM dkim_key WHERE due <= ? GROUP BY domain ORDER BY min(due) LIMIT ?`, tx.Now.UnixMilli(), most)
}

func (tx *Tx) names(ctx context.Context, text string, args ...any) (ns []mail.Name, err error) {
	err = tx.rows(ctx, text, args, func(r *sql.Rows) error {
		var n string
		if err := r.Scan(&n); err != nil {
			return err
		}
		ns = append(ns, mail.StoredName(n))
		return nil
	})
	return ns, err
}
