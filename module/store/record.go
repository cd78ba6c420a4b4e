package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"maildomain/module/mail"
)

// A RecordRow is one value that the module put into DNS, or is about to put or to
// take away.
type RecordRow struct {
	Name   string
	Type   mail.RecordType
	Value  string
	TTL    uint32
	Why    mail.Purpose
	Wanted bool // false: to be taken away
	State  mail.Handed
	Reason string
	Tries  int
	Due    time.Time // of a pending one
}

// RecordsOf are the values of a domain, by name, type and value.
func (tx *Tx) RecordsOf(ctx context.Context, n mail.Name) (rows []RecordRow, err error) {
	err = tx.rows(ctx, `SELECT name, type, value, ttl, why, wanted, state, reason, tries, due FROM record WHERE domain = ? ORDER BY name, type, value`,
		[]any{n.String()}, func(r *sql.Rows) error {
			var row RecordRow
			var due int64
			if err := r.Scan(&row.Name, &row.Type, &row.Value, &row.TTL, &row.Why, &row.Wanted, &row.State, &row.Reason, &row.Tries, &due); err != nil {
				return err
			}
			row.Due = time.UnixMilli(due).UTC()
			rows = append(rows, row)
			return nil
		})
	return rows, err
}

// WantRecords makes the values that are to stand for a domain those of records; what
// stood besides is to be taken away. It says whether there is anything to hand over.
func (tx *Tx) WantRecords(ctx context.Context, n mail.Name, records []mail.Record) (changed bool, err error) {
	have, err := tx.RecordsOf(ctx, n)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		for _, v := range r.Values {
			i := slices.IndexFunc(have, func(h RecordRow) bool { return h.Name == r.Name && h.Type == r.Type && h.Value == v })
			if i >= 0 && have[i].Wanted && have[i].TTL == r.TTL {
				have[i].Name = "" // stays
				continue
			}
			if i >= 0 {
				have[i].Name = ""
			}
			if _, err := tx.exec(ctx, `INSERT INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due)
				VALUES (?, ?, ?, ?, ?, ?, 1, 'pending', '', 0, ?)
				ON CONFLICT DO UPDATE SET ttl = excluded.ttl, why = excluded.why, wanted = 1, state = 'pending', reason = '', tries = 0, due = excluded.due`,
				n.String(), r.Name, string(r.Type), v, r.TTL, string(r.Why), tx.Now.UnixMilli()); err != nil {
				return false, err
			}
			changed = true
		}
	}
	for _, h := range have {
		if h.Name == "" || !h.Wanted {
			continue
		}
		if _, err := tx.exec(ctx, `UPDATE record SET wanted = 0, state = 'pending', reason = '', tries = 0, due = ? WHERE domain = ? AND name = ? AND type = ? AND value = ?`,
			tx.Now.UnixMilli(), n.String(), h.Name, string(h.Type), h.Value); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// SetRecord notes what became of a value: a wanted one has its state; one that was
// to be taken away and is gone has no row any more.
func (tx *Tx) SetRecord(ctx context.Context, n mail.Name, r RecordRow) error {
	if !r.Wanted && r.State != mail.Pending {
		_, err := tx.exec(ctx, `DELETE FROM record WHERE domain = ? AND name = ? AND type = ? AND value = ? AND wanted = 0`, n.String(), r.Name, string(r.Type), r.Value)
		return err
	}
	_, err := tx.exec(ctx, `UPDATE record SET state = ?, reason = ?, tries = ?, due = ? WHERE domain = ? AND name = ? AND type = ? AND value = ? AND wanted = ?`,
		string(r.State), r.Reason, r.Tries, r.Due.UnixMilli(), n.String(), r.Name, string(r.Type), r.Value, r.Wanted)
	return err
}

// RecordsDue are the domains with values to hand over by now, at most most.
func (tx *Tx) RecordsDue(ctx context.Context, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT DISTINCT domain FROM record WHERE state = 'pending' AND due <= ? LIMIT ?`, tx.Now.UnixMilli(), most)
}

// RetryRecords has everything of a domain that did not come to stand tried again.
func (tx *Tx) RetryRecords(ctx context.Context, n mail.Name) error {
	_, err := tx.exec(ctx, `UPDATE record SET state = 'pending', tries = 0, due = ? WHERE domain = ? AND (state <> 'published' OR wanted = 0)`,
		tx.Now.UnixMilli(), n.String())
	return err
}

// A Finding is what the last check of a domain found about one thing.
type Finding struct {
	Name    string
	Type    mail.RecordType
	Why     mail.Purpose
	Verdict mail.Verdict
	Seen    []Seen
	At      time.Time
}

// Seen is what one server said.
type Seen struct {
	Who    string   `json:"who"`
	Values []string `json:"values,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// FindingsOf are what the last check of a domain found.
func (tx *Tx) FindingsOf(ctx context.Context, n mail.Name) (fs []Finding, err error) {
	err = tx.rows(ctx, `SELECT name, type, why, state, text, args, seen, at FROM finding WHERE domain = ? ORDER BY why, name, type`, []any{n.String()},
		func(r *sql.Rows) error {
			var f Finding
			var args, seen string
			var at int64
			if err := r.Scan(&f.Name, &f.Type, &f.Why, &f.Verdict.State, &f.Verdict.Text, &args, &seen, &at); err != nil {
				return err
			}
			f.At = time.UnixMilli(at).UTC()
			if err := json.Unmarshal([]byte(args), &f.Verdict.Args); err != nil {
				return fmt.Errorf("read a finding about %s: %w", n, err)
			}
			if err := json.Unmarshal([]byte(seen), &f.Seen); err != nil {
				return fmt.Errorf("read a finding about %s: %w", n, err)
			}
			f.Verdict.Proposal = f.Verdict.Args["value"]
			fs = append(fs, f)
			return nil
		})
	return fs, err
}

// PutFindings keeps what a check of a domain found, in place of what the last one
// did, and the note that lists show. It is no change of the wanted state.
func (db *DB) PutFindings(ctx context.Context, n mail.Name, fs []Finding, note string) error {
	return db.Update(ctx, func(ctx context.Context, tx *Tx) error {
		tx.aside = true
		_, found, err := tx.Domain(ctx, n)
		if err != nil || !found {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM finding WHERE domain = ?`, n.String()); err != nil {
			return err
		}
		for _, f := range fs {
			args, err := json.Marshal(f.Verdict.Args)
			if err != nil {
				return err
			}
			seen, err := json.Marshal(f.Seen)
			if err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO finding (domain, name, type, why, state, text, args, seen, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				n.String(), f.Name, string(f.Type), string(f.Why), string(f.Verdict.State), f.Verdict.Text, string(args), string(seen), tx.Now.UnixMilli()); err != nil {
				return err
			}
		}
		_, err = tx.exec(ctx, `UPDATE domain SET note = ? WHERE name = ? AND note <> ?1`, note, n.String())
		return err
	})
}
