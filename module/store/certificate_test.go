package store

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

// signed is a certificate row for names that nobody vouches for.
func signed(t testing.TB, name string, names ...string) CertificateRow {
	t.Helper()
	var ns []mail.Name
	for _, n := range names {
		ns = append(ns, mail.StoredName(n))
	}
	c, err := mail.SelfSign(ns, epoch, epoch.Add(90*24*time.Hour).Truncate(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	c.Name, c.Expire = name, c.Expire.UTC()
	return CertificateRow{Certificate: c, Source: mail.SelfSigned}
}

// securedDomain is a domain of user1 that shows a certificate for names.
func securedDomain(name string, names ...string) mail.Domain {
	d := mail.NewDomain(mail.StoredName(name), "user1")
	d.Secure, d.SecureAlias = true, nil
	for _, n := range names {
		d.SecureAlias = append(d.SecureAlias, mail.StoredName(n))
	}
	return d
}

func TestCertificateIsReadAsItWasWritten(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", func() time.Time { return epoch })
	want := signed(t, "a.example", "mail.a.example")
	before := signed(t, "a.example", "mail.a.example")
	want.Source, want.Renew, want.Ask, want.Problem = mail.LetsEncrypt, epoch.Add(time.Hour).Truncate(time.Second).UTC(), epoch.Truncate(time.Second).UTC(), "ssl_gone"
	want.Before, want.BeforeSource = mail.Certificate{Name: "a.example", Chain: before.Chain, Key: before.Key}, mail.SelfSigned
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.PutCertificate(ctx, want) })
	chain, err := mail.ParseChain(want.Chain)
	if err != nil {
		t.Fatal(err)
	}
	want.Fingerprint = hex.EncodeToString(chain.Fingerprint[:])
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, found, err := tx.Certificate(ctx, "a.example")
		if diff := cmp.Diff(want, got); !found || diff != "" {
			t.Errorf("found %v (-want +got):\n%s", found, diff)
		}
		if f, err := tx.Fingerprint(ctx, "a.example"); err != nil || f != want.Fingerprint {
			t.Errorf("fingerprint %q, %v", f, err)
		}
		return err
	})
}

func TestServedAreTheCertificatesOfDomainsThatHaveOneOn(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", func() time.Time { return epoch })
	on, off, none := securedDomain("b.example", "mail.b.example", "b.example"), securedDomain("a.example", "mail.a.example"), securedDomain("c.example", "mail.c.example")
	off.Secure = false
	update(t, db, func(ctx context.Context, tx *Tx) error {
		for _, d := range []*mail.Domain{&on, &off, &none} {
			if err := tx.InsertDomain(ctx, d); err != nil {
				return err
			}
		}
		for _, n := range []string{"b.example", "a.example", mail.ServerCertificate} {
			if err := tx.PutCertificate(ctx, signed(t, n, "mail."+n)); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		rows, err := tx.ServedRows(ctx)
		if len(rows) != 1 || rows[0].Domain != on.Name || !slices.Equal(rows[0].Names, on.SecureAlias) || rows[0].Fingerprint == "" ||
			rows[0].Source != mail.SelfSigned || !rows[0].Expire.Equal(epoch.Add(90*24*time.Hour).Truncate(time.Second)) {
			t.Errorf("%+v", rows)
		}
		lacking, err2 := tx.DomainsWithoutCertificate(ctx, mail.Name{}, 10)
		if !slices.Equal(lacking, []mail.Name{none.Name}) {
			t.Errorf("without one: %v", lacking)
		}
		if err == nil {
			err = err2
		}
		return err
	})
	for name, expire := range map[string]bool{"b.example": true, "a.example": false, "c.example": false} {
		if d, _ := find(t, db, mail.StoredName(name)); d.SSLExpire.IsZero() == expire {
			t.Errorf("%s ends %v", name, d.SSLExpire)
		}
	}
}

// Thousands of chains and keys are not read to know what is served.
func TestServedIsReadFromIndexesAlone(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", time.Now)
	view(t, db, func(ctx context.Context, tx *Tx) error {
		plans := map[string]int{}
		for _, q := range []string{
			`SELECT d.name, d.secure_alias, c.fingerprint, c.source, c.expire
				FROM domain d INDEXED BY domain_served CROSS JOIN certificate c INDEXED BY certificate_served ON c.name = d.name WHERE d.secure = 1 ORDER BY d.name`,
			`SELECT fingerprint FROM certificate INDEXED BY certificate_served WHERE name = 'default'`,
		} {
			rows, err := tx.s.conn.QueryContext(ctx, `EXPLAIN QUERY PLAN `+q)
			if err != nil {
				return err
			}
			for rows.Next() {
				var id, parent, zero int
				var said string
				if err := rows.Scan(&id, &parent, &zero, &said); err != nil {
					return err
				}
				plans[said]++
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		want := map[string]int{
			"SCAN d USING COVERING INDEX domain_served": 1, "SEARCH c USING COVERING INDEX certificate_served (name=?)": 1,
			"SEARCH certificate USING COVERING INDEX certificate_served (name=?)": 1,
		}
		if diff := cmp.Diff(want, plans); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// What is wrong goes before what is on its way, and DNS before what hangs on it.
func TestNoteTellsWhatIsWrongBeforeWhatIsPending(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", func() time.Time { return epoch })
	d := securedDomain("a.example", "mail.a.example")
	o := OrderRow{Domain: "a.example", Names: d.SecureAlias, Since: epoch, Due: epoch}
	failed := o
	failed.Kind, failed.Text, failed.Failures = "unproven", "acme_unproven", 1
	finding := func(why mail.Purpose) func(context.Context, *Tx) error {
		return func(ctx context.Context, tx *Tx) error {
			_, err := tx.exec(ctx, `INSERT OR REPLACE INTO finding (domain, name, type, why, state, text, args, seen, at) VALUES ('a.example', ?1, '', ?1, 'wrong', '', '{}', '[]', 0)`, string(why))
			if err != nil {
				return err
			}
			return tx.RenewNote(ctx, d.Name)
		}
	}
	c := signed(t, "a.example", "mail.a.example")
	for _, step := range []struct {
		do   func(context.Context, *Tx) error
		note string
	}{
		{func(ctx context.Context, tx *Tx) error { return tx.InsertDomain(ctx, &d) }, ""},
		{func(ctx context.Context, tx *Tx) error { return tx.PutOrder(ctx, o) }, "ssl_pending"},
		{func(ctx context.Context, tx *Tx) error {
			_, _, err := tx.WantRecords(ctx, d.Name, nil, []mail.Record{{Name: "mail.a.example", Type: mail.TypeA, Values: []string{"192.0.2.1"}}}, false)
			return err
		}, "dns_pending"},
		{func(ctx context.Context, tx *Tx) error { return tx.PutOrder(ctx, failed) }, "ssl"},
		{func(ctx context.Context, tx *Tx) error { return tx.DropOrder(ctx, "a.example") }, "dns_pending"},
		{func(ctx context.Context, tx *Tx) error { return tx.PutCertificate(ctx, c) }, "dns_pending"},
		{func(ctx context.Context, tx *Tx) error { return tx.NoteCertificate(ctx, "a.example", "ssl_gone") }, "ssl"},
		{func(ctx context.Context, tx *Tx) error { return tx.NoteCertificate(ctx, "a.example", "") }, "dns_pending"},
		{finding("tls"), "ssl"},
		{finding("mx"), "dns"},
		{func(ctx context.Context, tx *Tx) error {
			_, err := tx.exec(ctx, `DELETE FROM finding WHERE why = 'mx'`)
			d.Secure = false
			if err == nil {
				err = tx.UpdateDomain(ctx, &d)
			}
			if err == nil {
				err = tx.RenewServed(ctx, d.Name)
			}
			return err
		}, "dns_pending"},
	} {
		update(t, db, step.do)
		if got, _ := find(t, db, d.Name); got.Note != step.note {
			t.Errorf("note is %q, want %q", got.Note, step.note)
		}
	}
}

func TestDeletedDomainKeepsItsCertificateForItsOwnerAlone(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", func() time.Time { return epoch })
	c := signed(t, "a.example", "mail.a.example")
	c.Source, c.Renew = mail.LetsEncrypt, epoch.Add(time.Hour).UTC()
	var id int64
	update(t, db, func(ctx context.Context, tx *Tx) (err error) {
		id, err = tx.InsertDeleted(ctx, Deleted{Object: "a.example", Name: mail.StoredName("a.example"), Owner: "user1", Domain: map[string]string{"name": "a.example"},
			Until: epoch.Add(24 * time.Hour), Certificate: &c})
		return err
	})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, _, err := tx.Deleted(ctx, id)
		if diff := cmp.Diff(&c, got.Certificate); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		for owner, want := range map[string]int{"user1": 1, "user2": 0} {
			cs, err := tx.Reusable(ctx, mail.StoredName("a.example"), owner, mail.StoredName("mail.a.example"))
			if err != nil || len(cs) != want {
				t.Errorf("%s can use %d again, %v", owner, len(cs), err)
			}
		}
		return nil
	})
}

func TestOwnerOverIsThatOfTheLongestDomain(t *testing.T) {
	db := openAt(t, t.TempDir()+"/maildomain.db", time.Now)
	above, below := mail.NewDomain(mail.StoredName("b.example"), "user1"), mail.NewDomain(mail.StoredName("a.b.example"), "user2")
	update(t, db, func(ctx context.Context, tx *Tx) error {
		if err := tx.InsertDomain(ctx, &above); err != nil {
			return err
		}
		return tx.InsertDomain(ctx, &below)
	})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		for name, want := range map[string]string{
			"b.example": "user1", "mail.b.example": "user1", "a.b.example": "user2", "x.a.b.example": "user2", "xa.b.example": "user1", "ab.example": "", "example.com": "",
		} {
			if got, err := tx.OwnerOver(ctx, mail.StoredName(name)); err != nil || got != want {
				t.Errorf("over %s is %q, %v; want %q", name, got, err, want)
			}
		}
		return nil
	})
}
