package files_test

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"maildomain/tests/lab"
)

// hostile is the test alphabet for text that comes from outside: what is
// structure somewhere between a client and a file.
var hostile = []string{
	"\n", "\r", "\x00", ":", "|", "/", ",", ";", "#", "$", "{", "}", `"`, "'", `\`, "`", " ", "\t",
	"*", "^", "!", "@@", "../", "..", "%", "&", "(", ")", "<", ">", "[", "]", "?", "~",
	"${run{id}}", "$local_part", ":include:/etc/passwd", ":blackhole:", ":fail:", "|/bin/sh", "/dev/null",
	"\x7f", "\x80", "\xff", "ü", "\r\nRCPT TO:<x@ign.example>", strings.Repeat("a", 65), strings.Repeat("a", 64<<10),
}

// Whatever the default action is, a local part outside our alphabet is refused
// for good, and nothing is expanded, opened, run or redirected.
func TestHostileLocalPartsAreRefused(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, domain := range []string{"err.example", "ign.example", "addr.example", "dom.example", "dom-addr.example"} {
		for _, h := range hostile {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(h)
			for _, local := range []string{h, "x" + h + "y", `"` + quoted + `"`, `"x` + quoted + `y"`} {
				to := local + "@" + domain
				r, err := x.Rcpt(limited(t), stranger, to)
				if err != nil {
					t.Fatalf("%.60q: %v", to, err)
				}
				if r.To != "RCPT" || r.Code < 500 || r.Code > 599 {
					t.Errorf("RCPT <%.60q>: %v, want a refusal", to, r)
				}
			}
		}
	}
	noPanic(t, x)
	if n := len(x.Sink.Letters()); n != 0 {
		t.Errorf("%d letters left", n)
	}
}

// The same for letters that do not come by SMTP, and so meet no ACL.
func TestHostileLocalPartsAreNotRouted(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, domain := range []string{"err.example", "ign.example", "addr.example", "dom.example"} {
		for _, h := range hostile {
			if strings.ContainsAny(h, "\x00") || len(h) > 1000 {
				continue // no argument of a command
			}
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(h)
			locals := []string{"x" + h + "y", `"x` + quoted + `y"`}
			if h == `\` {
				locals = locals[1:] // alone it quotes the next character, and is gone
			}
			for _, local := range locals {
				if r := route(t, x, local+"@"+domain); r.Status != lab.Undeliverable {
					t.Errorf("exim -bt %.60q@%s: %d %s", local, domain, r.Status, r.Text)
				}
			}
		}
	}
	noPanic(t, x)
}

func TestHostileDomainsAreRefused(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	lab.Put(t, root, "etc/exim4/domains/.hidden", "state: active\ndefaction: ignore\n")
	domains := []string{
		"ign.example.", ".ign.example", "ign..example", "-ign.example", "*.example", "ign", "example", ".", "..", ".hidden",
		"../domains/ign.example", "domains/ign.example", "ign.example/", "/etc/passwd", "[127.0.0.1]", "[ign.example]",
		"dsearch;/etc", "@", "@[]", "+mail_domains", "^.*", "!err.example", "lsearch;/etc/passwd",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 120) + "example", strings.Repeat("a.", 127) + "a", strings.Repeat("a.", 200) + "a",
	}
	for _, h := range hostile {
		domains = append(domains, h, "ign"+h+"example", "ign.example"+h, h+"ign.example")
	}
	for _, d := range domains {
		r, err := x.Rcpt(limited(t), stranger, "x@"+d)
		if err != nil {
			t.Fatalf("%.60q: %v", d, err)
		}
		if r.To != "RCPT" || r.Code < 500 || r.Code > 599 {
			t.Errorf("RCPT <x@%.60q>: %v, want a refusal", d, r)
		}
	}
	noPanic(t, x)
}

func TestHostileSendersHarmNothing(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\nign.example: 127.0.0.11\n")
	for _, h := range hostile {
		for _, from := range []string{h + "@elsewhere.test", "x@" + h, "x@ign.example" + h, h} {
			r, err := x.Send(limited(t), from, "x@addr.example", "Subject: x\n\nx\n")
			if err != nil {
				t.Fatalf("from %.60q: %v", from, err)
			}
			if r.OK() && r.To != "." {
				t.Errorf("from %.60q: %v", from, r)
			}
		}
	}
	noPanic(t, x)
	for _, l := range x.Sink.Letters() {
		own := strings.HasSuffix(l.From, "@ign.example") // white space after it means nothing
		if own != (l.Peer.String() == "127.0.0.11") || len(l.To) != 1 || l.To[0] != "me@foreign.test" {
			t.Errorf("left from %s for %q to %q", l.Peer, l.From, l.To)
		}
	}
}

func TestEveryLocalPartOfOursIsTaken(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, local := range []string{"a", "0", "_", "+", "=", "a-", "A.B_c+d-e=f", "a.b.c", "=x", "+tag", strings.Repeat("a", 64)} {
		to := local + "@dom-foreign.example"
		if r := ask(t, x, to); r.Code != 250 {
			t.Errorf("RCPT <%s>: %v", to, r)
		}
		if r := route(t, x, to); r.Status != lab.Routed || !strings.HasPrefix(r.Text, local+"@foreign.test\n") {
			t.Errorf("exim -bt %s: %s", to, r.Text)
		}
	}
	noPanic(t, x)
}

func TestStrangersCannotRelay(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, to := range []string{
		"x@foreign.test", "x%foreign.test@nowhere.test", `"x@foreign.test"@nowhere.test`, "foreign.test!x@nowhere.test",
		"@ign.example:x@foreign.test", "@foreign.test,@ign.example:x@foreign.test", "x@[127.0.0.1]", "x@localhost", "x@127.0.0.1",
	} {
		r, err := x.Rcpt(limited(t), "x@ign.example", to)
		if err != nil || r.Code < 500 {
			t.Errorf("RCPT <%s>: %v, %v", to, r, err)
		}
	}
	// The percent hack, a bang path or a route inside one of our domains is no way out either.
	for _, to := range []string{"x%foreign.test@ign.example", `"x@foreign.test"@ign.example`, "foreign.test!x@ign.example"} {
		if r := ask(t, x, to); r.Code != 553 {
			t.Errorf("RCPT <%s>: %v, want 553", to, r)
		}
	}
	if r := ask(t, x, "@foreign.test:x@ign.example"); r.Code != 250 { // RFC 5321 appendix C: the route is ignored
		t.Errorf("source route: %v", r)
	}
	noPanic(t, x)
}

func TestRelayHostsMaySendAnywhereButNotIntoTheDark(t *testing.T) {
	x, _ := start(t, world, lab.Options{Relay: []string{"127.0.0.2"}})
	c := lab.Client{Addr: x.Addr(), Local: "127.0.0.2"}
	for to, want := range map[string]int{
		"x@foreign.test": 250, "x@err.example": 550, "x@suserr.example": 450, "x@self.example": 550, "x@ign.example": 250, "|x@foreign.test": 553,
	} {
		if r, err := c.Rcpt(limited(t), "web@ign.example", to); err != nil || r.Code != want {
			t.Errorf("RCPT <%s>: %v, %v; want %d", to, r, err, want)
		}
	}
	if r, err := (lab.Client{Addr: x.Addr(), Local: "127.0.0.3"}).Rcpt(limited(t), "web@ign.example", "x@foreign.test"); err != nil || r.Code != 550 {
		t.Errorf("another host: %v, %v", r, err)
	}
}

// A talk is an SMTP session that a test leads line by line.
type talk struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
}

func open(t *testing.T, addr string) *talk {
	t.Helper()
	return openFrom(t, "127.0.0.1", addr)
}

func openFrom(t *testing.T, local, addr string) *talk {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &talk{t, conn, textproto.NewConn(conn)}
}

// encrypted goes on over c.
func (k *talk) encrypted(c net.Conn) {
	k.conn, k.text = c, textproto.NewConn(c)
}

func (k *talk) write(s string) {
	k.t.Helper()
	if _, err := k.conn.Write([]byte(s)); err != nil {
		k.t.Fatal(err)
	}
}

func (k *talk) read() (int, string) {
	k.t.Helper()
	code, text, err := k.text.ReadResponse(0)
	if code == 0 {
		k.t.Fatal(err)
	}
	return code, text
}

// want sends a line and holds the answer's code against code.
func (k *talk) want(code int, line string) string {
	k.t.Helper()
	if line != "" {
		k.write(line + "\r\n")
	}
	got, text := k.read()
	if got != code {
		k.t.Errorf("%.60q: %d %s, want %d", line, got, text, code)
	}
	return text
}

// greet opens a session as far as MAIL.
func greet(t *testing.T, x *lab.Exim) *talk {
	t.Helper()
	k := open(t, x.Addr())
	k.want(220, "")
	k.want(250, "EHLO client.test")
	k.want(250, "MAIL FROM:<"+stranger+">")
	return k
}

func TestWhatIsOfferedToStrangers(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	k := open(t, x.Addr())
	k.want(220, "")
	offers := "\n" + k.want(250, "EHLO client.test") + "\n"
	for _, want := range []string{"\nSIZE 52428800\n", "\nSTARTTLS\n", "\nPIPELINING\n", "\n8BITMIME\n"} {
		if !strings.Contains(offers, want) {
			t.Errorf("%q is not offered:%s", want, offers)
		}
	}
	for _, never := range []string{"SMTPUTF8", "AUTH", "ETRN", "EXPN", "VRFY", "DSN"} {
		if strings.Contains(offers, never) {
			t.Errorf("%s is offered:%s", never, offers)
		}
	}
	k.want(252, "VRFY x@ign.example")
	k.want(550, "EXPN x@ign.example")
	k.want(458, "ETRN ign.example")
	k.want(501, "MAIL FROM:<x@elsewhere.test> SMTPUTF8")
	k.want(553, "MAIL FROM:<ü@elsewhere.test>")
	k.want(501, "MAIL FROM:<x@bücher.test>")
	k.want(552, "MAIL FROM:<x@elsewhere.test> SIZE=52428801")
}

func TestWhoSpeaksBeforeHisTurnIsCutOff(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	k := open(t, x.Addr())
	k.want(220, "")
	k.write("EHLO client.test\r\nMAIL FROM:<" + stranger + ">\r\nRCPT TO:<x@ign.example>\r\nDATA\r\n")
	if code, text := k.read(); code != 554 || text != "SMTP synchronization error" {
		t.Errorf("%d %s", code, text)
	}
}

func TestLettersThatCouldNotBeSentOnAreRefused(t *testing.T) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "ign.example", action("ignore")...)
	lab.Put(t, root, "etc/exim4/maildomain.d/macros.conf", "MD_MESSAGE_SIZE = 3M\nMD_RECIPIENTS = 3\n")
	x := lab.Start(t, root, lab.Options{})
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"long line":     {"Subject: x\n\n" + strings.Repeat("a", 999) + "\n", ".: 554 5.6.0 a line is longer than 998 octets"},
		"longest line":  {"Subject: x\n\n" + strings.Repeat("a", 998) + "\n", ".: 250 "},
		"too large":     {"Subject: x\n\n" + strings.Repeat(strings.Repeat("a", 99)+"\n", 32000), ".: 552 "},
		"large header":  {strings.Repeat("X-A: "+strings.Repeat("a", 90)+"\n", 12000) + "\nx\n", ".: 552 "},
		"one long head": {"X-A: " + strings.Repeat(strings.Repeat("a", 90)+"\n ", 3000) + "\n\nx\n", ".: 552 "},
	} {
		r, err := x.Send(limited(t), stranger, "x@ign.example", c.text)
		if err != nil || !strings.HasPrefix(r.String(), c.want) {
			t.Errorf("%s: %v, %v; want %s", name, r, err, c.want)
		}
	}
	k := greet(t, x)
	for i := range 3 {
		k.want(250, fmt.Sprintf("RCPT TO:<x%d@ign.example>", i))
	}
	k.want(452, "RCPT TO:<x3@ign.example>")
}

// Refusing for good would lose mail for the one name of an old list that is right.
func TestGuessersArePutOff(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	k := greet(t, x)
	for i := range 10 {
		k.want(550, fmt.Sprintf("RCPT TO:<guess%d@err.example>", i))
	}
	if text := k.want(452, "RCPT TO:<x@ign.example>"); !strings.Contains(text, "4.5.3") {
		t.Error(text)
	}
	k = greet(t, x)
	for i := range 20 {
		k.want(250, fmt.Sprintf("RCPT TO:<box%d@ign.example>", i))
		if i%2 == 0 {
			k.want(550, fmt.Sprintf("RCPT TO:<guess%d@err.example>", i))
		}
	}
}

func TestClientHasAShareOfTheConnections(t *testing.T) {
	root := lab.NewRoot(t)
	lab.Put(t, root, "etc/exim4/maildomain.d/macros.conf", "MD_PER_CLIENT = 2\nMD_CONNECTIONS = 7\n")
	x := lab.Start(t, root, lab.Options{Relay: []string{"127.0.0.2"}})
	for range 2 {
		openFrom(t, "127.0.0.1", x.Addr()).want(220, "")
	}
	openFrom(t, "127.0.0.1", x.Addr()).want(421, "")
	openFrom(t, "127.0.0.3", x.Addr()).want(220, "")
	for range 4 { // a host of our own may take what there is
		openFrom(t, "127.0.0.2", x.Addr()).want(220, "")
	}
	openFrom(t, "127.0.0.2", x.Addr()).want(421, "")
}
