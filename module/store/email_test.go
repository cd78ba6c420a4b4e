package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// box is a mailbox as one would be added, with every setting at something.
func box(domain, name string, aliases ...string) mail.Mailbox {
	b := mail.Mailbox{
		Domain: mail.StoredName(domain), Name: mail.StoredLocalPart(name), Active: true, Password: "{CRYPT}" + mail.PasswordHash(name),
		PasswdAt: epoch.UTC().Truncate(time.Millisecond), MaxSize: 100, Spamassassin: true, Note: "note of " + name,
		Forward: []mail.Address{mail.StoredAddress("a@b.example"), mail.StoredAddress("c+d@xn--e1afmkfd.xn--p1ai")},
	}
	for _, a := range aliases {
		b.Aliases = append(b.Aliases, mail.StoredLocalPart(a))
	}
	return b
}

func insert(boxes ...mail.Mailbox) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		for i := range boxes {
			if err := tx.InsertMailbox(ctx, &boxes[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// mailboxes compares a mailbox by all that the database keeps of it.
var mailboxes = gocmp.Options{
	gocmp.Comparer(func(a, b mail.Name) bool { return a == b }), gocmp.Comparer(func(a, b mail.LocalPart) bool { return a == b }),
	gocmp.Comparer(func(a, b mail.PasswordHash) bool { return a == b }),
}

func checkSound(t rapid.TB, db *DB) {
	t.Helper()
	wrong, err := db.Check(context.Background())
	if err != nil || len(wrong) > 0 {
		t.Fatalf("check: %q, %v", wrong, err)
	}
}

func TestMailboxIsReadBackAsItWasWritten(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	b := box("a.example", "info", "sales", "x=y_z")
	b.DontSave, b.Used = true, 1<<40
	update(t, db, insert(b))
	now := epoch.UTC().Truncate(time.Millisecond)
	b.Created, b.Changed = now, now
	check := func(want mail.Mailbox) {
		t.Helper()
		view(t, db, func(ctx context.Context, tx *Tx) error {
			got, found, err := tx.Mailbox(ctx, want.Address())
			if err != nil || !found {
				t.Fatalf("there is none: %v", err)
			}
			if diff := gocmp.Diff(want, got, mailboxes); diff != "" {
				t.Error(diff)
			}
			all, err := tx.MailboxesOf(ctx, want.Domain)
			if len(all) != 1 || !gocmp.Equal(all[0], got, mailboxes) {
				t.Errorf("of the domain: %+v", all)
			}
			return err
		})
	}
	check(b)
	b.Active, b.Password, b.MaxSize, b.Note, b.DontSave, b.Greylist, b.Spamassassin = false, "{CRYPT}other", 7, "", false, true, false
	b.Aliases, b.Forward, b.PasswdAt = []mail.LocalPart{mail.StoredLocalPart("new")}, nil, now.Add(time.Hour)
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.UpdateMailbox(ctx, &b) })
	check(b)
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.DeleteMailbox(ctx, b.Address()) })
	view(t, db, func(ctx context.Context, tx *Tx) error {
		_, found, err := tx.Mailbox(ctx, b.Address())
		if found {
			t.Error("deleted, and there")
		}
		return err
	})
	checkSound(t, db)
}

func TestNameIsAMailboxOrAnAliasOnce(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example", "b.example"))
	update(t, db, insert(box("a.example", "info", "sales"), box("a.example", "other")))
	view(t, db, func(ctx context.Context, tx *Tx) error {
		for _, c := range []struct {
			at, but string
			want    bool
		}{
			{"info@a.example", "", true}, {"sales@a.example", "", true}, {"none@a.example", "", false}, {"info@b.example", "", false},
			{"info@a.example", "info", false}, {"sales@a.example", "info", false}, {"info@a.example", "other", true}, {"sales@a.example", "other", true},
		} {
			taken, err := tx.NameTaken(ctx, mail.StoredAddress(c.at), mail.StoredLocalPart(c.but))
			if err != nil || taken != c.want {
				t.Errorf("%s but for %q: taken %v, %v", c.at, c.but, taken, err)
			}
		}
		return nil
	})
	for what, b := range map[string]mail.Mailbox{"a mailbox twice": box("a.example", "info"), "an alias twice": box("a.example", "third", "sales"), "of no domain": box("c.example", "x")} {
		if err := db.Update(t.Context(), insert(b)); err == nil {
			t.Errorf("%s was kept", what)
		}
	}
	checkSound(t, db)
}

func TestDeletedDomainTakesItsMailboxesAlong(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example", "a.example.org"))
	update(t, db, insert(box("a.example", "info", "x"), box("a.example", "b"), box("a.example.org", "info", "x")))
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.DeleteDomain(ctx, mail.StoredName("a.example")) })
	view(t, db, func(ctx context.Context, tx *Tx) error {
		n, err := tx.CountOf(ctx, "user1")
		if n != (Count{Emaildomains: 1, Emails: 1, Quota: 100}) {
			t.Errorf("the owner has %+v", n)
		}
		return err
	})
	checkSound(t, db)
	update(t, db, add("user1", "a.example"))
	update(t, db, insert(box("a.example", "x", "info"))) // no alias of old is in the way
}

// A counter that is spoilt by hand is told, whichever it is.
func TestEverySpoiltCounterIsFound(t *testing.T) {
	for _, c := range []struct{ spoil, said string }{
		{`UPDATE meta SET emaildomains = 9`, "9 mail domains are counted, 1 are there"},
		{`UPDATE owner SET emaildomains = 9`, "9 mail domains of user1 are counted, 1 are there"},
		{`UPDATE owner SET emails = 9`, "9 mailboxes of user1 are counted, 2 are there"},
		{`UPDATE owner SET quota = 9`, "9 megabytes for mailboxes of user1 are counted, 200 are there"},
		{`UPDATE domain SET mailboxes = 9`, "9 mailboxes in a.example are counted, 2 are there"},
		{`UPDATE domain SET quota = 9`, "9 megabytes for mailboxes in a.example are counted, 200 are there"},
		{`UPDATE domain SET used = 9`, "9 bytes used in a.example are counted, 5 are there"},
		{`INSERT INTO owner (name, emaildomains, emails) VALUES ('nobody', 0, 3)`, "3 mailboxes of nobody are counted, 0 are there"},
		{`INSERT INTO alias VALUES ('a.example', 'info', 'other')`, "info@a.example is a mailbox and an alias"},
		{`INSERT INTO alias VALUES ('a.example', 'stray', 'other')`, "stray@a.example is not among the aliases of other@a.example"},
		{`DELETE FROM alias`, "x@a.example is an alias of info@a.example and not found as one"},
	} {
		path := filepath.Join(t.TempDir(), "maildomain.db")
		db := openAt(t, path, time.Now)
		update(t, db, add("user1", "a.example"))
		info := box("a.example", "info", "x")
		info.Used = 5
		update(t, db, insert(info, box("a.example", "other")))
		checkSound(t, db)
		if _, err := raw(t, path).Exec(c.spoil); err != nil {
			t.Fatal(err)
		}
		wrong, err := db.Check(t.Context())
		if err != nil || !slices.Contains(wrong, c.said) {
			t.Errorf("%s: %q, %v", c.spoil, wrong, err)
		}
	}
}

// Whatever is done in whatever order, what is counted is what is there.
func TestCountersFollowEveryChange(t *testing.T) {
	db := open(t)
	rapid.Check(t, func(t *rapid.T) {
		err := db.Update(context.Background(), func(ctx context.Context, tx *Tx) error {
			c := counted{t: t, ctx: ctx, tx: tx, boxes: map[string]mail.Mailbox{}, domains: map[string]string{}}
			steps := map[string]func(*rapid.T){
				"add a domain": c.addDomain, "give a domain away": c.giveDomain, "delete a domain": c.deleteDomain,
				"add a mailbox": c.addMailbox, "change a mailbox": c.changeMailbox, "delete a mailbox": c.deleteMailbox, "fill": c.fill,
			}
			for range rapid.IntRange(1, 15).Draw(t, "steps") {
				steps[rapid.SampledFrom(slices.Sorted(maps.Keys(steps))).Draw(t, "step")](t)
				c.check(t)
			}
			for n := range c.domains {
				c.must(tx.DeleteDomain(ctx, mail.StoredName(n)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	checkSound(t, db)
}

// counted is what was done, counted the plain way.
type counted struct {
	t       *rapid.T
	ctx     context.Context
	tx      *Tx
	domains map[string]string // owner, by name
	boxes   map[string]mail.Mailbox
}

func (c *counted) must(err error) {
	if err != nil {
		c.t.Fatal(err)
	}
}

// some draws one of the keys of a map; "" where there is none.
func some[V any](t *rapid.T, of map[string]V) string {
	if len(of) == 0 {
		return ""
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(of))).Draw(t, "one of")
}

var ownersOfBoxes = []string{"user1", "user2", "user3"}

func (c *counted) addDomain(t *rapid.T) {
	n := rapid.SampledFrom([]string{"a.example", "b.example", "a-example.org"}).Draw(t, "name")
	if c.domains[n] == "" {
		c.domains[n] = rapid.SampledFrom(ownersOfBoxes).Draw(t, "owner")
		c.must(add(c.domains[n], n)(c.ctx, c.tx))
	}
}

func (c *counted) giveDomain(t *rapid.T) {
	n := some(t, c.domains)
	if n == "" {
		return
	}
	d, _, err := c.tx.Domain(c.ctx, mail.StoredName(n))
	c.must(err)
	d.Owner = rapid.SampledFrom(ownersOfBoxes).Draw(t, "owner")
	c.domains[n] = d.Owner
	c.must(c.tx.UpdateDomain(c.ctx, &d))
}

func (c *counted) deleteDomain(t *rapid.T) {
	n := some(t, c.domains)
	c.must(c.tx.DeleteDomain(c.ctx, mail.StoredName(n)))
	delete(c.domains, n)
	maps.DeleteFunc(c.boxes, func(_ string, b mail.Mailbox) bool { return b.Domain.String() == n })
}

func (c *counted) addMailbox(t *rapid.T) {
	b := box(some(t, c.domains), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"))
	b.MaxSize, b.Used = rapid.Int64Range(0, 1000).Draw(t, "maxsize"), rapid.Int64Range(0, 1<<40).Draw(t, "used")
	if _, is := c.boxes[b.Address().String()]; !is && len(c.domains) > 0 {
		c.boxes[b.Address().String()] = b
		c.must(insert(b)(c.ctx, c.tx))
	}
}

func (c *counted) changeMailbox(t *rapid.T) {
	b, is := c.boxes[some(t, c.boxes)]
	if !is {
		return
	}
	b.MaxSize, b.Active = rapid.Int64Range(0, 1000).Draw(t, "maxsize"), rapid.Bool().Draw(t, "active")
	c.boxes[b.Address().String()] = b
	c.must(c.tx.UpdateMailbox(c.ctx, &b))
}

func (c *counted) deleteMailbox(t *rapid.T) {
	a := some(t, c.boxes)
	c.must(c.tx.DeleteMailbox(c.ctx, mail.StoredAddress(a)))
	delete(c.boxes, a)
}

func (c *counted) fill(t *rapid.T) {
	c.must(c.tx.SetUsed(c.ctx, mail.StoredAddress("none@none.example"), 5))
	for a, b := range c.boxes {
		b.Used = rapid.Int64Range(0, 1<<40).Draw(t, "used")
		c.boxes[a] = b
		c.must(c.tx.SetUsed(c.ctx, b.Address(), b.Used))
	}
}

func (c *counted) check(t *rapid.T) {
	has := map[string]Count{}
	for n, o := range c.domains {
		of := has[o]
		var mailboxes, quota, used int64
		for _, b := range c.boxes {
			if b.Domain.String() == n {
				mailboxes, quota, used = mailboxes+1, quota+b.MaxSize, used+b.Used
			}
		}
		has[o] = Count{of.Emaildomains + 1, of.Emails + mailboxes, of.Quota + quota}
		d, _, err := c.tx.Domain(c.ctx, mail.StoredName(n))
		if err != nil || d.Mailboxes != mailboxes || d.Quota != quota || d.Used != used {
			t.Fatalf("%s counts %d mailboxes, %d MB, %d bytes, %v; want %d, %d, %d", n, d.Mailboxes, d.Quota, d.Used, err, mailboxes, quota, used)
		}
	}
	for _, o := range ownersOfBoxes {
		if n, err := c.tx.CountOf(c.ctx, o); err != nil || n != has[o] {
			t.Fatalf("%s has %+v, %v; want %+v", o, n, err, has[o])
		}
	}
}

// What a mailbox holds is no change of what is wanted: no file follows from it.
func TestWhatMailboxesHoldIsNoRevision(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	update(t, db, insert(box("a.example", "x")))
	was := state(t, db).Revision
	if err := db.SetUsed(t.Context(), map[mail.Address]int64{mail.StoredAddress("x@a.example"): 5}); err != nil {
		t.Fatal(err)
	}
	if now := state(t, db).Revision; now != was {
		t.Errorf("revision %d, was %d", now, was)
	}
}

// A database of the version before mailboxes, with what it had in it.
func TestDatabaseOfTheFirstVersionIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	first, err := migrations.ReadFile("migrations/0001_domains.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := raw(t, path)
	text := string(first) + `; PRAGMA user_version = 1;`
	for i, n := range []string{"a.example", "b.example", "c.example"} {
		text += fmt.Sprintf(`INSERT INTO domain VALUES ('%[1]s', '%[1]s', 'example.%[2]s.', 'user%[3]d', 1, '', 'redirect', 'x@y.example', 1, 0, 0,
			1, 'dkim', 1024, 0, 0, 'mail.%[1]s', 'selfsigned', 'admin@%[1]s', 1000, 2000);`, n, n[:1], i%2)
	}
	text += `INSERT INTO audit VALUES (7, 1000, 'r1', 'user0', '', '', 'emaildomain.edit', 'a.example', '', '{"name":"a.example"}');
		INSERT INTO request VALUES ('r1', 'a.example', 'user0', 'emaildomain.edit', '{}', 1000); UPDATE meta SET revision = 3, clean = 1;`
	if _, err := old.Exec(text); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, path, time.Now)
	if s := state(t, db); s != (State{Revision: 3, Clean: true, Domains: 3}) {
		t.Errorf("the state is %+v", s)
	}
	checkSound(t, db)
	view(t, db, func(ctx context.Context, tx *Tx) error {
		d, _, err := tx.Domain(ctx, mail.StoredName("a.example"))
		want := mail.NewDomain(mail.StoredName("a.example"), "user0")
		want.Defaction, want.DKIM, want.DKIMKeylen, want.Greylist = mail.ForwardAll, true, 1024, true
		want.Redirval, _ = mail.ParseTarget(mail.ForwardAll, "x@y.example")
		if diff := gocmp.Diff(want.Values(), d.Values()); diff != "" || d.Mailboxes != 0 || d.Quota != 0 || d.Used != 0 || d.Note != "" || !d.SSLExpire.IsZero() {
			t.Errorf("%+v (-want +got):\n%s", d, diff)
		}
		n, errCount := tx.CountOf(ctx, "user0")
		if n != (Count{Emaildomains: 2}) {
			t.Errorf("user0 has %+v", n)
		}
		_, found, errAnswer := tx.Answered(ctx, "r1", "a.example")
		if !found {
			t.Error("the answer is gone")
		}
		return firstError(err, errCount, errAnswer)
	})
	update(t, db, insert(box("a.example", "x"), box("c.example", "y")))
	update(t, db, func(ctx context.Context, tx *Tx) error { return tx.DeleteDomain(ctx, mail.StoredName("c.example")) })
	update(t, db, add("user9", "new.example"))
	checkSound(t, db)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
