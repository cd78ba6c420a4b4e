package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"maildomain/module/mail"
)

// An OrderRow is a certificate that is wanted of an authority.
type OrderRow struct {
	Domain     string // or mail.ServerCertificate
	Names      []mail.Name
	Part       []mail.Name    // of these, that it was begun for; empty: all
	Directory  string         // of the authority that it was begun with; empty: not begun
	URL        string         // of the order there; empty: not begun
	Key        []byte         // of the certificate to come, PEM; never shown
	Challenge  mail.Challenge // how it is, or was last, proved; empty: not yet
	Step       string         // how far it is; empty: not under way
	Failures   int            // in a row
	Since      time.Time      // when it was wanted first
	Due        time.Time      // when it is tried next
	Kind, Text string         // of the last problem; empty: there was none
	Args       map[string]string
	Detail     string // what the authority said
}

const orderColumns = `domain, names, directory, url, key, challenge, step, failures, since, due, kind, text, args, detail, part`

// Order is the order for a domain, or for mail.ServerCertificate; false where there is none.
func (tx *Tx) Order(ctx context.Context, domain string) (o OrderRow, found bool, err error) {
	err = tx.rows(ctx, `SELECT `+orderColumns+` FROM ssl_order WHERE domain = ?`, []any{domain}, func(r *sql.Rows) error {
		found = true
		o, err = scanOrder(r.Scan)
		return err
	})
	return o, found, err
}

// OrdersDue are the orders to be tried by now, at most most, without those for domains
// of these owners.
func (tx *Tx) OrdersDue(ctx context.Context, most int, without ...string) (os []OrderRow, err error) {
	args := []any{tx.Now.UnixMilli()}
	for _, owner := range without {
		args = append(args, owner)
	}
	err = tx.rows(ctx, `SELECT `+orderColumns+` FROM ssl_order WHERE due <= ? AND NOT EXISTS (SELECT 1 FROM domain d WHERE d.name = ssl_order.domain
		AND d.owner IN (`+strings.TrimPrefix(strings.Repeat(",?", len(without)), ",")+`)) ORDER BY due, domain LIMIT ?`, append(args, most), func(r *sql.Rows) error {
		o, err := scanOrder(r.Scan)
		os = append(os, o)
		return err
	})
	return os, err
}

func scanOrder(scan func(...any) error) (o OrderRow, err error) {
	var names, key, args, part string
	var since, due int64
	if err := scan(&o.Domain, &names, &o.Directory, &o.URL, &key, &o.Challenge, &o.Step, &o.Failures, &since, &due, &o.Kind, &o.Text, &args, &o.Detail, &part); err != nil {
		return o, err
	}
	o.Names, o.Part = storedNames(names), storedNames(part)
	o.Key, o.Since, o.Due = []byte(key), instant(since), instant(due)
	if err := json.Unmarshal([]byte(args), &o.Args); err != nil {
		return o, fmt.Errorf("read the order for %s: %w", o.Domain, err)
	}
	return o, nil
}

// storedNames reads what mail.JoinNames wrote.
func storedNames(s string) (ns []mail.Name) {
	for n := range strings.FieldsSeq(s) {
		ns = append(ns, mail.StoredName(n))
	}
	return ns
}

// PutOrder writes an order down, in the place of one that stands for its domain.
func (tx *Tx) PutOrder(ctx context.Context, o OrderRow) error {
	args, err := json.Marshal(o.Args)
	if err != nil {
		return fmt.Errorf("write the order for %s: %w", o.Domain, err)
	}
	if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO ssl_order (`+orderColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		o.Domain, mail.JoinNames(o.Names), o.Directory, o.URL, string(o.Key), string(o.Challenge), o.Step, o.Failures, millis(o.Since), millis(o.Due),
		o.Kind, o.Text, string(args), o.Detail, mail.JoinNames(o.Part)); err != nil {
		return err
	}
	return tx.renewNote(ctx, mail.StoredName(o.Domain))
}

// DropOrder removes the order for a domain; it is harmless where there is none.
func (tx *Tx) DropOrder(ctx context.Context, domain string) error {
	n, err := tx.exec(ctx, `DELETE FROM ssl_order WHERE domain = ?`, domain)
	if err != nil || n == 0 {
		return err
	}
	return tx.renewNote(ctx, mail.StoredName(domain))
}

// FailedLately says that an authority has counted a failure of an order for these
// names since then.
func (tx *Tx) FailedLately(ctx context.Context, names []mail.Name, since time.Time) (failed bool, err error) {
	_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM acme_event WHERE what = 'failure' AND at > ? AND names = ?)`, []any{since.UnixMilli(), mail.JoinNames(names)}, &failed)
	return failed, err
}
