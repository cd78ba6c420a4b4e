package files_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// signed has a domain's letters signed with keys, as files render them.
func signed(t *testing.T, root, domain string, keys ...mail.SigningKey) (txt map[string]string) {
	t.Helper()
	n, err := mail.ParseName(domain)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := files.Debian.KeyFiles(n, keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		if err := os.WriteFile(filepath.Join(root, f.Path), f.Body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	txt = map[string]string{}
	var signing []string
	for _, k := range keys {
		txt[mail.DKIMName(k.Selector, n)] = k.Key.Record().String()
		if k.State == mail.KeySigning {
			signing = append(signing, k.Selector.String())
		}
	}
	gate := filepath.Join(root, files.Debian.DomainPath(n))
	text, err := os.ReadFile(gate)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, append(text, "dkim: "+strings.Join(signing, " : ")+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	return txt
}

func signingKey(t *testing.T, selector string, state mail.KeyState, make func() (mail.DKIMKey, error)) mail.SigningKey {
	t.Helper()
	k, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return mail.SigningKey{Selector: mail.StoredSelector(selector), Key: k, State: state}
}

// verified are the selectors and domains of the signatures of a letter, all of which
// are to be right.
func verified(t *testing.T, letter []byte, txt map[string]string) (by []string) {
	t.Helper()
	vs, err := dkim.VerifyWithOptions(bytes.NewReader(letter), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if r, ok := txt[name]; ok {
			return []string{r}, nil
		}
		return nil, fmt.Errorf("no record %s", name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		if v.Err != nil {
			t.Errorf("signature of %s: %v\n%s", v.Domain, v.Err, letter)
		}
		by = append(by, v.Domain)
	}
	return by
}

func TestPersonsLettersAreSignedByTheirDomain(t *testing.T) {
	x, root := boxes(t)
	rsa := func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) }
	txt := signed(t, root, "box.example",
		signingKey(t, "dkim", mail.KeySigning, rsa), signingKey(t, "dkim-ed25519", mail.KeySigning, mail.NewEd25519Key), signingKey(t, "dkim-20261122", mail.KeyNew, rsa))
	c := person(t, x, "post@box.example")
	r, err := c.Send(limited(t), "post@box.example", []string{"friend@foreign.test"}, "From: Post <info@box.example>\nSubject: hi\n\nhi\n")
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	l := letters(t, x.Sink, 1)[0]
	if by := verified(t, l.Data, txt); len(by) != 2 || by[0] != "box.example" || by[1] != "box.example" {
		t.Errorf("signed by %v, want twice by box.example:\n%s", by, l.Data)
	}
	if strings.Contains(string(l.Data), "dkim-20261122") {
		t.Errorf("signed with a key that is not seen yet:\n%s", l.Data)
	}
	// Another Subject on the way would be one too many.
	forged := append([]byte("Subject: buy now\r\n"), l.Data...)
	if vs, err := dkim.VerifyWithOptions(bytes.NewReader(forged), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return []string{txt[name]}, nil }}); err != nil || len(vs) == 0 || vs[0].Err == nil {
		t.Errorf("a second Subject is let pass: %v, %v", vs, err)
	}
	noFault(t, x)
}

// A stranger's letter that a domain forwards says what it likes in its From.
func TestForwardedLettersAreNotSigned(t *testing.T) {
	x, root := boxes(t)
	signed(t, root, "box.example", signingKey(t, "dkim", mail.KeySigning, func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) }))
	r, err := x.Send(limited(t), "someone@elsewhere.test", "both@box.example", "From: post@box.example\nSubject: forged\n\nhello\n")
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if l := letters(t, x.Sink, 1)[0]; strings.Contains(string(l.Data), "DKIM-Signature") {
		t.Errorf("signed:\n%s", l.Data)
	}
	noFault(t, x)
}

func TestLetterWaitsWhereItsKeyIsMissing(t *testing.T) {
	x, root := boxes(t)
	k := signingKey(t, "dkim", mail.KeySigning, func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) })
	signed(t, root, "box.example", k)
	if err := os.Remove(filepath.Join(root, files.Debian.SSL(), "box.example_dkim.private")); err != nil {
		t.Fatal(err)
	}
	c := person(t, x, "post@box.example")
	if r, err := c.Send(limited(t), "post@box.example", []string{"friend@foreign.test"}, "From: post@box.example\nSubject: hi\n\nhi\n"); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if _, err := x.WaitLog(limited(t), "== friend@foreign.test"); err != nil {
		t.Fatal(err)
	}
	if n := len(x.Sink.Letters()); n > 0 {
		t.Errorf("%d letters left without a signature", n)
	}
}

// A letter of somebody here that a mailbox here sends on still says who wrote it.
func TestForwardedLettersOfPersonsHereAreSigned(t *testing.T) {
	x, root := boxes(t)
	txt := signed(t, root, "box.example", signingKey(t, "dkim", mail.KeySigning, func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) }))
	r, err := person(t, x, "post@box.example").Send(limited(t), "post@box.example", []string{"both@box.example"}, "From: post@box.example\nSubject: hi\n\nhi\n")
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	l := letters(t, x.Sink, 1)[0]
	if by := verified(t, l.Data, txt); len(by) != 1 || by[0] != "box.example" || l.To[0] != "away@foreign.test" {
		t.Errorf("to %s, signed by %v:\n%s", l.To, by, l.Data)
	}
	noFault(t, x)
}

// Whatever somebody writes into envelope and letter: it is refused, or his own domain
// vouches for it, and no other's.
func TestNobodysLetterIsSignedByAnothersKey(t *testing.T) {
	x, root := boxes(t)
	rsa := func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) }
	txt := signed(t, root, "box.example", signingKey(t, "dkim", mail.KeySigning, rsa))
	signed(t, root, "other.example", signingKey(t, "dkim", mail.KeySigning, rsa))
	const mine, theirs = "post@box.example", "caught@other.example"
	taken := 0
	for _, c := range []struct{ sender, head string }{
		{mine, "From: " + mine}, {"info@box.example", "From: INFO@Box.Example"}, {mine, "From: x <" + mine + ">\nSender: " + mine},
		{mine, "From: " + theirs}, {theirs, "From: " + theirs}, {theirs, "From: " + mine}, {"Caught@OTHER.example", "From: " + mine},
		{mine, "From: " + mine + ", " + theirs}, {mine, "From: " + mine + "\nSender: " + theirs}, {mine, "From: \"" + mine + "\" <" + theirs + ">"},
		{mine, "From: " + mine + "\nFrom: " + theirs}, {mine, "From: " + mine + "\nResent-From: " + theirs}, {mine, "Subject: no From"},
		{"post+@other.example", "From: " + mine}, {mine, "From: post@box.example.other.example"}, {"", "From: " + theirs},
		{mine, "From: " + mine + "\nDKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=dkim; h=From; bh=; b="},
	} {
		r, err := person(t, x, mine).Send(limited(t), c.sender, []string{"friend@foreign.test"}, c.head+"\n\nx\n")
		if err != nil {
			t.Fatal(err)
		}
		if r.Code == 250 {
			taken++
		}
	}
	for _, l := range letters(t, x.Sink, taken) {
		for i, by := range strings.Split(string(l.Data), "DKIM-Signature:")[1:] {
			forged := strings.Contains(by, "b=\r\n")
			if i == 0 && !strings.Contains(by, "d=box.example") || i > 0 && !forged {
				t.Errorf("signed:\n%s", l.Data)
			}
		}
		if !strings.Contains(string(l.Data), "bh=; b=") {
			verified(t, l.Data, txt)
		}
	}
	if taken < 3 {
		t.Errorf("%d letters were taken", taken)
	}
	noFault(t, x)
}

// A program on this machine gives a letter of its own out as the answer of a person's filter,
// or as one that comes in again. No password was said, so nobody vouches for it.
func TestFeignedAnswerIsNotSigned(t *testing.T) {
	lab.NeedDovecot(t)
	clamd := lab.StartClamd(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "victim.example", action("error")...)
	lab.PutBoxes(t, root, "victim.example", lab.Box{Name: "boss"})
	putFilters(t, root, judges{clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true, Relay: []string{"127.0.0.1"}})
	signed(t, root, "victim.example", signingKey(t, "dkim", mail.KeySigning, func() (mail.DKIMKey, error) { return mail.NewRSAKey(1024) }))
	const boss = "boss@victim.example"
	for _, c := range []struct{ helo, head string }{{"", "X-Sieve: x\n"}, {"answer.invalid", ""}} {
		program := lab.Client{Addr: x.Addr(), Helo: c.helo, Local: "127.0.0.1"}
		r, err := program.Send(limited(t), boss, []string{"friend@foreign.test"}, c.head+"From: "+boss+"\nSubject: pay this\n\nx\n")
		if err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
	}
	for _, l := range letters(t, x.Sink, 2) {
		if strings.Contains(string(l.Data), "DKIM-Signature") {
			t.Errorf("signed:\n%s", l.Data)
		}
	}
	noFault(t, x)
}
