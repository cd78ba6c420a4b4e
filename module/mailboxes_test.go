package module

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
	"maildomain/module/store"
)

func TestMailboxIsInTheFilesFromItsFirstDayToItsLast(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	was := w.everything(t)
	const exim, dovecot, box = "etc/exim4/mailboxes/a.example", "etc/dovecot/users/a.example", "info@a.example"
	addBox(t, w, as("user1"), "Info@A.Example", "maxsize", "10", "aliases", "sales", "forward", "x@y.example")
	check := func(eximLines []string, user string) {
		t.Helper()
		if diff := cmp.Diff(eximLines, linesOf(t, w, exim)); diff != "" {
			t.Errorf("for Exim (-want +got):\n%s", diff)
		}
		got := linesOf(t, w, dovecot)
		if len(got) != 1 || !regexp.MustCompile(user).MatchString(got[0]) {
			t.Errorf("for Dovecot: %q, want %s", got, user)
		}
		checkConsistent(t, w)
	}
	const hash = `^info:\{ARGON2ID\}\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}::::/var/vmail/a.example/info::userdb_quota_rule=\*:bytes=`
	check([]string{
		"info: kind=box state=active greylist=on spamassassin=on keep=yes forward=x@y.example", "sales: kind=alias to=info@a.example",
	}, hash+"10485760$")
	if i, err := os.Stat(w.mailOf(box)); err != nil || i.Mode() != fs.ModeDir|0o700 {
		t.Errorf("its directory: %v, %v", i, err)
	}
	if !slices.Contains(linesOf(t, w, "etc/exim4/domains/a.example"), "mailboxes: on") {
		t.Error("Exim does not know that there are mailboxes")
	}

	// A change of one setting leaves the others, and the password.
	before, _ := boxIn(t, w, box)
	changeBox(t, w, as("user1"), box, "maxsize", "0")
	after, _ := boxIn(t, w, box)
	if after.Password != before.Password || !after.PasswdAt.Equal(before.PasswdAt) || after.JoinAliases() != "sales" || after.MaxSize != 0 {
		t.Errorf("the mailbox is %v", after.Values())
	}
	check([]string{
		"info: kind=box state=active greylist=on spamassassin=on keep=yes forward=x@y.example", "sales: kind=alias to=info@a.example",
	}, hash+"0$")
	changeBox(t, w, as("user1"), box, "passwd", "another horse", "dontsave", "on", "aliases", "")
	changed, _ := boxIn(t, w, box)
	if changed.Password == before.Password || !changed.PasswdAt.After(before.PasswdAt) {
		t.Error("the password is the old one")
	}
	check([]string{"info: kind=box state=active greylist=on spamassassin=on keep=no forward=x@y.example"}, hash+"0$")

	group(t, w.SuspendMailboxes, as("user1"), box)
	check([]string{"info: kind=box state=suspended greylist=on spamassassin=on keep=no forward=x@y.example"}, `^info:\{CRYPT\}!::::`)
	group(t, w.ResumeMailboxes, as("user1"), box)
	if b, _ := boxIn(t, w, box); b.Password != changed.Password {
		t.Error("resumed with another password")
	}
	check([]string{"info: kind=box state=active greylist=on spamassassin=on keep=no forward=x@y.example"}, hash)
	group(t, w.SuspendDomains, as("user1"), "a.example")
	check([]string{"info: kind=box state=active greylist=on spamassassin=on keep=no forward=x@y.example"}, `^info:\{CRYPT\}!::::`)
	group(t, w.ResumeDomains, as("user1"), "a.example")
	check([]string{"info: kind=box state=active greylist=on spamassassin=on keep=no forward=x@y.example"}, hash)

	group(t, w.DeleteMailboxes, as("user1"), box)
	settle(t, w)
	now := w.everything(t)
	delete(now, "var/vmail/a.example") // the directory of the domain may stay
	delete(was, "var/vmail")           // its time differs, which is nothing
	delete(now, "var/vmail")
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("after the last mailbox (-want +got):\n%s", diff)
	}
	checkConsistent(t, w)
}

func TestWrongMailboxesAreRefusedAndLeaveNothing(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	add(t, w, as("user2"), "b.example")
	addBox(t, w, as("user1"), "info@a.example", "aliases", "sales")
	was, revised := w.everything(t), revision(t, w)
	for what, c := range map[string]struct {
		e           mail.MailboxEdit
		kind        mail.Kind
		field, text string
	}{
		"no domain":              {boxEdit("name", "x", "passwd", "correct horse"), mail.Invalid, "domainname", "value_domainname"},
		"a domain of nobody":     {newBoxEdit("x@none.example"), mail.Invalid, "domainname", "value_domainname"},
		"somebody else's":        {newBoxEdit("x@b.example"), mail.Invalid, "domainname", "value_domainname"},
		"no domain name":         {boxEdit("name", "x", "domainname", "../a.example", "passwd", "correct horse"), mail.Invalid, "domainname", "value_domainname"},
		"no name":                {newBoxEdit("@a.example"), mail.Invalid, "name", "value_box_required"},
		"a wrong name":           {newBoxEdit("a+b@a.example"), mail.Invalid, "name", "value_box"},
		"an address elsewhere":   {boxEdit("name", "x@b.example", "domainname", "a.example", "passwd", "correct horse"), mail.Invalid, "name", "value_box"},
		"no password":            {boxEdit("name", "x", "domainname", "a.example"), mail.Invalid, "passwd", "value_passwd_required"},
		"taken by a mailbox":     {newBoxEdit("INFO@a.example"), mail.Exists, "name", ""},
		"taken by an alias":      {newBoxEdit("sales@a.example"), mail.Exists, "name", "exists_box"},
		"its alias a mailbox":    {newBoxEdit("x@a.example", "aliases", "info"), mail.Exists, "aliases", "exists_box"},
		"its alias another's":    {newBoxEdit("x@a.example", "aliases", "y sales"), mail.Exists, "aliases", "exists_box"},
		"a forward to nowhere":   {newBoxEdit("x@a.example", "forward", "nonsense"), mail.Invalid, "forward", "value_forward"},
		"a line break in a note": {newBoxEdit("x@a.example", "note", "a\nb"), mail.Invalid, "note", "value_note"},
	} {
		_, err := w.AddMailbox(t.Context(), as("user1"), c.e)
		checkError(t, what, err, c.kind, c.field, c.text)
	}
	for what, c := range map[string]struct {
		e           mail.MailboxEdit
		kind        mail.Kind
		field, text string
	}{
		"another name":     {boxEdit("name", "other"), mail.Invalid, "name", "value_box_fixed"},
		"another domain":   {boxEdit("domainname", "b.example"), mail.Invalid, "domainname", "value_box_fixed"},
		"a short password": {boxEdit("passwd", "short"), mail.Invalid, "passwd", "value_passwd_short"},
		"itself an alias":  {boxEdit("aliases", "info"), mail.Invalid, "aliases", "value_aliases_self"},
		"a wrong size":     {boxEdit("maxsize", "much"), mail.Invalid, "maxsize", "value_maxsize"},
	} {
		_, err := w.EditMailbox(t.Context(), as("user1"), "info@a.example", c.e)
		checkError(t, what, err, c.kind, c.field, c.text)
	}
	for _, e := range []mail.MailboxEdit{{}, boxEdit("name", "INFO"), boxEdit("name", "info@A.example", "domainname", "A.Example."), boxEdit("aliases", "sales@a.example", "passwd", "")} {
		if _, err := w.EditMailbox(t.Context(), as("user1"), "Info@A.example", e); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if diff := cmp.Diff(was, w.everything(t)); diff != "" || revision(t, w) != revised {
		t.Errorf("something changed (-want +got):\n%s", diff)
	}
	checkConsistent(t, w)
}

// A mailbox of others answers exactly as one that is not there.
func TestForeignMailboxIsNone(t *testing.T) {
	w := newWorld(t)
	for _, o := range []string{"user1", "user2", "user3", "reseller2"} {
		add(t, w, as(o), o+".example")
		addBox(t, w, as(o), "box@"+o+".example", "note", "secret")
	}
	ops := map[string]func(by Actor, elid string) error{
		"open": func(by Actor, elid string) error {
			_, err := w.OpenMailbox(t.Context(), by, elid, mail.MailboxEdit{})
			return err
		},
		"edit": func(by Actor, elid string) error {
			_, err := w.EditMailbox(t.Context(), by, elid, boxEdit("note", "mine"))
			return err
		},
		"edit wrongly": func(by Actor, elid string) error {
			_, err := w.EditMailbox(t.Context(), by, elid, boxEdit("maxsize", "x", "passwd", "y"))
			return err
		},
		"suspend": func(by Actor, elid string) error { return one(w.SuspendMailboxes(t.Context(), by, []string{elid})) },
		"resume":  func(by Actor, elid string) error { return one(w.ResumeMailboxes(t.Context(), by, []string{elid})) },
		"clear":   func(by Actor, elid string) error { return one(w.ClearMailboxes(t.Context(), by, []string{elid})) },
		"delete":  func(by Actor, elid string) error { return one(w.DeleteMailboxes(t.Context(), by, []string{elid})) },
	}
	was, revised := w.everything(t), revision(t, w)
	for user, foreign := range map[string][]string{
		"user1": {"user2", "user3", "reseller2"}, "user3": {"user1", "user2", "reseller2"}, "reseller1": {"user3", "reseller2"}, "reseller2": {"user1", "user2", "user3"},
	} {
		for _, o := range foreign {
			for what, op := range ops {
				theirs := op(as(user), "box@"+o+".example")
				checkError(t, user+" "+what+" of "+o, theirs, mail.NotFound, "elid", "")
				for _, none := range []string{"none@" + o + ".example", "box@none.example"} {
					a, _ := errors.AsType[*mail.Error](theirs)
					b, _ := errors.AsType[*mail.Error](op(as(user), none))
					if a == nil || b == nil {
						continue
					}
					x, y := *a, *b
					x.Value, y.Value = "", ""
					if diff := cmp.Diff(x, y); diff != "" || a.Value != "box@"+o+".example" || b.Value != none {
						t.Errorf("%s %s: %q and %q differ: %s", user, what, a.Value, b.Value, diff)
					}
				}
			}
		}
		rows, total, err := w.ListMailboxes(t.Context(), as(user), "", mail.MailboxQuery{Sort: "name", Limit: 100})
		if err != nil || int(total) != len(rows) {
			t.Errorf("%s lists %d of %d, %v", user, len(rows), total, err)
		}
		for _, r := range rows {
			if slices.Contains(foreign, r.Owner) {
				t.Errorf("%s sees %s", user, r.Address())
			}
		}
		_, _, err = w.ListMailboxes(t.Context(), as(user), foreign[0]+".example", mail.MailboxQuery{Sort: "name", Limit: 100})
		checkError(t, user+" lists "+foreign[0], err, mail.NotFound, "elid", "")
	}
	if diff := cmp.Diff(was, w.everything(t)); diff != "" || revision(t, w) != revised {
		t.Errorf("something changed (-want +got):\n%s", diff)
	}
}

func (w *world) limit(name string, limits map[string]int64) {
	u := everyone().users[name]
	u.Limits = limits
	w.people.set(u)
}

func TestPlanLimitsMailboxes(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	w.limit("user1", map[string]int64{"emails": 2, "email_quota": 100})
	refused := func(what, field string, err error) {
		t.Helper()
		checkError(t, what, err, mail.Limit, field, "limit_"+field)
	}
	try := func(address string, pairs ...string) error {
		_, err := w.AddMailbox(t.Context(), as("user1"), newBoxEdit(address, pairs...))
		return err
	}
	edit := func(address string, pairs ...string) error {
		_, err := w.EditMailbox(t.Context(), as("user1"), address, boxEdit(pairs...))
		return err
	}
	refused("without a limit of its own", "email_quota", try("x@a.example"))
	refused("too large", "email_quota", try("x@a.example", "maxsize", "101"))
	addBox(t, w, as("user1"), "x@a.example", "maxsize", "60")
	refused("too large together", "email_quota", try("y@b.example", "maxsize", "41"))
	addBox(t, w, as("user1"), "y@b.example", "maxsize", "40")
	refused("too many", "emails", try("z@a.example", "maxsize", "0"))
	refused("grows", "email_quota", edit("y@b.example", "maxsize", "41"))
	refused("without limit", "email_quota", edit("y@b.example", "maxsize", "0"))
	changeBox(t, w, as("user1"), "y@b.example", "maxsize", "39")
	changeBox(t, w, as("user1"), "x@a.example", "maxsize", "61")

	// The administrator is held to the owner's plan too.
	_, err := w.AddMailbox(t.Context(), as("admin"), newBoxEdit("z@a.example", "maxsize", "0"))
	refused("by the administrator", "emails", err)

	// A smaller plan stops only what needs more.
	w.limit("user1", map[string]int64{"emails": 1, "email_quota": 10})
	changeBox(t, w, as("user1"), "x@a.example", "note", "as large as before", "maxsize", "61")
	changeBox(t, w, as("user1"), "x@a.example", "maxsize", "30", "passwd", "another horse")
	group(t, w.SuspendMailboxes, as("user1"), "x@a.example")
	group(t, w.ResumeMailboxes, as("user1"), "x@a.example")
	refused("grows under a smaller plan", "email_quota", edit("x@a.example", "maxsize", "31"))
	refused("more under a smaller plan", "emails", try("z@a.example", "maxsize", "1"))

	// What is deleted is free at once.
	w.limit("user1", map[string]int64{"emails": 2, "email_quota": 69})
	refused("no room", "emails", try("z@a.example", "maxsize", "39"))
	group(t, w.DeleteMailboxes, as("user1"), "y@b.example")
	addBox(t, w, as("user1"), "z@a.example", "maxsize", "39")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	addBox(t, w, as("user1"), "v@b.example", "maxsize", "69")
	checkConsistent(t, w)
}

func TestDomainIsGivenAwayWithItsMailboxes(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	addBox(t, w, as("user1"), "x@a.example", "maxsize", "60")
	addBox(t, w, as("user1"), "y@a.example", "maxsize", "40")
	deliver(t, w, "x@a.example", "a letter")
	was := w.everything(t)
	pass := func() error {
		return one(w.PassDomains(t.Context(), as("reseller1"), []string{"a.example"}, "user2"))
	}
	w.limit("user2", map[string]int64{"emails": 1})
	checkError(t, "too many", pass(), mail.Limit, "emails", "limit_emails")
	w.limit("user2", map[string]int64{"email_quota": 99})
	checkError(t, "too large", pass(), mail.Limit, "email_quota", "limit_email_quota")
	_, err := w.EditDomain(t.Context(), as("reseller1"), "a.example", edit("owner", "user2"))
	checkError(t, "too large", err, mail.Limit, "email_quota", "limit_email_quota")
	w.limit("user2", map[string]int64{"emails": 2, "email_quota": 100})
	if err := pass(); err != nil {
		t.Fatal(err)
	}
	counts := func(owner string, want store.Count) {
		t.Helper()
		err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.CountOf(ctx, owner)
			if n != want {
				t.Errorf("%s has %+v, want %+v", owner, n, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	counts("user1", store.Count{})
	counts("user2", store.Count{Emaildomains: 1, Emails: 2, Quota: 100})
	if diff := cmp.Diff(was, w.everything(t)); diff != "" {
		t.Errorf("files changed (-want +got):\n%s", diff)
	}
	checkError(t, "the old owner", one(w.DeleteMailboxes(t.Context(), as("user1"), []string{"x@a.example"})), mail.NotFound, "elid", "")
	changeBox(t, w, as("user2"), "x@a.example", "note", "mine")
	checkConsistent(t, w)
}

// What a mailbox held goes to the trash, and it is there at once, empty.
func TestClearedMailboxIsEmptyAndStays(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	addBox(t, w, as("user1"), "x@a.example", "maxsize", "60")
	deliver(t, w, "x@a.example", "one", "two", "three")
	if err := w.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, _ := boxIn(t, w, "x@a.example"); b.Used != 11 {
		t.Errorf("%d bytes are counted", b.Used)
	}
	was := w.tree(t, "etc")
	group(t, w.ClearMailboxes, as("user1").request("r1"), "x@a.example")
	if left, err := os.ReadDir(w.mailOf("x@a.example")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if b, _ := boxIn(t, w, "x@a.example"); b.Used != 0 {
		t.Errorf("%d bytes are counted still", b.Used)
	}
	if diff := cmp.Diff(was, w.tree(t, "etc")); diff != "" {
		t.Error(diff)
	}
	settle(t, w)
	deliver(t, w, "x@a.example", "new")
	group(t, w.ClearMailboxes, as("user1").request("r1"), "x@a.example") // a repeat
	if _, err := os.Stat(filepath.Join(w.mailOf("x@a.example"), "Maildir")); err != nil {
		t.Errorf("a repeated request took the new mail: %v", err)
	}
	id := deletedOf(t, w, as("user1"), "x@a.example")
	checkError(t, "bring back", one(w.RestoreDeleted(t.Context(), as("user1"), id)), mail.Exists, "name", "exists_box")
	checkConsistent(t, w)
}

// Sessions of whoever may no longer log in are ended; of others they are not.
func TestSessionsThatAreOverAreEnded(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	addBox(t, w, as("user1"), "x@a.example")
	addBox(t, w, as("user1"), "x@b.example")
	over := func(what string, want ...string) {
		t.Helper()
		w.over.mu.Lock()
		defer w.over.mu.Unlock()
		if got := sortedKeys(w.over.left); !slices.Equal(got, want) {
			t.Errorf("%s: over are %q, want %q", what, got, want)
		}
		clear(w.over.left)
	}
	over("added")
	changeBox(t, w, as("user1"), "x@a.example", "note", "n", "maxsize", "5")
	over("changed")
	changeBox(t, w, as("user1"), "x@a.example", "passwd", "another horse")
	over("another password", "x@a.example")
	group(t, w.SuspendMailboxes, as("user1"), "x@a.example")
	over("suspended", "x@a.example")
	group(t, w.ResumeMailboxes, as("user1"), "x@a.example")
	over("resumed")
	group(t, w.SuspendDomains, as("user1"), "a.example")
	over("domain suspended", "*@a.example")
	group(t, w.ResumeDomains, as("user1"), "a.example")
	over("domain resumed")
	group(t, w.DeleteMailboxes, as("user1"), "x@a.example")
	over("deleted", "x@a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example", "b.example")
	over("domains deleted", "*@b.example") // the other has nobody left to log in
	if err := w.EndSessions(t.Context()); err != nil {
		t.Errorf("without Dovecot: %v", err)
	}
}

func TestPasswordIsNowhereButInItsPlaces(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	p := &Preview{}
	by := as("user1")
	by.Preview = p
	if _, err := w.AddMailbox(t.Context(), by, newBoxEdit("x@a.example")); err != nil {
		t.Fatal(err)
	}
	addBox(t, w, as("user1").request("r1"), "x@a.example")
	changeBox(t, w, as("user1").request("r2"), "x@a.example", "passwd", "another horse")
	group(t, w.DeleteMailboxes, by, "x@a.example")
	group(t, w.DeleteDomains, by, "a.example")
	group(t, w.DeleteMailboxes, as("user1").request("r3"), "x@a.example")
	var said []string
	for _, c := range history(t, w, "x@a.example") {
		said = append(said, string(c.Before), string(c.After))
	}
	for _, c := range p.Changes() {
		for _, s := range c.Settings {
			said = append(said, s.Before, s.After)
		}
		for _, f := range c.Files {
			said = append(said, f.Diff)
		}
	}
	said = append(said, w.log.String())
	if len(said) < 3*2+10+3+1 {
		t.Errorf("only %d texts", len(said))
	}
	for _, s := range said {
		if strings.Contains(s, "argon2") || strings.Contains(s, "horse") {
			t.Errorf("it stands in %s", s)
		}
	}
}

// A mailbox without a limit is more than any plan with one allows, also when its
// whole domain changes hands.
func TestUnlimitedMailboxesDoNotGoToALimitedOwner(t *testing.T) {
	w := newWorld(t)
	limited, _, err := w.people.panel().User(t.Context(), "user2")
	if err != nil {
		t.Fatal(err)
	}
	limited.Limits = map[string]int64{"email_quota": 1000}
	w.people.set(limited)
	add(t, w, as("user1"), "a.example")
	p := "geheim99"
	if _, err := w.AddMailbox(t.Context(), as("user1"), mail.MailboxEdit{Name: "post", Domain: "a.example", Passwd: &p}); err != nil {
		t.Fatal(err)
	}
	done, err := w.PassDomains(t.Context(), as("admin"), []string{"a.example"}, "user2")
	if err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	checkError(t, "pass", done[0].Err, mail.Limit, "email_quota", "limit_email_quota")
	size := "900"
	if _, err := w.EditMailbox(t.Context(), as("user1"), "post@a.example", mail.MailboxEdit{MaxSize: &size}); err != nil {
		t.Fatal(err)
	}
	done, err = w.PassDomains(t.Context(), as("admin"), []string{"a.example"}, "user2")
	all(t, done, err)
}
