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
	Reason string // what the server itself said
	Tries  int
	Due    time.Time // of a pending one

	Offered bool // it was sent, or is about to be: what stands may be ours

	Text string            // names the sentence that says why it is so; empty: what the state says
	Args map[string]string // what fills it
}

// RecordsOf are the values of a domain, by name, type and value.
func (tx *Tx) RecordsOf(ctx context.Context, n mail.Name) (rows []RecordRow, err error) {
	err = tx.rows(ctx, `SELECT name, type, value, ttl, why, wanted, state, reason, args, detail, tries, due, offered FROM record WHERE domain = ? ORDER BY name, type, value`,
		[]any{n.String()}, func(r *sql.Rows) error {
			var row RecordRow
			var due int64
			var args string
			if err := r.Scan(&row.Name, &row.Type, &row.Value, &row.TTL, &row.Why, &row.Wanted, &row.State, &row.Text, &args, &row.Reason, &row.Tries, &due, &row.Offered); err != nil {
				return err
			}
			var err error
			if row.Args, err = argsOf(args); err != nil {
				return fmt.Errorf("read a record of %s: %w", n, err)
			}
			row.Due = time.UnixMilli(due).UTC()
			rows = append(rows, row)
			return nil
		})
	return rows, err
}

// A RecordShift is a record set that is to become another.
type RecordShift struct {
	Name          string
	Type          mail.RecordType
	Before, After []string // values; none: no such record
}

// WantRecords makes the values that are to stand for a domain those of records; what
// of was, its RecordsOf, stood besides is to be taken away. It says what there is to hand over.
// With offer that is done at once: values are noted as sent, and first are those that never were before.
func (tx *Tx) WantRecords(ctx context.Context, n mail.Name, was []RecordRow, records []mail.Record, offer bool) (shifts []RecordShift, first []RecordValue, err error) {
	have := slices.Clone(was)
	shift := func(name string, t mail.RecordType) {
		if slices.ContainsFunc(shifts, func(s RecordShift) bool { return s.Name == name && s.Type == t }) {
			return
		}
		s := RecordShift{Name: name, Type: t}
		for _, h := range was {
			if h.Wanted && h.Name == name && h.Type == t {
				s.Before = append(s.Before, h.Value)
			}
		}
		for _, r := range records {
			if r.Name == name && r.Type == t {
				s.After = append(s.After, r.Values...)
			}
		}
		shifts = append(shifts, s)
	}
	for _, r := range records {
		for _, v := range r.Values {
			i := slices.IndexFunc(have, func(h RecordRow) bool { return h.Name == r.Name && h.Type == r.Type && h.Value == v })
			if i >= 0 && have[i].Wanted && have[i].TTL == r.TTL && have[i].Why == r.Why {
				have[i].Name = "" // stays
				continue
			}
			if offer && (i < 0 || !have[i].Offered) {
				first = append(first, RecordValue{r.Name, r.Type, v})
			}
			if i >= 0 {
				have[i].Name = ""
			}
			if _, err := tx.exec(ctx, `INSERT INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due, offered)
				VALUES (?, ?, ?, ?, ?, ?, 1, 'pending', '', 0, ?, ?)
				ON CONFLICT DO UPDATE SET ttl = excluded.ttl, why = excluded.why, wanted = 1, state = 'pending', reason = '', args = '{}', detail = '', tries = 0, due = excluded.due,
				offered = max(offered, excluded.offered)`,
				n.String(), r.Name, string(r.Type), v, r.TTL, string(r.Why), tx.Now.UnixMilli(), offer); err != nil {
				return nil, nil, err
			}
			shift(r.Name, r.Type)
		}
	}
	for _, h := range have {
		if h.Name == "" || !h.Wanted || h.Why == mail.ForACME { // whose order takes it away
			continue
		}
		if _, err := tx.exec(ctx, `UPDATE record SET wanted = 0, state = 'pending', reason = '', args = '{}', detail = '', tries = 0, due = ? WHERE domain = ? AND name = ? AND type = ? AND value = ?`,
			tx.Now.UnixMilli(), n.String(), h.Name, string(h.Type), h.Value); err != nil {
			return nil, nil, err
		}
		shift(h.Name, h.Type)
	}
	if len(shifts) == 0 {
		return nil, nil, nil
	}
	for _, s := range shifts {
		if err := tx.forgetFindings(ctx, n, s); err != nil {
			return nil, nil, err
		}
	}
	return shifts, first, tx.renewNote(ctx, n)
}

// SetRecord notes what became of a value: a wanted one has its state; one that was
// to be taken away and is gone, or was never sent, has no row any more. A value that is to become
// something else since it was read keeps what it has: was is the row as it was read.
func (tx *Tx) SetRecord(ctx context.Context, n mail.Name, was, r RecordRow) error {
	if was.Offered != r.Offered { // so whatever it is to become
		if _, err := tx.exec(ctx, `UPDATE record SET offered = ? WHERE domain = ? AND name = ? AND type = ? AND value = ?`,
			r.Offered, n.String(), r.Name, string(r.Type), r.Value); err != nil {
			return err
		}
	}
	where := ` WHERE domain = ? AND name = ? AND type = ? AND value = ? AND wanted = ? AND ttl = ? AND due = ?`
	args := []any{n.String(), was.Name, string(was.Type), was.Value, was.Wanted, was.TTL, was.Due.UnixMilli()}
	// A server that refuses to take it away still has it, and it is ours; one that has no
	// such zone now may have it again, with all that stood there.
	if !r.Wanted && (r.State == mail.Published || r.State == mail.NoZone && !r.Offered) {
		_, err := tx.exec(ctx, `DELETE FROM record`+where, args...)
		return err
	}
	why, err := argsText(r.Args)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE record SET state = ?, reason = ?, args = ?, detail = ?, tries = ?, due = ?`+where,
		append([]any{string(r.State), r.Text, why, r.Reason, r.Tries, r.Due.UnixMilli()}, args...)...)
	return err
}

// renewNote makes the note that lists show of a domain what its records, its keys,
// its certificate and the last check come to. What is wrong goes before what is on its
// way, and DNS before the certificate, which hangs on it: "dns", "ssl", "dns_pending",
// "ssl_pending".
func (tx *Tx) renewNote(ctx context.Context, n mail.Name) error {
	_, err := tx.exec(ctx, `UPDATE domain SET note = new.note FROM (SELECT CASE
		WHEN EXISTS (SELECT 1 FROM finding WHERE domain = ?1 AND state = 'wrong' AND why <> 'tls') THEN 'dns'
		WHEN EXISTS (SELECT 1 FROM record r WHERE r.domain = ?1 AND r.wanted = 1 AND r.why <> 'acme' AND r.state IN ('refused', 'conflict', 'no_zone')
			AND NOT EXISTS (SELECT 1 FROM finding f WHERE f.domain = ?1 AND f.name = r.name AND f.type = r.type AND f.state = 'right')) THEN 'dns'
		WHEN d.secure AND EXISTS (SELECT 1 FROM finding WHERE domain = ?1 AND state = 'wrong' AND why = 'tls') THEN 'ssl'
		WHEN d.secure AND EXISTS (SELECT 1 FROM ssl_order WHERE domain = ?1 AND kind <> '') THEN 'ssl'
		WHEN d.secure AND EXISTS (SELECT 1 FROM certificate WHERE name = ?1 AND problem <> '') THEN 'ssl'
		WHEN EXISTS (SELECT 1 FROM record WHERE domain = ?1 AND wanted = 1 AND why <> 'acme' AND state = 'pending') THEN 'dns_pending'
		WHEN EXISTS (SELECT 1 FROM dkim_key WHERE domain = ?1 AND state = 'new') THEN 'dns_pending'
		WHEN d.secure AND EXISTS (SELECT 1 FROM ssl_order WHERE domain = ?1) THEN 'ssl_pending'
		ELSE '' END AS note FROM domain d WHERE d.name = ?1) AS new
		WHERE domain.name = ?1 AND domain.note <> new.note`, n.String())
	return err
}

// RenewNote is renewNote for who noted what became of several values.
func (tx *Tx) RenewNote(ctx context.Context, n mail.Name) error { return tx.renewNote(ctx, n) }

// RecordsDue are the domains with values to hand over by now, at most most.
func (tx *Tx) RecordsDue(ctx context.Context, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT domain FROM (SELECT domain, due FROM record WHERE state = 'pending' AND due <= ?1
		UNION ALL SELECT domain, due FROM record WHERE `+leftover+` AND due <= ?1) GROUP BY domain ORDER BY min(due) LIMIT ?2`, tx.Now.UnixMilli(), most)
}

// AnyKeys says that some domain has a DKIM key.
func (tx *Tx) AnyKeys(ctx context.Context) (some bool, err error) {
	_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM dkim_key)`, nil, &some)
	return some, err
}

// Awaited says that a value is to be handed over, or a new key looked for, by then.
func (tx *Tx) Awaited(ctx context.Context, by time.Time) (awaited bool, err error) {
	_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM record WHERE state = 'pending' AND due <= ?1)
		OR EXISTS (SELECT 1 FROM dkim_key WHERE due <= ?1 AND state = 'new')
		OR EXISTS (SELECT 1 FROM former_record r JOIN former_server s ON s.id = r.server WHERE r.state = 'pending' AND max(r.due, s.due) <= ?1)`, []any{by.UnixMilli()}, &awaited)
	return awaited, err
}

// RetryRecords has everything of a domain handed over anew.
func (tx *Tx) RetryRecords(ctx context.Context, n mail.Name) error {
	if _, err := tx.exec(ctx, `UPDATE record SET state = 'pending', tries = 0, due = ? WHERE domain = ?`, tx.Now.UnixMilli(), n.String()); err != nil {
		return err
	}
	return tx.renewNote(ctx, n)
}

// RetryAllRecords has everything of every domain handed over anew.
func (tx *Tx) RetryAllRecords(ctx context.Context) error {
	_, err := tx.exec(ctx, `UPDATE record SET state = 'pending', tries = 0, due = ?`, tx.Now.UnixMilli())
	return err
}

// DomainsToCheck are domains whose lists note something that a check may find mended, and that were not
// checked since, at most most.
func (tx *Tx) DomainsToCheck(ctx context.Context, since time.Time, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT name FROM domain WHERE note > '' AND note IN ('dns', 'dns_pending', 'ssl')
		AND NOT EXISTS (SELECT 1 FROM finding WHERE finding.domain = domain.name AND at > ?) LIMIT ?`, since.UnixMilli(), most)
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
	Text   string   `json:"text,omitempty"` // names the sentence of the error, where there is one
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
// did, and renews the note that lists show. It is no change of the wanted state.
func (db *DB) PutFindings(ctx context.Context, n mail.Name, fs []Finding) error {
	return db.Update(ctx, func(ctx context.Context, tx *Tx) error {
		tx.aside = true
		_, found, err := tx.Domain(ctx, n)
		if err != nil || !found {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM finding WHERE domain = ?`, n.String()); err != nil {
			return err
		}
		return tx.putFindings(ctx, n, fs)
	})
}
