package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/tests/lab"
)

const srsSecret = "maildomain.secret"

func putSecret(t *testing.T, root, secret string) {
	t.Helper()
	lab.Put(t, root, "etc/exim4/"+srsSecret, "# maildomain 1: a test\nsrs: "+secret+"\n")
}

// A server that gets a letter from us looks whether we may send for its sender's
// domain (SPF): the sender is then one of ours, and leads back.
func TestForwardGoesOutWithASenderThatLeadsBack(t *testing.T) {
	x, root := boxes(t)
	putSecret(t, root, "a secret of 32 letters or so")
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\nbox.example: 127.0.0.44\n")
	id, err := x.Send(limited(t), "Some.One@elsewhere.test", "both@box.example", letter)
	if err != nil || id.Code != 250 {
		t.Fatal(id, err)
	}
	out := letters(t, x.Sink, 1)[0]
	if !strings.HasPrefix(out.From, "SRS0=") || !strings.HasSuffix(out.From, "=elsewhere.test=Some.One@box.example") {
		t.Fatalf("sent on as <%s>", out.From)
	}
	if out.Peer.String() != "127.0.0.44" || out.Helo != "box.example" {
		t.Errorf("left from %s as %s", out.Peer, out.Helo)
	}
	if l := inbox(t, x, "both@box.example", 1)[0]; !strings.HasPrefix(l, "Return-Path: <Some.One@elsewhere.test>") {
		t.Errorf("the copy has another sender:\n%s", l)
	}

	// The bounce comes back to who wrote the letter; Exim decodes in lower case.
	if r, err := x.Send(limited(t), "", out.From, letter); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if back := letters(t, x.Sink, 2)[1]; back.From != "" || back.To[0] != "some.one@elsewhere.test" {
		t.Errorf("came back from <%s> to %s", back.From, back.To)
	}

	// And nothing else does.
	local, _, _ := strings.Cut(out.From, "@")
	other := strings.Replace(local, "elsewhere.test", "victim.test", 1)
	for name, c := range map[string]struct{ from, to string }{
		"another sender":       {stranger, out.From},
		"another's address":    {"", other + "@box.example"},
		"no signature":         {"", "SRS0=aaaa=bb=victim.test=someone@box.example"},
		"not ours":             {"", local + "@foreign.test"},
		"a longer local part":  {"", local + "x@box.example"},
		"another place for it": {"", strings.Replace(local, "SRS0", "SRS1", 1) + "@box.example"},
	} {
		r, err := x.Rcpt(limited(t), c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		// box.example catches what is no name of its own: then it goes there.
		if r.OK() && !strings.Contains(route(t, x, c.to).Text, "caught@other.example") {
			t.Errorf("%s: %v", name, r)
		}
	}
	putSecret(t, root, "another secret")
	lab.PutDomain(t, root, "box.example", action("error")...)
	if r, err := x.Rcpt(limited(t), "", out.From); err != nil || r.Code != 550 {
		t.Errorf("signed with another secret: %v, %v", r, err)
	}
	noFault(t, x)
}

func TestSenderStaysWhereItMay(t *testing.T) {
	x, root := boxes(t)
	putSecret(t, root, "secret")
	for _, c := range []struct{ from, to string }{
		{"", "both@box.example"},                     // a bounce has no sender
		{"post@box.example", "both@box.example"},     // this server's own domain
		{"caught@other.example", "both@box.example"}, // likewise
	} {
		before := len(x.Sink.Letters())
		done(t, x, send(t, x, c.from, c.to))
		if l := letters(t, x.Sink, before+1)[before]; l.From != c.from {
			t.Errorf("<%s> went on as <%s>", c.from, l.From)
		}
	}
	// Nothing is sent on: nothing is rewritten.
	in := lab.Client{Addr: x.Inside(), Local: "127.0.0.1"}
	if r, err := in.Send(limited(t), stranger, []string{"friend@foreign.test"}, letter); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if l := letters(t, x.Sink, 4)[3]; l.From != stranger {
		t.Errorf("<%s> went out as <%s>", stranger, l.From)
	}
	// Without a secret letters go on as they came, and nobody can make us decode.
	if err := os.Remove(filepath.Join(root, "etc/exim4", srsSecret)); err != nil {
		t.Fatal(err)
	}
	done(t, x, send(t, x, stranger, "both@box.example"))
	if l := letters(t, x.Sink, 5)[4]; l.From != stranger {
		t.Errorf("went on as <%s>", l.From)
	}
	lab.PutDomain(t, root, "box.example", action("error")...)
	if r, err := x.Rcpt(limited(t), "", "SRS0=aaaa=bb=victim.test=someone@box.example"); err != nil || r.Code != 550 {
		t.Errorf("without a secret: %v, %v", r, err)
	}
	noFault(t, x)
}
