package files_test

import (
	"net/netip"
	"strings"
	"testing"

	"maildomain/tests/lab"
	"maildomain/tests/sink"
)

// zone is the world's DNS as the tests have it.
var zone = lab.Zone{
	"elsewhere.test":    {"MX 10 mx.elsewhere.test"},
	"mx.elsewhere.test": {"A 127.0.0.50"},
	"foreign.test":      {"MX 10 mx.foreign.test", "MX 20 gone.foreign.test"},
	"mx.foreign.test":   {"A 127.0.0.50"},
	"plain.test":        {"A 127.0.0.50"},
	"both.test":         {"MX 10 mx.both.test"},
	"mx.both.test":      {"A 127.0.0.50", "AAAA ::1"},
	"broken.test":       {"SERVFAIL"},
	"nomail.test":       {"MX 0 ."},
	"nohost.test":       {"MX 10 gone.nohost.test"},
	"empty.test":        {},
	"ours.test":         {"MX 10 mx.ours.test"},
	"mx.ours.test":      {"A 127.0.0.99"},
	"private.test":      {"MX 10 mx.private.test"},
	"mx.private.test":   {"A 10.1.2.3", "AAAA fd00::3"},
	"loopback.test":     {"A 127.0.0.5", "AAAA ::1"},
}

func startDNS(t *testing.T, settings map[string][]string, o lab.Options) (*lab.Exim, string) {
	t.Helper()
	lab.NeedRoot(t)
	d, err := lab.ListenDNS(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	o.DNS = d.Addr()
	return start(t, settings, o)
}

// toDomains has a mail domain for each foreign one, that forwards to it.
func toDomains() map[string][]string {
	settings := map[string][]string{"ign.example": action("ignore"), "to-nowhere.example": action("redirdomain", "nowhere.test")}
	for name := range zone {
		if strings.Count(name, ".") == 1 {
			settings["to-"+strings.TrimSuffix(name, ".test")+".example"] = action("redirdomain", name)
		}
	}
	settings["addr-nowhere.example"] = action("redirect", "me@nowhere.test")
	settings["addr-broken.example"] = action("redirect", "me@broken.test")
	return settings
}

func TestForwardToForeignDomainIsAnsweredFromDNS(t *testing.T) {
	// A server of ours that listens on the address that ours.test names.
	x, _ := startDNS(t, toDomains(), lab.Options{Listen: "127.0.0.99:" + freePort(t)})
	for to, want := range map[string]int{
		"x@to-foreign.example":   250,
		"x@to-plain.example":     250,
		"x@to-both.example":      250,
		"x@to-nowhere.example":   550,
		"x@to-nomail.example":    550,
		"x@to-nohost.example":    550,
		"x@to-empty.example":     550,
		"x@to-broken.example":    451,
		"x@addr-nowhere.example": 550,
		"x@addr-broken.example":  451,
		"x@to-ours.example":      550, // names this server, but there is no such mail domain (any more)
	} {
		if r := ask(t, x, to); r.Code != want {
			t.Errorf("RCPT <%s>: %v, want %d", to, r, want)
		}
	}
	for to, want := range map[string]int{
		"x@to-foreign.example": lab.Routed, "x@to-nowhere.example": lab.Undeliverable, "x@to-broken.example": lab.Deferred, "x@to-ours.example": lab.Undeliverable,
		"x@foreign.test": lab.Routed, "x@ours.test": lab.Undeliverable, "x@[127.0.0.1]": lab.Undeliverable, "x@single": lab.Undeliverable,
	} {
		if r := route(t, x, to); r.Status != want {
			t.Errorf("exim -bt %s: %d %s", to, r.Status, r.Text)
		}
	}
	noPanic(t, x)
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(down(t), ":")
	return port
}

func TestForwardToDomainThatMovesAwayFollowsIt(t *testing.T) {
	settings := map[string][]string{
		"a.example":    action("redirdomain", "foreign.test"),
		"foreign.test": action("ignore"),
	}
	remote := up(t, "127.0.0.50:0")
	x, root := startDNS(t, settings, lab.Options{Sink: remote.Addr()})
	if r := route(t, x, "x@a.example"); !strings.Contains(r.Text, "is discarded") {
		t.Errorf("while it is ours: %s", r.Text)
	}
	lab.RemoveDomain(t, root, "foreign.test")
	if r := route(t, x, "x@a.example"); r.Status != lab.Routed || !strings.Contains(r.Text, "[127.0.0.50]") {
		t.Errorf("when it is not: %d %s", r.Status, r.Text)
	}
	done(t, x, send(t, x, stranger, "X@a.example"))
	if l := letters(t, remote, 1)[0]; l.To[0] != "X@foreign.test" {
		t.Errorf("arrived for %q", l.To)
	}
}

func TestSenderWithoutAMailDomainIsRefused(t *testing.T) {
	x, _ := startDNS(t, toDomains(), lab.Options{})
	for from, want := range map[string]int{
		"x@foreign.test":            250,
		"x@plain.test":              250,
		"":                          250,
		"x@nowhere.test":            550,
		"x@nomail.test":             550,
		"x@broken.test":             451,
		"nobody@ign.example":        250, // ours: no box, yet what our users' programs send from
		"nobody@mail.lab.test":      250,
		"nobody@to-foreign.example": 250,
	} {
		r, err := x.Rcpt(limited(t), from, "x@ign.example")
		if err != nil || r.Code != want {
			t.Errorf("from <%s>: %v, %v; want %d", from, r, err, want)
		}
	}
	// Who cannot be answered may still report trouble.
	if r, err := x.Rcpt(limited(t), "x@nowhere.test", "postmaster@mail.lab.test"); err != nil || r.Code != 250 {
		t.Errorf("to postmaster: %v, %v", r, err)
	}
	noPanic(t, x)
}

// A name in the DNS must not lead mail to services behind the server.
func TestMailIsNotSentToPrivateAddresses(t *testing.T) {
	root := lab.NewRoot(t)
	for name, lines := range toDomains() {
		lab.PutDomain(t, root, name, lines...)
	}
	d, err := lab.ListenDNS(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	targets := conf(t, "MD_NOT_A_TARGET")
	lab.Put(t, root, "etc/exim4/maildomain.d/macros.conf", "MD_NOT_A_TARGET = "+targets+"\n")
	x := lab.Start(t, root, lab.Options{DNS: d.Addr()})
	for _, to := range []string{"x@to-private.example", "x@to-loopback.example", "x@to-foreign.example"} {
		if r := ask(t, x, to); r.Code != 550 {
			t.Errorf("RCPT <%s>: %v", to, r)
		}
	}
	noPanic(t, x)
}

// A sender's own IPv4 address is used where the next server has both families.
func TestOwnAddressChoosesTheFamily(t *testing.T) {
	four, six := twoSinks(t)
	x, root := startDNS(t, toDomains(), lab.Options{Sink: four.Addr()})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\nown4.example: 127.0.0.11\nown6.example: ::1\n")
	for _, c := range []struct {
		from, peer, helo string
		at               *sink.Server
	}{
		{"me@own4.example", "127.0.0.11", "own4.example", four},
		{"me@own6.example", "::1", "own6.example", six},
		{"me@foreign.test", "::1", "mail.lab.test", six},
	} {
		before := len(c.at.Letters())
		lab.PutDomain(t, root, strings.TrimPrefix(c.from, "me@"), action("error")...)
		if strings.HasSuffix(c.from, ".test") {
			lab.RemoveDomain(t, root, strings.TrimPrefix(c.from, "me@"))
		}
		done(t, x, send(t, x, c.from, "x@to-both.example"))
		l := letters(t, c.at, before+1)[before]
		if l.Peer != netip.MustParseAddr(c.peer) || l.Helo != c.helo {
			t.Errorf("from %s left from %s, greeting %s; want %s, %s", c.from, l.Peer, l.Helo, c.peer, c.helo)
		}
	}
	noPanic(t, x)
}

// twoSinks listen on one port of both loopback addresses.
func twoSinks(t *testing.T) (four, six *sink.Server) {
	t.Helper()
	var err error
	for range 20 {
		if six, err = sink.Listen("[::1]:0", nil); err != nil {
			t.Skipf("no IPv6 on the loopback interface: %v", err)
		}
		port := netip.MustParseAddrPort(six.Addr()).Port()
		if four, err = sink.Listen(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.50"), port).String(), nil); err == nil {
			t.Cleanup(func() { _, _ = four.Close(), six.Close() })
			return four, six
		}
		_ = six.Close()
	}
	t.Fatal(err)
	return nil, nil
}

// Without the list of outgoing addresses nothing is sent, and nobody is refused.
func TestMissingDomainipsRefusesNobody(t *testing.T) {
	remote := up(t, "127.0.0.50:0")
	x, root := startDNS(t, toDomains(), lab.Options{Sink: remote.Addr()})
	remove(t, root, "etc/exim4/domainips")
	for _, to := range []string{"x@to-foreign.example", "x@to-plain.example", "x@ign.example"} {
		if r := ask(t, x, to); r.Code != 250 && r.Code/100 != 4 {
			t.Errorf("RCPT <%s>: %v", to, r)
		}
	}
	if r := route(t, x, "x@to-foreign.example"); r.Status == lab.Undeliverable {
		t.Errorf("exim -bt: %s", r.Text)
	}
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\n")
	done(t, x, send(t, x, stranger, "x@to-foreign.example"))
	letters(t, remote, 1)
}
