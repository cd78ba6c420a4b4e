package dns_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/tests/nameserver"
)

const exampleZone = `
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
`

func startZone(t *testing.T, records string) (*nameserver.Server, *dns.Server) {
	t.Helper()
	s := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{{Name: "example.com", Records: exampleZone + records}}})
	return s, serverAt(t, s.Addr())
}

func serverAt(t *testing.T, a netip.AddrPort) *dns.Server {
	t.Helper()
	key, err := dns.ParseKey(nameserver.KeyName, "", nameserver.KeySecret)
	if err != nil {
		t.Fatal(err)
	}
	return &dns.Server{Addr: a.String(), Key: key}
}

// look is what a server has, asked by other means than ours: each record as a zone
// file's line without name and class.
func look(t *testing.T, a netip.AddrPort, name string, typ uint16) []string {
	t.Helper()
	m := new(wire.Msg)
	m.SetQuestion(wire.Fqdn(name), typ)
	m.RecursionDesired = false
	c := wire.Client{Net: "tcp", Timeout: 5 * time.Second}
	answer, _, err := c.Exchange(m, a.String())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, rr := range answer.Answer {
		f := strings.SplitN(rr.String(), "\t", 5)
		lines = append(lines, f[1]+" "+f[4])
	}
	slices.Sort(lines)
	return lines
}

func serial(t *testing.T, a netip.AddrPort) string {
	t.Helper()
	return strings.Join(look(t, a, "example.com", wire.TypeSOA), "\n")
}

func checkLook(t *testing.T, a netip.AddrPort, name string, typ uint16, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := look(t, a, name, typ); !slices.Equal(got, want) {
		t.Errorf("%s %s:\n%s\nwant\n%s", name, wire.TypeToString[typ], strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// one hands one change over.
func one(t *testing.T, s *dns.Server, c mail.RecordChange) mail.RecordOutcome {
	t.Helper()
	os := s.HandOver(t.Context(), []mail.RecordChange{c})
	if len(os) != 1 || os[0].Name != c.Name || os[0].Type != c.Type {
		t.Fatalf("%+v", os)
	}
	return os[0]
}

func checkHanded(t *testing.T, o mail.RecordOutcome, want mail.Handed, reason string) {
	t.Helper()
	if o.Handed != want || !strings.Contains(o.Reason, reason) || (o.Reason == "") != (want == mail.Published) {
		t.Errorf("%+v, want %s with %q", o, want, reason)
	}
}

func txt(name string, why mail.Purpose, values ...string) mail.RecordChange {
	return mail.RecordChange{Record: mail.Record{Name: name, Type: mail.TypeTXT, TTL: 300, Values: values, Why: why}, Ours: values}
}

// handle starts a name server of the test's own, over UDP and TCP at one port.
func handle(t *testing.T, h wire.HandlerFunc) netip.AddrPort {
	t.Helper()
	var l net.Listener
	var u net.PacketConn
	for range 20 {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if u, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		_ = l.Close()
	}
	for _, s := range []*wire.Server{{Listener: l, Handler: h}, {PacketConn: u, Handler: h}} {
		up, down := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		// It verifies no signature: our questions are what is looked at.
		s.MsgAcceptFunc = func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept }
		go func() {
			_ = s.ActivateAndServe() // ends with Shutdown
			close(down)
		}()
		<-up
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-down
		})
	}
	return netip.MustParseAddrPort(l.Addr().String())
}
