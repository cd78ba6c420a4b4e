package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

const letter = "From: someone@elsewhere.test\nSubject: a test\n\nhello\n"

// boxes runs Exim and Dovecot over a domain with one name of each kind, and with a
// default action that would take whatever the routers for names let through.
func boxes(t *testing.T) (*lab.Exim, string) {
	t.Helper()
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "box.example", action("redirect", "caught@other.example")...)
	lab.PutBoxes(t, root, "box.example",
		lab.Box{Name: "post", Aliases: []string{"info", "sales"}},
		lab.Box{Name: "asleep", Suspended: true, Aliases: []string{"nap"}},
		lab.Box{Name: "both", Forward: []string{"away@foreign.test"}},
		lab.Box{Name: "away", Forward: []string{"one@foreign.test", "post@box.example"}, DontSave: true},
		lab.Box{Name: "ring", Forward: []string{"ring2@box.example"}, DontSave: true},
		lab.Box{Name: "ring2", Forward: []string{"ring@box.example"}, DontSave: true},
		lab.Box{Name: "here", Forward: []string{"here2@box.example"}},
		lab.Box{Name: "here2", Forward: []string{"here@box.example"}},
		lab.Box{Name: "a+b"},
		lab.Box{Name: "full", Quota: 20_000, Aliases: []string{"brim"}},
		lab.Box{Name: "lost"},
	)
	lab.PutDomain(t, root, "other.example", action("error")...)
	lab.PutBoxes(t, root, "other.example", lab.Box{Name: "caught"})
	lab.PutDomain(t, root, "off.example", suspend(action("error"))...)
	lab.PutBoxes(t, root, "off.example", lab.Box{Name: "post", Suspended: true})
	lab.PutDomain(t, root, "leads.example", action("redirdomain", "box.example")...)
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	return x, root
}

// noFault holds that neither server found anything wrong with its files.
func noFault(t *testing.T, x *lab.Exim) {
	t.Helper()
	noPanic(t, x)
	if faults, err := x.Dovecot.Faults(); err != nil || len(faults) > 0 {
		t.Errorf("Dovecot's faults: %q, %v", faults, err)
	}
}

// inbox waits for n letters in a box.
func inbox(t *testing.T, x *lab.Exim, login string, n int) []string {
	t.Helper()
	l, err := x.WaitLetters(limited(t), login, n)
	if err != nil {
		t.Fatal(err)
	}
	if len(l) != n {
		t.Fatalf("%s has %d letters, want %d", login, len(l), n)
	}
	return l
}

func TestLetterReachesTheBoxAndIsReadOverIMAPSAndPOP3S(t *testing.T) {
	x, _ := boxes(t)
	r, err := x.Send(limited(t), stranger, "POST@Box.Example", letter)
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	imaps := inbox(t, x, "post@box.example", 1)[0]
	pop3s, err := x.POP3(limited(t), "Post@BOX.example", lab.Secret)
	if err != nil || len(pop3s) != 1 {
		t.Fatal(pop3s, err)
	}
	for name, got := range map[string]string{"imaps": strings.ReplaceAll(imaps, "\r\n", "\n"), "pop3s": pop3s[0]} {
		for _, want := range []string{"Return-Path: <" + stranger + ">\n", "Envelope-to: POST@Box.Example\n", "\n\nhello\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, got)
			}
		}
	}
	noFault(t, x)
}

// The default action would take every one of these addresses.
func TestNamesComeBeforeTheDefaultAction(t *testing.T) {
	x, _ := boxes(t)
	for to, want := range map[string]struct {
		answer string
		routed string // by exim -bt; empty: not asked
	}{
		"post@box.example":       {"250 Accepted", "router = box, transport = mailbox"},
		"post+tag@box.example":   {"250 Accepted", "post@box.example\n    <-- post+tag@box.example\n  router = box"},
		"post+a+b@box.example":   {"250 Accepted", "post@box.example\n    <-- post+a+b@box.example\n  router = box"},
		"info@box.example":       {"250 Accepted", "post@box.example\n    <-- info@box.example\n  router = box"},
		"info+tag@box.example":   {"250 Accepted", "post@box.example\n    <-- info@box.example\n    <-- info+tag@box.example"},
		"INFO@BOX.EXAMPLE":       {"250 Accepted", "post@box.example"},
		"a+b@box.example":        {"250 Accepted", "a+b@box.example\n  router = box"},
		"asleep@box.example":     {"450 4.2.1 the mailbox is suspended, try again later", "mailbox is suspended"},
		"asleep+tag@box.example": {"450 4.2.1 the mailbox is suspended, try again later", "mailbox is suspended"},
		"nap@box.example":        {"450 4.2.1 the mailbox is suspended, try again later", "mailbox is suspended"},
		"both@box.example":       {"250 Accepted", "away@foreign.test"},
		"away@box.example":       {"250 Accepted", "one@foreign.test"},
		"ring@box.example":       {"550 5.4.6 the forwarding leads back to itself", ""},
		"here@box.example":       {"250 Accepted", "here2@box.example"},
		"nobody@box.example":     {"250 Accepted", "caught@other.example"},
		"nobody+x@box.example":   {"250 Accepted", "caught@other.example"},
		"post.x@box.example":     {"250 Accepted", "caught@other.example"},
		"nobody@other.example":   {"550 5.1.1 no such mailbox", ""},
		"post@off.example":       {"450 4.2.1 the mail domain is suspended, try again later", ""},
		"any@off.example":        {"450 4.2.1 the mail domain is suspended, try again later", ""},
		"post@leads.example":     {"250 Accepted", "post@box.example\n    <-- post@leads.example\n  router = box"},
		"asleep@leads.example":   {"450 4.2.1 the mailbox is suspended, try again later", ""},
	} {
		if r := ask(t, x, to); replyLine(r) != want.answer {
			t.Errorf("%s: %s, want %s", to, replyLine(r), want.answer)
		}
		if want.routed == "" {
			continue
		}
		r := route(t, x, to)
		if !strings.Contains(r.Text, want.routed) {
			t.Errorf("%s goes: %s\nwant %s", to, r.Text, want.routed)
		}
		if strings.Contains(r.Text, "caught@") != strings.Contains(want.routed, "caught@") {
			t.Errorf("%s: default action: %s", to, r.Text)
		}
	}
	noPanic(t, x)
}

func TestForwardSavesACopyUnlessToldNotTo(t *testing.T) {
	x, _ := boxes(t)
	for _, to := range []string{"both@box.example", "away@box.example", "here@box.example"} {
		done(t, x, send(t, x, stranger, to))
	}
	inbox(t, x, "both@box.example", 1)
	inbox(t, x, "away@box.example", 0)
	inbox(t, x, "post@box.example", 1)
	inbox(t, x, "here@box.example", 1)
	inbox(t, x, "here2@box.example", 1)
	var to []string
	for _, l := range letters(t, x.Sink, 2) {
		to = append(to, l.To...)
	}
	if got := strings.Join(to, " "); got != "away@foreign.test one@foreign.test" {
		t.Errorf("sent on to %s", got)
	}
	noFault(t, x)
}

// Each is told of the address that he has himself, and of no other recipient.
func TestPlusAddressesAndBlindCopiesStayApart(t *testing.T) {
	x, _ := boxes(t)
	done(t, x, send(t, x, stranger, "post+tag@box.example", "a+b@box.example", "caught@other.example"))
	for login, own := range map[string]string{
		"post@box.example": "post+tag@box.example", "a+b@box.example": "a+b@box.example", "caught@other.example": "caught@other.example",
	} {
		l := inbox(t, x, login, 1)[0]
		if !strings.Contains(l, "Envelope-to: "+own+"\r\n") {
			t.Errorf("%s lacks its address:\n%s", login, l)
		}
		if strings.Count(l, ".example") != strings.Count(l, login)+strings.Count(strings.ReplaceAll(l, login, ""), own) {
			t.Errorf("%s sees another address:\n%s", login, l)
		}
	}
}

// What cannot be read is nobody's reason to refuse, and never the default action's
// to take.
func TestNamesThatCannotBeReadDefer(t *testing.T) {
	x, root := boxes(t)
	name := files.Debian.Mailboxes() + "/box.example"
	for what, text := range map[string]string{
		"no kind":          "post: state=active keep=yes\n",
		"unknown kind":     "post: kind=list state=active keep=yes\n",
		"unknown state":    "post: kind=box state=on keep=yes\n",
		"no keep":          "post: kind=box state=active\n",
		"nothing":          "post:\n",
		"alias to nowhere": "post: kind=alias\n",
		"alias to a pipe":  "post: kind=alias to=|/bin/sh\n",
		"alias to two":     "post: kind=alias to=a@box.example,b@box.example\n",
		"forward to file":  "post: kind=box state=active keep=no forward=/tmp/stolen\n",
		"forward include":  "post: kind=box state=active keep=no forward=:include:/etc/passwd\n",
		"forward nowhere":  "post: kind=box state=active keep=no\n",
	} {
		lab.Put(t, root, name, "# maildomain 1: a test\n"+text)
		if r := ask(t, x, "post@box.example"); replyLine(r) != "451 4.3.5 the mailbox cannot be read, try again later" {
			t.Errorf("%s: %s", what, replyLine(r))
		}
	}
	lab.Put(t, root, name, "")
	if err := os.Chown(filepath.Join(root, name), 0, 0); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, x, "post@box.example"); r.Code/100 != 4 {
		t.Errorf("unreadable: %s", replyLine(r))
	}
	if err := os.Remove(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, x, "post@box.example"); r.Code != 250 {
		t.Errorf("no names: %s", replyLine(r)) // the default action's
	}
	lab.PutDomain(t, root, "box.example", append(action("redirect", "caught@other.example"), "mailboxes: on")...)
	for _, to := range []string{"post@box.example", "nobody@box.example"} {
		if r := ask(t, x, to); replyLine(r) != "451 4.3.5 mailboxes of the domain cannot be read, try again later" {
			t.Errorf("%s, but the file is gone: %s", to, replyLine(r))
		}
	}
	if r, err := person(t, x, "post@box.example").Rcpt(limited(t), "post@box.example", "friend@foreign.test"); err != nil || r.Code != 451 {
		t.Errorf("a login sends meanwhile: %v, %v", r, err)
	}
	if err := os.Rename(filepath.Join(root, files.Debian.Mailboxes()), filepath.Join(root, "gone")); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, x, "post@box.example"); r.Code != 451 {
		t.Errorf("no directory: %s", replyLine(r))
	}
}
