package files_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"maildomain/tests/lab"
)

const (
	active    = "state: active"
	suspended = "state: suspended"
	stranger  = "someone@elsewhere.test"
)

func action(words ...string) []string {
	lines := []string{active, "defaction: " + words[0]}
	if len(words) > 1 {
		lines = append(lines, "redirval: "+words[1])
	}
	return append(lines, "greylist: off", "spamassassin: off", "avcheck: off")
}

func suspend(lines []string) []string {
	return append([]string{suspended}, lines[1:]...)
}

// world has every default action, alone and in chains, and every way to go round
// in circles.
var world = map[string][]string{
	"err.example":            action("error"),
	"ign.example":            action("ignore"),
	"addr.example":           action("redirect", "me@foreign.test"),
	"dom.example":            action("redirdomain", "ign.example"),
	"xn--bcher-kva.example":  action("redirect", "post@foreign.test"),
	"suserr.example":         suspend(action("error")),
	"susign.example":         suspend(action("ignore")),
	"susaddr.example":        suspend(action("redirect", "me@foreign.test")),
	"susdom.example":         suspend(action("redirdomain", "ign.example")),
	"xn--80ak6aa92e.example": suspend(action("ignore")),
	"addr-err.example":       action("redirect", "any@err.example"),
	"addr-ign.example":       action("redirect", "any@ign.example"),
	"addr-addr.example":      action("redirect", "any@addr.example"),
	"addr-dom.example":       action("redirect", "any@dom.example"),
	"addr-sus.example":       action("redirect", "any@susign.example"),
	"addr-idn.example":       action("redirect", "any@xn--bcher-kva.example"),
	"dom-err.example":        action("redirdomain", "err.example"),
	"dom-addr.example":       action("redirdomain", "addr.example"),
	"dom-dom.example":        action("redirdomain", "dom.example"),
	"dom-sus.example":        action("redirdomain", "suserr.example"),
	"dom-idn.example":        action("redirdomain", "xn--bcher-kva.example"),
	"dom-foreign.example":    action("redirdomain", "foreign.test"),
	"three-ign.example":      action("redirdomain", "dom-dom.example"),
	"three-err.example":      action("redirdomain", "addr-err.example"),
	"three-addr.example":     action("redirect", "any@dom-addr.example"),
	"three-sus.example":      action("redirect", "any@dom-sus.example"),
	"self.example":           action("redirect", "me@self.example"),
	"selfdom.example":        action("redirdomain", "selfdom.example"),
	"loop-a.example":         action("redirect", "any@loop-b.example"),
	"loop-b.example":         action("redirect", "back@loop-a.example"),
	"same-a.example":         action("redirect", "x@same-b.example"),
	"same-b.example":         action("redirect", "x@same-a.example"),
	"ring-1.example":         action("redirdomain", "ring-2.example"),
	"ring-2.example":         action("redirdomain", "ring-3.example"),
	"ring-3.example":         action("redirdomain", "ring-1.example"),
	"mixed-a.example":        action("redirdomain", "mixed-b.example"),
	"mixed-b.example":        action("redirect", "any@mixed-a.example"),
	"into-loop.example":      action("redirdomain", "loop-a.example"),
	"empty.example":          nil,
	"nostate.example":        {"defaction: ignore"},
	"oddstate.example":       {"state: on", "defaction: ignore"},
	"noaction.example":       {active},
	"oddaction.example":      {active, "defaction: deliver"},
	"novalue.example":        {active, "defaction: redirect"},
	"novaluedom.example":     {active, "defaction: redirdomain"},
	"pipe.example":           action("redirect", "|/bin/false"),
	"file.example":           action("redirect", "/tmp/stolen"),
	"include.example":        action("redirect", ":include:/etc/passwd"),
	"failword.example":       action("redirect", ":fail: 250 fine"),
	"hole.example":           action("redirect", ":blackhole:"),
	"two.example":            action("redirect", "a@ign.example, b@ign.example"),
	"quoted.example":         action("redirect", `"a b"@ign.example`),
	"expand.example":         action("redirect", "${run{/bin/false}}@ign.example"),
	"bare.example":           action("redirect", "me"),
	"domexpand.example":      action("redirdomain", "ign.example, |/bin/false"),
	"domaddr.example":        action("redirdomain", "me@ign.example"),
	"a.b":                    action("redirect", "ab@foreign.test"),
	"a-b.c":                  action("redirect", "a-b@foreign.test"),
	"axb.c":                  action("ignore"),
	"a.b.c":                  action("error"),
	"xa.b":                   suspend(action("error")),
}

// start runs Exim over hand-written settings files.
func start(t *testing.T, settings map[string][]string, o lab.Options) (*lab.Exim, string) {
	t.Helper()
	root := lab.NewRoot(t)
	for name, lines := range settings {
		lab.PutDomain(t, root, name, lines...)
	}
	return lab.Start(t, root, o), root
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// ask is what a stranger is told about an address.
func ask(t *testing.T, x *lab.Exim, to string) lab.Reply {
	t.Helper()
	r, err := x.Rcpt(limited(t), stranger, to)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	return r
}

func route(t *testing.T, x *lab.Exim, to string) lab.Route {
	t.Helper()
	r, err := x.Route(limited(t), to)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	return r
}

// send hands over a letter and returns Exim's name for it.
func send(t *testing.T, x *lab.Exim, from string, to ...string) string {
	t.Helper()
	r, err := lab.Client{Addr: x.Addr()}.Send(limited(t), from, to, "Subject: a test\n\nhello\n")
	_, id, found := strings.Cut(r.Text, "OK id=")
	if err != nil || r.Code != 250 || !found {
		t.Fatalf("send from <%s> to %q: %v, %v", from, to, r, err)
	}
	return id
}

// done waits until Exim is through with a letter.
func done(t *testing.T, x *lab.Exim, id string) {
	t.Helper()
	waitLog(t, x, id+" Completed")
}

// noPanic holds that Exim found nothing wrong with its configuration and files.
func noPanic(t *testing.T, x *lab.Exim) {
	t.Helper()
	if p, err := x.PanicLog(); err != nil || p != "" {
		t.Errorf("panic log: %v\n%s", err, p)
	}
}

// What exim -bt and a client are told of an address, for each default action.
const (
	unknownBox = "550 5.1.1 no such mailbox"
	circle     = "550 5.4.6 the redirection leads back to itself"
	onHold     = "450 4.2.1 the mail domain is suspended, try again later"
	unreadable = "451 4.3.5 settings of the mail domain cannot be read, try again later"
	restricted = "553 5.1.3 restricted characters in the address"
	taken      = "250 Accepted"
	noRelay    = "550 5.7.1 relaying is not permitted"
)

func TestEveryDefaultAction(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, c := range []struct {
		to    string
		bt    int
		route string // what -bt says, in part
		reply string // what a client is told
	}{
		{"x@err.example", lab.Undeliverable, unknownBox, unknownBox},
		{"x@ign.example", lab.Routed, "is discarded", taken},
		{"x@addr.example", lab.Routed, "me@foreign.test\n    <-- x@addr.example", taken},
		{"x@dom.example", lab.Routed, "mail to x@dom.example is discarded", taken},
		{"x@nowhere.example", lab.Routed, "router = lab_sink", noRelay},

		{"x@suserr.example", lab.Deferred, onHold, onHold},
		{"x@susign.example", lab.Deferred, onHold, onHold},
		{"x@susaddr.example", lab.Deferred, onHold, onHold},
		{"x@susdom.example", lab.Deferred, onHold, onHold},

		{"X@ERR.EXAMPLE", lab.Undeliverable, unknownBox, unknownBox},
		{"X@Ign.Example", lab.Routed, "is discarded", taken},
		{"X@ADDR.example", lab.Routed, "me@foreign.test\n    <-- X@ADDR.example", taken},
		{"X.Y+Tag@DOM-FOREIGN.example", lab.Routed, "X.Y+Tag@foreign.test\n    <-- X.Y+Tag@DOM-FOREIGN.example", taken},
		{"X@SUSERR.EXAMPLE", lab.Deferred, onHold, onHold},

		{"x@xn--bcher-kva.example", lab.Routed, "post@foreign.test", taken},
		{"x@XN--BCHER-KVA.Example", lab.Routed, "post@foreign.test", taken},
		{"x@bücher.example", lab.Undeliverable, "syntax error", "501 <x@bücher.example>: "},
		{"x@xn--80ak6aa92e.example", lab.Deferred, onHold, onHold},
		{"x@аррӏе.example", lab.Undeliverable, "syntax error", "501 <x@аррӏе.example>: "},

		{"x@addr-err.example", lab.Undeliverable, unknownBox, unknownBox},
		{"x@addr-ign.example", lab.Routed, "is discarded", taken},
		{"x@addr-addr.example", lab.Routed, "me@foreign.test\n    <-- any@addr.example\n    <-- x@addr-addr.example", taken},
		{"x@addr-dom.example", lab.Routed, "is discarded", taken},
		{"x@addr-sus.example", lab.Deferred, onHold, onHold},
		{"x@addr-idn.example", lab.Routed, "post@foreign.test", taken},
		{"x@dom-err.example", lab.Undeliverable, unknownBox, unknownBox},
		{"x@dom-addr.example", lab.Routed, "me@foreign.test\n    <-- x@addr.example\n    <-- x@dom-addr.example", taken},
		{"x@dom-dom.example", lab.Routed, "is discarded", taken},
		{"x@dom-sus.example", lab.Deferred, onHold, onHold},
		{"x@dom-idn.example", lab.Routed, "post@foreign.test", taken},
		{"x@dom-foreign.example", lab.Routed, "x@foreign.test", taken},
		{"x@three-ign.example", lab.Routed, "is discarded", taken},
		{"x@three-err.example", lab.Undeliverable, unknownBox, unknownBox},
		{"x@three-addr.example", lab.Routed, "me@foreign.test\n    <-- any@addr.example\n    <-- any@dom-addr.example\n    <-- x@three-addr.example", taken},
		{"x@three-sus.example", lab.Deferred, onHold, onHold},

		{"x@self.example", lab.Undeliverable, circle, circle},
		{"me@self.example", lab.Undeliverable, circle, circle},
		{"x@selfdom.example", lab.Undeliverable, circle, circle},
		{"x@loop-a.example", lab.Undeliverable, circle, circle},
		{"back@loop-a.example", lab.Undeliverable, circle, circle},
		{"any@loop-b.example", lab.Undeliverable, circle, circle},
		{"x@same-a.example", lab.Undeliverable, circle, circle},
		{"x@ring-1.example", lab.Undeliverable, circle, circle},
		{"X@Ring-2.example", lab.Undeliverable, circle, circle},
		{"x@mixed-a.example", lab.Undeliverable, circle, circle},
		{"any@mixed-b.example", lab.Undeliverable, circle, circle},
		{"x@into-loop.example", lab.Undeliverable, circle, circle},

		{"x@empty.example", lab.Deferred, unreadable, unreadable},
		{"x@nostate.example", lab.Deferred, unreadable, unreadable},
		{"x@oddstate.example", lab.Deferred, unreadable, unreadable},
		{"x@noaction.example", lab.Deferred, unreadable, unreadable},
		{"x@oddaction.example", lab.Deferred, unreadable, unreadable},
		{"x@novalue.example", lab.Deferred, unreadable, unreadable},
		{"x@novaluedom.example", lab.Deferred, unreadable, unreadable},
		{"x@pipe.example", lab.Deferred, unreadable, unreadable},
		{"x@file.example", lab.Deferred, unreadable, unreadable},
		{"x@include.example", lab.Deferred, unreadable, unreadable},
		{"x@failword.example", lab.Deferred, unreadable, unreadable},
		{"x@hole.example", lab.Deferred, unreadable, unreadable},
		{"x@two.example", lab.Deferred, unreadable, unreadable},
		{"x@quoted.example", lab.Deferred, unreadable, unreadable},
		{"x@expand.example", lab.Deferred, unreadable, unreadable},
		{"x@bare.example", lab.Deferred, unreadable, unreadable},
		{"x@domexpand.example", lab.Deferred, unreadable, unreadable},
		{"x@domaddr.example", lab.Deferred, unreadable, unreadable},

		// Neighbours: no dot, hyphen or prefix stands for another.
		{"x@a.b", lab.Routed, "ab@foreign.test\n", taken},
		{"x@a-b.c", lab.Routed, "a-b@foreign.test\n", taken},
		{"x@axb.c", lab.Routed, "is discarded", taken},
		{"x@a.b.c", lab.Undeliverable, unknownBox, unknownBox},
		{"x@xa.b", lab.Deferred, onHold, onHold},
		{"x@a-b", lab.Routed, "lab_sink", noRelay},
		{"x@axb", lab.Routed, "lab_sink", noRelay},
		{"x@b", lab.Routed, "lab_sink", noRelay},
		{"x@a.b.c.d", lab.Routed, "lab_sink", noRelay},
		{"x@y.xa.b", lab.Routed, "lab_sink", noRelay},
	} {
		got := route(t, x, c.to)
		if got.Status != c.bt || !strings.Contains(got.Text, c.route) {
			t.Errorf("exim -bt %s: %d\n%s\nwant %d %s", c.to, got.Status, got.Text, c.bt, c.route)
		}
		if r := ask(t, x, c.to); !strings.HasPrefix(replyLine(r), c.reply) || r.To != "RCPT" {
			t.Errorf("RCPT <%s>: %v, want %s", c.to, r, c.reply)
		}
	}
	noPanic(t, x)
	if n := len(x.Sink.Letters()); n != 0 {
		t.Errorf("%d letters left, though nobody sent one", n)
	}
}

func replyLine(r lab.Reply) string {
	_, line, _ := strings.Cut(r.String(), ": ")
	return line
}
