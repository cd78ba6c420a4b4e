package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"maildomain/module/mail"
)

// An AccountRow is who orders certificates of an authority.
type AccountRow struct {
	Directory string
	URL       string // the authority's name for it; empty: it is not opened yet
	Key       []byte // PEM; never shown
	Contact   string // address that it was opened with; empty: none
}

// Account is the account at a directory; false where there is none.
func (tx *Tx) Account(ctx context.Context, directory string) (a AccountRow, found bool, err error) {
	a.Directory = directory
	var key string
	found, err = tx.row(ctx, `SELECT url, key, contact FROM acme_account WHERE directory = ?`, []any{directory}, &a.URL, &key, &a.Contact)
	a.Key = []byte(key)
	return a, found, err
}

// PutAccount keeps an account, in the place of one at its directory.
func (tx *Tx) PutAccount(ctx context.Context, a AccountRow) error {
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO acme_account (directory, url, key, contact) VALUES (?, ?, ?, ?)`, a.Directory, a.URL, string(a.Key), a.Contact)
	return err
}

// DropAccount forgets the account at a directory, with its key.
func (tx *Tx) DropAccount(ctx context.Context, directory string) error {
	_, err := tx.exec(ctx, `DELETE FROM acme_account WHERE directory = ?`, directory)
	return err
}

// An Event is something that an authority counts.
type Event string

// The events.
const (
	OrderBegun   Event = "order"
	OrderFailed  Event = "failure"
	OrderFilled  Event = "issued"
	eventsPeriod       = 7 * 24 * time.Hour // of the counts
	eventsKept         = eventsPeriod + 24*time.Hour
)

// NoteEvent notes that an event happened now, about a certificate of a domain for names.
func (tx *Tx) NoteEvent(ctx context.Context, directory string, e Event, domain string, names []mail.Name) error {
	_, err := tx.exec(ctx, `INSERT INTO acme_event (directory, at, what, domain, names) VALUES (?, ?, ?, ?, ?)`, directory, tx.Now.UnixMilli(), string(e), domain, mail.JoinNames(names))
	return err
}

// Noted says that an event was noted since then.
func (tx *Tx) Noted(ctx context.Context, directory string, e Event, names []mail.Name, since time.Time) (noted bool, err error) {
	_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM acme_event WHERE directory = ? AND at >= ? AND what = ? AND names = ?)`,
		[]any{directory, since.UnixMilli(), string(e), mail.JoinNames(names)}, &noted)
	return noted, err
}

// Failures are when an authority counted failures of orders for exactly these names
// since then, the first one first.
func (tx *Tx) Failures(ctx context.Context, names []mail.Name, since time.Time) (at []time.Time, err error) {
	err = tx.rows(ctx, `SELECT at FROM acme_event WHERE what = 'failure' AND at > ? AND names = ? ORDER BY at`, []any{since.UnixMilli(), mail.JoinNames(names)}, func(r *sql.Rows) error {
		var ms int64
		err := r.Scan(&ms)
		at = append(at, instant(ms))
		return err
	})
	return at, err
}

// OrdersBegun are when orders for a domain were begun at an authority since then, the
// first one first.
func (tx *Tx) OrdersBegun(ctx context.Context, directory, domain string, since time.Time) (at []time.Time, err error) {
	err = tx.rows(ctx, `SELECT at FROM acme_event WHERE directory = ? AND at > ? AND what = 'order' AND domain = ? ORDER BY at`,
		[]any{directory, since.UnixMilli(), domain}, func(r *sql.Rows) error {
			var ms int64
			err := r.Scan(&ms)
			at = append(at, instant(ms))
			return err
		})
	return at, err
}

// ForgetEvents drops the events that no count needs any longer, and the waits that are over.
func (tx *Tx) ForgetEvents(ctx context.Context) error {
	if _, err := tx.exec(ctx, `DELETE FROM acme_wait WHERE until <= ?`, tx.Now.UnixMilli()); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM acme_event WHERE at < ?`, tx.Now.Add(-eventsKept).UnixMilli())
	return err
}

// A Wait is that an authority takes no orders for a domain for now.
type Wait struct {
	Directory string
	Domain    string // or mail.ServerCertificate; empty: every one
	Until     time.Time
	Detail    string // what the authority said
}

// PutWait keeps a wait, in the place of an earlier one.
func (tx *Tx) PutWait(ctx context.Context, w Wait) error {
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO acme_wait (directory, domain, until, detail) VALUES (?, ?, ?, ?)`, w.Directory, w.Domain, millis(w.Until), w.Detail)
	return err
}

// Wait is what orders for a domain wait for at a directory, the longer where there are
// two; false where they need not.
func (tx *Tx) Wait(ctx context.Context, directory, domain string) (w Wait, found bool, err error) {
	w.Directory = directory
	var until int64
	found, err = tx.row(ctx, `SELECT domain, until, detail FROM acme_wait WHERE directory = ? AND domain IN (?, '') AND until > ? ORDER BY until DESC LIMIT 1`,
		[]any{directory, domain, tx.Now.UnixMilli()}, &w.Domain, &until, &w.Detail)
	w.Until = instant(until)
	return w, found, err
}

// OrderCounts are what an authority has counted of this server in the last seven days.
type OrderCounts struct {
	Orders   int // begun
	Failures int // proofs that it did not find, and orders that it refused
	Issued   int // certificates
	Same     int // of these for exactly the same names
	Near     int // of these for names of the same registered domain
	Domain   mail.Name
}

// OrderCounts are the counts at a directory, with those that concern a certificate
// for names: of the registered domain of theirs that has the most.
func (tx *Tx) OrderCounts(ctx context.Context, directory string, names []mail.Name) (c OrderCounts, err error) {
	near := map[mail.Name]int{}
	for _, n := range names {
		near[n.Registered()] = 0
	}
	same := mail.JoinNames(names)
	err = tx.rows(ctx, `SELECT what, names FROM acme_event WHERE directory = ? AND at > ?`, []any{directory, tx.Now.Add(-eventsPeriod).UnixMilli()}, func(r *sql.Rows) error {
		var what Event
		var of string
		if err := r.Scan(&what, &of); err != nil {
			return err
		}
		switch what {
		case OrderBegun:
			c.Orders++
		case OrderFailed:
			c.Failures++
		case OrderFilled:
			c.Issued++
			if of == same {
				c.Same++
			}
			seen := map[mail.Name]bool{}
			for s := range strings.FieldsSeq(of) {
				d := mail.StoredName(s).Registered()
				if _, asked := near[d]; asked && !seen[d] {
					near[d]++
				}
				seen[d] = true
			}
		}
		return nil
	})
	for d, n := range near {
		if c.Domain.IsZero() || n > c.Near || n == c.Near && d.String() < c.Domain.String() {
			c.Domain, c.Near = d, n
		}
	}
	return c, err
}
