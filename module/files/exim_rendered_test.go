package files_test

import (
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// rendered publishes a domain and its mailboxes as the module does.
func rendered(t *testing.T, tree *files.Tree, d mail.Domain, boxes ...mail.Mailbox) {
	t.Helper()
	l := tree.Layout()
	d.Mailboxes = int64(len(boxes))
	settings, err := l.DomainFile(d)
	if err != nil {
		t.Fatal(err)
	}
	names, err := l.MailboxesFile(d.Name, boxes)
	if err != nil {
		t.Fatal(err)
	}
	users, err := l.UsersFile(d, boxes)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []files.File{users, names, settings} {
		if err := tree.Put(f); err != nil {
			t.Fatal(err)
		}
	}
}

func domain(t *testing.T, name string) mail.Domain {
	t.Helper()
	n, err := mail.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return mail.NewDomain(n, "owner")
}

func mailbox(t *testing.T, tree *files.Tree, address, password string) mail.Mailbox {
	t.Helper()
	a, err := mail.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.MakeBox(a); err != nil {
		t.Fatal(err)
	}
	return mail.Mailbox{Domain: a.Domain, Name: a.Local, Active: true, Password: mail.PasswordHash("{PLAIN}" + password)}
}

// What the module renders is what both servers understand: every kind of name, a
// change of password, and suspension with the sessions that it ends.
func TestServersObeyWhatTheModuleRenders(t *testing.T) {
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	tree, err := files.OpenTree(root, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	d := domain(t, "bücher.example")
	const at = "@xn--bcher-kva.example"
	var boxes []mail.Mailbox
	for _, name := range []string{"post", "a.b", "a-b", "a_b", "a=b", "a+b", "0", strings.Repeat("long", 16)} {
		boxes = append(boxes, mailbox(t, tree, name+at, "first."))
	}
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	rendered(t, tree, d, boxes...)
	for _, b := range boxes {
		done(t, x, send(t, x, stranger, b.Address().String()))
		l, err := x.Letters(limited(t), b.Address().String(), "first.", "INBOX")
		if err != nil || len(l) != 1 {
			t.Errorf("%s: %d letters, %v", b.Address(), len(l), err)
		}
	}

	for i := range boxes {
		boxes[i].Password = "{PLAIN}second"
	}
	rendered(t, tree, d, boxes...)
	boxes[0].Password = "{PLAIN}third."
	rendered(t, tree, d, boxes...)
	waitRefused(t, x, "post"+at, "first.")
	for password, want := range map[string]bool{"first.": false, "second": false, "third.": true} {
		if got := logsIn(t, x, "post"+at, password); got != want {
			t.Errorf("%s: %v", password, got)
		}
	}

	c, err := x.IMAP(limited(t), "post"+at, "third.")
	if err != nil {
		t.Fatal(err)
	}
	d.Active = false
	rendered(t, tree, d, boxes...)
	waitRefused(t, x, "post"+at, "third.")
	if err := tree.EndSessions(limited(t), []string{"*" + at}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Closed():
	case <-time.After(10 * time.Second):
		t.Error("a session goes on")
	}
	if r := ask(t, x, "post"+at); r.Code != 450 {
		t.Errorf("suspended: %v", r)
	}
	if logsIn(t, x, "post"+at, "third.") {
		t.Error("suspended, and logs in")
	}
	d.Active = true
	rendered(t, tree, d, boxes...)
	for deadline := time.Now().Add(30 * time.Second); ; { // by one way: Dovecot may look at its file between two
		c, err := x.IMAP(limited(t), "post"+at, "third.")
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("resumed, and cannot log in: ", err)
		}
	}
	if !logsIn(t, x, "post"+at, "third.") {
		t.Error("resumed, and not everywhere")
	}
	noFault(t, x)
}

// waitRefused waits until Dovecot has looked at its file, which it does once a second.
func waitRefused(t *testing.T, x *lab.Exim, login, password string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		c, err := x.IMAP(limited(t), login, password)
		if err != nil {
			return
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%s logs in still", login)
		}
	}
}
