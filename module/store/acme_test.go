package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"maildomain/module/mail"
)

// at is a database whose clock is set by hand.
func at(t *testing.T) (*DB, *time.Time) {
	t.Helper()
	now := epoch
	return openAt(t, filepath.Join(t.TempDir(), "maildomain.db"), func() time.Time { return now }), &now
}

func hosts(ss ...string) (ns []mail.Name) {
	for _, s := range ss {
		ns = append(ns, mail.StoredName(s))
	}
	return ns
}

func TestAccountIsKeptByDirectory(t *testing.T) {
	db, _ := at(t)
	a := AccountRow{Directory: "https://a.test/dir", Key: []byte("key a")}
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.PutAccount(ctx, a) })
	a.URL, a.Contact = "https://a.test/acct/1", "admin@a.example"
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.PutAccount(ctx, a) })
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, found, err := tx.Account(ctx, a.Directory)
		if fmt.Sprint(got) != fmt.Sprint(a) || !found {
			t.Errorf("%+v, %v", got, found)
		}
		if _, found, err := tx.Account(ctx, "https://b.test/dir"); found || err != nil {
			t.Errorf("another directory has it: %v", err)
		}
		return err
	})
}

func TestCountsAreOfTheLastSevenDays(t *testing.T) {
	db, now := at(t)
	const dir = "https://a.test/dir"
	note := func(directory string, e Event, names ...string) {
		update(t, db, func(ctx context.Context, tx *Tx) error {
			return tx.NoteEvent(ctx, directory, e, "a.example", hosts(names...))
		})
	}
	check := func(what string, want OrderCounts, names ...string) {
		t.Helper()
		view(t, db, func(ctx context.Context, tx *Tx) error {
			got, err := tx.OrderCounts(ctx, dir, hosts(names...))
			if got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
			return err
		})
	}
	a, com := mail.StoredName("a.example"), mail.StoredName("b.co.uk")
	note(dir, OrderBegun, "mail.a.example")
	note(dir, OrderFilled, "mail.a.example")
	*now = now.Add(6 * 24 * time.Hour)
	note(dir, OrderBegun, "imap.a.example", "mail.a.example")
	note(dir, OrderFilled, "imap.a.example", "mail.a.example")
	note(dir, OrderFilled, "mail.b.co.uk", "mail.a.example")
	note(dir, OrderFailed, "mail.c.example")
	note("https://b.test/dir", OrderFilled, "mail.a.example")
	check("one name", OrderCounts{Orders: 2, Failures: 1, Issued: 3, Same: 1, Near: 3, Domain: a}, "mail.a.example")
	check("two names", OrderCounts{Orders: 2, Failures: 1, Issued: 3, Same: 1, Near: 3, Domain: a}, "imap.a.example", "mail.a.example")
	check("below a public suffix", OrderCounts{Orders: 2, Failures: 1, Issued: 3, Near: 1, Domain: com}, "www.b.co.uk")
	*now = now.Add(36 * time.Hour)
	check("the first is eight days old", OrderCounts{Orders: 1, Failures: 1, Issued: 2, Near: 2, Domain: a}, "mail.a.example")
	view(t, db, func(ctx context.Context, tx *Tx) error {
		failed, err := tx.Failures(ctx, hosts("mail.c.example"), now.Add(-48*time.Hour))
		if len(failed) != 1 {
			t.Errorf("failures: %v", failed)
		}
		if noted, e := tx.Noted(ctx, dir, OrderFailed, hosts("mail.c.example"), *now); noted || e != nil {
			t.Errorf("noted since now: %v", e)
		}
		return err
	})
	*now = now.Add(24 * time.Hour)
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.ForgetEvents(ctx) })
	view(t, db, func(ctx context.Context, tx *Tx) error {
		var n int
		_, err := tx.row(ctx, `SELECT count(*) FROM acme_event`, nil, &n)
		if n != 5 {
			t.Errorf("%d events are kept", n)
		}
		return err
	})
}

// What becomes of an order is not written over one that has taken its place.
func TestOrderThatWasGivenUpStaysSo(t *testing.T) {
	db, now := at(t)
	o := OrderRow{Domain: "a.example", Names: hosts("mail.a.example"), Since: *now, Due: *now}
	put := func(o OrderRow) {
		update(t, db, func(ctx context.Context, tx *Tx) error { return tx.PutOrder(ctx, o) })
	}
	set := func(was, o OrderRow) error {
		return db.Update(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.SetOrder(ctx, was, o) })
	}
	finish := func(o OrderRow) {
		update(t, db, func(ctx context.Context, tx *Tx) error { return tx.FinishOrder(ctx, o) })
	}
	read := func() (o OrderRow, found bool) {
		view(t, db, func(ctx context.Context, tx *Tx) (err error) {
			o, found, err = tx.Order(ctx, "a.example")
			return err
		})
		return o, found
	}
	put(o)
	begun := o
	begun.URL, begun.Key = "https://a.test/order/1", []byte("key")
	if err := set(o, begun); err != nil {
		t.Fatal(err)
	}
	later := OrderRow{Domain: "a.example", Names: hosts("imap.a.example"), Since: now.Add(time.Hour), Due: *now}
	put(later)
	if err := set(begun, begun); !errors.Is(err, ErrGivenUp) {
		t.Errorf("%v", err)
	}
	finish(begun)
	if got, found := read(); !found || got.URL != "" || got.Names[0] != later.Names[0] {
		t.Errorf("%+v, %v", got, found)
	}
	finish(later)
	if _, found := read(); found {
		t.Error("it stands after it was filled")
	}
	if err := set(later, later); !errors.Is(err, ErrGivenUp) {
		t.Errorf("%v", err)
	}
}

// A proof stands although the domain changes, and only an order takes it away.
func TestProofStandsBesideTheDomainsRecords(t *testing.T) {
	db, _ := at(t)
	n := mail.StoredName("a.example")
	own := mail.Record{Name: "a.example", Type: mail.TypeTXT, TTL: 60, Values: []string{"v=spf1 -all"}, Why: mail.ForSPF}
	proof := mail.Record{Name: "_acme-challenge.a.example", Type: mail.TypeTXT, TTL: 60, Values: []string{"digest"}, Why: mail.ForACME}
	update(t, db, func(ctx context.Context, tx *Tx) error {
		if _, _, err := tx.WantRecords(ctx, n, nil, []mail.Record{own}, false); err != nil {
			return err
		}
		if err := tx.PutProof(ctx, n, proof); err != nil {
			return err
		}
		rows, err := tx.RecordsOf(ctx, n)
		if err != nil {
			return err
		}
		_, _, err = tx.WantRecords(ctx, n, rows, nil, false)
		return err
	})
	wanted := func() (w []string) {
		view(t, db, func(ctx context.Context, tx *Tx) error {
			rows, err := tx.RecordsOf(ctx, n)
			for _, r := range rows {
				if r.Wanted {
					w = append(w, r.Value)
				}
			}
			stand, e := tx.Proofs(ctx)
			if len(stand[n]) != len(w) {
				t.Errorf("proofs: %v", stand)
			}
			return errors.Join(err, e)
		})
		return w
	}
	if w := wanted(); len(w) != 1 || w[0] != "digest" {
		t.Errorf("wanted: %q", w)
	}
	other := proof
	other.Values = []string{"v=spf1 -all"}
	update(t, db, func(ctx context.Context, tx *Tx) error {
		return errors.Join(tx.DropProof(ctx, n, other), tx.DropProof(ctx, n, proof))
	})
	if w := wanted(); len(w) != 0 {
		t.Errorf("wanted: %q", w)
	}
}

func TestWhatIsDueNext(t *testing.T) {
	db, now := at(t)
	due := func(rotate time.Duration) (at time.Time) {
		view(t, db, func(ctx context.Context, tx *Tx) (err error) {
			at, err = tx.Due(ctx, rotate, 30*24*time.Hour)
			return err
		})
		return at
	}
	if at := due(time.Hour); !at.IsZero() {
		t.Errorf("of nothing, something is due at %v", at)
	}
	update(t, db, add("user1", "a.example"))
	exec := func(text string, args ...any) {
		t.Helper()
		update(t, db, func(ctx context.Context, tx *Tx) error { _, err := tx.exec(ctx, text, args...); return err })
	}
	in := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	const day = 24 * time.Hour
	for _, c := range []struct {
		what, text string
		args       []any
		rotate     time.Duration
		want       time.Duration
	}{
		{"deleted mail", `INSERT INTO deleted (at, until, user, kind, object, domain, owner, mailboxes, used, content, state) VALUES (0, ?, '', 'domain', 'x', 'x', '', 0, 0, '{}', 'kept')`, []any{in(7 * day)}, 0, 7 * day},
		{"a key that signs", `INSERT INTO dkim_key (domain, selector, private, record, state, since, due, tries) VALUES ('a.example', 's', 'p', 'r', 'signing', ?, ?, 0)`, []any{in(-10 * day), in(day)}, 0, 7 * day},
		{"a key that signs, to be replaced", `UPDATE dkim_key SET tries = 0`, nil, 16 * day, 6 * day},
		{"an old key", `INSERT INTO dkim_key (domain, selector, private, record, state, since, due, tries) VALUES ('a.example', 'o', 'p', 'r', 'old', 0, ?, 0)`, []any{in(5 * day)}, 0, 5 * day},
		{"a certificate that nobody vouches for, of a domain that shows none", `INSERT INTO certificate (name, chain, key, expire, source, fingerprint) VALUES ('a.example', 'c', 'k', ?, 'selfsigned', 'f')`, []any{in(34 * day)}, 0, 5 * day},
		{"and that shows one", `UPDATE domain SET secure = 1`, nil, 0, 4 * day},
		{"an authority's", `UPDATE certificate SET source = 'letsencrypt', renew = ?, ask = ?`, []any{in(3 * day), in(4 * day)}, 0, 4 * day}, // the domain wants one of its own
		{"an authority's, as it is to be", `UPDATE domain SET ssl_name = 'letsencrypt'`, nil, 0, 3 * day},
		{"to be asked about", `UPDATE certificate SET ask = ?`, []any{in(2 * day)}, 0, 2 * day},
		{"a record", `INSERT INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due) VALUES ('a.example', 'n', 'TXT', 'v', 60, 'spf', 1, 'pending', '', 1, ?)`, []any{in(day)}, 0, day},
		{"an order", `INSERT INTO ssl_order (domain, names, directory, url, key, challenge, step, failures, since, due, kind, text, args, detail) VALUES ('a.example', 'n', '', '', '', '', '', 0, 1, ?, '', '', 'null', '')`, []any{in(time.Hour)}, 0, time.Hour},
	} {
		exec(c.text, c.args...)
		if at := due(c.rotate); !at.Equal(now.Add(c.want).Truncate(time.Millisecond)) {
			t.Errorf("%s: due at %v, want %v", c.what, at.Sub(*now), c.want)
		}
	}
}
