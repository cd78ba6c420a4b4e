package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

func TestFullBoxRefusesWhileTheSenderIsThere(t *testing.T) {
	x, root := boxes(t)
	fill := "Subject: large\n\n" + strings.Repeat(strings.Repeat("x", 70)+"\n", 270)
	if r, err := x.Send(limited(t), stranger, "full@box.example", fill); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	inbox(t, x, "full@box.example", 1)
	for _, to := range []string{"full@box.example", "brim@box.example", "full+tag@box.example", "full@leads.example"} {
		k := open(t, x.Addr())
		k.want(220, "")
		k.want(250, "EHLO client.test")
		k.want(250, "MAIL FROM:<"+stranger+"> SIZE=30000")
		if got := k.want(552, "RCPT TO:<"+to+">"); !strings.HasPrefix(got, "5.2.2 the mailbox is full") {
			t.Errorf("%s: %s", to, got)
		}
		k.want(250, "RCPT TO:<post@box.example>")
	}
	// A small letter still goes in, over the limit by less than a tenth; then nothing
	// more does, whether its size is told or not.
	if r, err := x.Send(limited(t), stranger, "full@box.example", letter); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	inbox(t, x, "full@box.example", 2)
	if r := ask(t, x, "full@box.example"); replyLine(r) != "552 5.2.2 the mailbox is full" {
		t.Errorf("over its limit: %v", r)
	}
	// Dovecot keeps the count where the module reads it.
	b, err := os.ReadFile(filepath.Join(root, "var/vmail/box.example/full/Maildir/maildirsize"))
	if err != nil || !strings.HasPrefix(string(b), "20000S\n") {
		t.Errorf("maildirsize %q, %v", b, err)
	}
	done(t, x, send(t, x, stranger, "post@box.example"))
	if b, err := os.ReadFile(filepath.Join(root, "var/vmail/box.example/post/Maildir/maildirsize")); err != nil || !strings.HasPrefix(string(b), "0S\n") {
		t.Errorf("of a box without a limit: %q, %v", b, err)
	}
	noFault(t, x)
}

// Nothing is refused for a fault of ours: the letter waits.
func TestLettersWaitWhileDovecotIsAway(t *testing.T) {
	x, _ := boxes(t)
	x.Dovecot.Stop()
	for _, to := range []string{"post@box.example", "full@box.example"} {
		if r, err := x.Send(limited(t), stranger, to, letter); err != nil || r.Code != 250 {
			t.Fatal(to, r, err)
		}
	}
	waitLog(t, x, "== post@box.example R=box T=mailbox defer")
	if err := x.Dovecot.Serve(limited(t)); err != nil {
		t.Fatal(err)
	}
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
	inbox(t, x, "post@box.example", 1)
	inbox(t, x, "full@box.example", 1)
}

// A box that was deleted while a letter was on its way does not come into being
// again, and the letter is not lost.
func TestDeliveryDoesNotBringADirectoryBack(t *testing.T) {
	x, root := boxes(t)
	dir := filepath.Join(root, "var/vmail/box.example/lost")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	id := send(t, x, stranger, "lost@box.example")
	waitLog(t, x, id+" == lost@box.example R=box T=mailbox defer")
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory: %v", err)
	}
	lab.PutBoxes(t, root, "box.example", lab.Box{Name: "lost"})
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
	inbox(t, x, "lost@box.example", 1)
}

// Exim's file has the box and Dovecot's has not: that is our fault and no reason to
// return a letter.
func TestLetterWaitsForABoxThatDovecotDoesNotKnow(t *testing.T) {
	x, root := boxes(t)
	users := filepath.Join(root, files.Debian.Users(), "other.example")
	if err := os.Rename(users, users+".away"); err != nil {
		t.Fatal(err)
	}
	id := send(t, x, stranger, "caught@other.example")
	waitLog(t, x, id+" == caught@other.example R=box T=mailbox defer")
	if _, err := x.IMAP(limited(t), "caught@other.example", lab.Secret); err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
		t.Errorf("log-in meanwhile: %v", err)
	}
	if err := os.Rename(users+".away", users); err != nil {
		t.Fatal(err)
	}
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
	inbox(t, x, "caught@other.example", 1)
}
