package store

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

var values = cmpopts.EquateComparable(mail.Name{}, mail.Address{}, mail.LocalPart{}, mail.Target{}, mail.Selector{}, netip.Addr{})

func mustTarget(t testing.TB, a mail.DefaultAction, s string) mail.Target {
	t.Helper()
	to, err := mail.ParseTarget(a, s)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// settled is a domain with every setting away from its default.
func settled(t testing.TB, name string) mail.Domain {
	t.Helper()
	n, err := mail.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	email, err := mail.ParseAddress("tls+x@пример.рф")
	if err != nil {
		t.Fatal(err)
	}
	return mail.Domain{
		Name: n, Owner: "user 1 ' \" %_", IP: netip.MustParseAddr("2001:db8::1"),
		Defaction: mail.ForwardAll, Redirval: mustTarget(t, mail.ForwardAll, "me+tag@пример.рф"),
		Greylist: true, Spamassassin: true, Avcheck: true,
		DKIM: true, DKIMSelector: mail.StoredSelector("s1.x"), DKIMKeylen: 1024, DMARC: true,
		Secure: true, SecureAlias: []mail.Name{n, mail.StoredName("imap." + n.String())}, SSLName: "cert_1", SSLChallenge: mail.ChallengeDNS, Email: email,
	}
}

func find(t testing.TB, db *DB, n mail.Name) (d mail.Domain, found bool) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx *Tx) (err error) {
		d, found, err = tx.Domain(ctx, n)
		return err
	})
	return d, found
}

func TestDomainIsReadAsItWasWritten(t *testing.T) {
	now := epoch
	db := openAt(t, t.TempDir()+"/maildomain.db", func() time.Time { return now })
	d, plain := settled(t, "Bücher.example"), mail.NewDomain(mail.StoredName("plain.example"), "user1")
	update(t, db, func(ctx context.Context, tx *Tx) error {
		if err := tx.InsertDomain(ctx, &plain); err != nil {
			return err
		}
		return tx.InsertDomain(ctx, &d)
	})
	made := now.UTC().Truncate(time.Millisecond)
	if !d.Created.Equal(made) || !d.Changed.Equal(made) {
		t.Errorf("made at %v, %v; want %v", d.Created, d.Changed, made)
	}
	for _, want := range []mail.Domain{d, plain} {
		got, found := find(t, db, want.Name)
		if diff := cmp.Diff(want, got, values); !found || diff != "" {
			t.Errorf("found %v (-want +got):\n%s", found, diff)
		}
	}

	now = now.Add(time.Hour)
	d.Active, d.Defaction, d.Redirval, d.Owner = true, mail.ForwardDomain, mustTarget(t, mail.ForwardDomain, "пример.рф"), "user2"
	d.UseAnyIP()
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.UpdateDomain(ctx, &d) })
	if got, _ := find(t, db, d.Name); !cmp.Equal(d, got, values) || !got.Created.Equal(made) || !got.Changed.Equal(made.Add(time.Hour)) {
		t.Errorf("changed (-want +got):\n%s", cmp.Diff(d, got, values))
	}
	if got, _ := find(t, db, plain.Name); !cmp.Equal(plain, got, values) {
		t.Errorf("another domain changed:\n%s", cmp.Diff(plain, got, values))
	}

	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.DeleteDomain(ctx, d.Name) })
	if _, found := find(t, db, d.Name); found {
		t.Error("deleted, and there")
	}
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.DeleteDomain(ctx, d.Name) }) // harmless
	checkNames(t, db, "plain.example")
}

// The table refuses what no domain can be, whatever the code above it does.
func TestDatabaseHoldsItsOwnRules(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	for what, spoil := range map[string]func(*mail.Domain){
		"a name twice":            func(d *mail.Domain) { d.Name = mail.StoredName("a.example") },
		"no such action":          func(d *mail.Domain) { d.Defaction = "discard" },
		"a forward to nowhere":    func(d *mail.Domain) { d.Defaction = mail.ForwardAll },
		"a target of no forward":  func(d *mail.Domain) { d.Redirval = mustTarget(t, mail.ForwardAll, "a@b.example") },
		"a key of no such length": func(d *mail.Domain) { d.DKIMKeylen = 512 },
	} {
		d := mail.NewDomain(mail.StoredName("b.example"), "user1")
		spoil(&d)
		if err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.InsertDomain(ctx, &d) }); err == nil {
			t.Errorf("%s was written", what)
		}
	}
	checkNames(t, db, "a.example")
	checkCounts(t, db)
}

// checkCounts holds the counters of rows against a recount.
func checkCounts(t rapid.TB, db *DB) {
	t.Helper()
	err := db.View(context.Background(), func(ctx context.Context, tx *Tx) error {
		recount := map[string]int64{}
		all := int64(0)
		if err := tx.Domains(ctx, func(d mail.Domain) error { recount[d.Owner]++; all++; return nil }); err != nil {
			return err
		}
		s, err := tx.State(ctx)
		if err != nil {
			return err
		}
		if s.Domains != all {
			t.Errorf("counted %d domains, there are %d", s.Domains, all)
		}
		for _, o := range []string{"", "a", "b", "c", "user1", "user2", "nobody"} {
			n, err := tx.CountOf(ctx, o)
			if err != nil {
				return err
			}
			if n.Emaildomains != recount[o] {
				t.Errorf("counted %d domains of %q, there are %d", n.Emaildomains, o, recount[o])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("count: %v", err)
	}
}

func TestOwnersAreCountedWhateverHappens(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			n := mail.StoredName(pick("name", "a.example", "b.example", "c.example", "d.example"))
			owner := pick("owner", "a", "b", "c")
			what := pick("what", "insert", "delete", "move", "suspend", "fail")
			err := db.Update(context.Background(), func(ctx context.Context, tx *Tx) error {
				d, found, err := tx.Domain(ctx, n)
				if err != nil {
					return err
				}
				switch {
				case what == "delete":
					return tx.DeleteDomain(ctx, n)
				case !found:
					d = mail.NewDomain(n, owner)
					return tx.InsertDomain(ctx, &d)
				case what == "suspend":
					d.Active = !d.Active
				case what == "move":
					d.Owner = owner
				case what == "insert": // twice: fails, and is undone
					return tx.InsertDomain(ctx, &d)
				}
				if err := tx.UpdateDomain(ctx, &d); err != nil || what != "fail" {
					return err
				}
				if err := tx.DeleteDomain(ctx, n); err != nil {
					return err
				}
				return context.DeadlineExceeded
			})
			if err != nil && what != "fail" && what != "insert" {
				t.Fatalf("%s: %v", what, err)
			}
		}
		checkCounts(t, db)
	})
}

func TestOtherOwnersNear(t *testing.T) {
	family := []string{
		"a.b", "a-b", "axb", "a.b.c", "xa.b", "x.a.b", "y.x.a.b", "b.c", "a-b.c", "x.a-b.c", "b-c", "b0.c", "a.b0.c", "x.b.c", "c.b.a", "xn--e1a.b", "a.xn--e1a.b",
	}
	db := open(t)
	rapid.Check(t, func(t *rapid.T) {
		owners := map[string]string{}
		for _, n := range rapid.SliceOfDistinct(rapid.SampledFrom(family), rapid.ID[string]).Draw(t, "standing") {
			owners[n] = rapid.SampledFrom([]string{"u", "v", "w"}).Draw(t, "owner of "+n)
		}
		err := db.Update(context.Background(), func(ctx context.Context, tx *Tx) error {
			for n, o := range owners {
				if err := add(o, n)(ctx, tx); err != nil {
					return err
				}
			}
			for _, n := range family {
				want := false
				for other, o := range owners {
					above, below := strings.HasSuffix(n, "."+other), strings.HasSuffix(other, "."+n)
					want = want || o != "u" && (above && strings.Contains(other, ".") || below)
				}
				got, err := tx.OtherOwnerNear(ctx, mail.StoredName(n), "u")
				if err != nil {
					return err
				}
				if got != want {
					t.Errorf("near %s among %v: %v", n, owners, got)
				}
			}
			return context.Canceled // leave nothing
		})
		if err != context.Canceled {
			t.Fatal(err)
		}
	})
}

func TestForwardsLeadOn(t *testing.T) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx *Tx) error {
		for n, d := range map[string]struct {
			a  mail.DefaultAction
			to string
		}{"a.b": {mail.ForwardDomain, "пример.рф"}, "a-b.c": {mail.ForwardAll, "x@a.b"}, "axb.c": {mail.Refuse, ""}} {
			row := mail.NewDomain(mail.StoredName(n), "user1")
			row.Defaction, row.Redirval = d.a, mustTarget(t, d.a, d.to)
			if err := tx.InsertDomain(ctx, &row); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		for n, want := range map[string]string{"a.b": "xn--e1afmkfd.xn--p1ai", "a-b.c": "", "axb.c": "", "none.example": ""} {
			to, err := tx.ForwardsTo(ctx, mail.StoredName(n))
			if err != nil || to.String() != want || to.IsZero() != (want == "") {
				t.Errorf("%s forwards to %q, %v; want %q", n, to, err, want)
			}
		}
		return nil
	})
}

func TestSourceIPsAreInTheOrderOfNames(t *testing.T) {
	db := open(t)
	ips := map[string]string{"b.example": "192.0.2.1", "a.example": "2001:db8::1", "c.example": "", "a-b.example": "192.0.2.2"}
	update(t, db, func(ctx context.Context, tx *Tx) error {
		for n, ip := range ips {
			d := mail.NewDomain(mail.StoredName(n), "user1")
			if ip != "" {
				d.IP = netip.MustParseAddr(ip)
			}
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, err := tx.SourceIPs(ctx)
		var said []string
		for _, s := range got {
			said = append(said, s.Name.String()+" "+s.IP.String())
		}
		want := []string{"a-b.example 192.0.2.2", "a.example 2001:db8::1", "b.example 192.0.2.1"}
		if !slices.Equal(said, want) {
			t.Errorf("%q, want %q", said, want)
		}
		return err
	})
}
