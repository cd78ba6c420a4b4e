package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/tests/nameserver"
)

// A lab is a small internet: two servers of example.com, under addresses that the
// zone names, and a resolver that asks the first one.
type lab struct {
	first, second, resolver *nameserver.Server
	asker                   *dns.Asker
}

var (
	firstAddr  = netip.MustParseAddrPort("192.0.2.53:53")
	secondAddr = netip.MustParseAddrPort("192.0.2.54:53")
)

const twoServers = `
@ NS ns1
@ NS ns2
ns1 A 192.0.2.53
ns2 A 192.0.2.54
`

// roads leads addresses of the zones to servers of the test, and nowhere else.
func roads(t *testing.T, to map[netip.AddrPort]netip.AddrPort) dns.Dialer {
	t.Helper()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		a := netip.MustParseAddrPort(address)
		if known, ok := to[a]; ok {
			a = known
		}
		if !a.Addr().IsLoopback() {
			t.Errorf("%s is asked, outside of the test", address)
			return nil, errors.New("no road leads there")
		}
		return new(net.Dialer).DialContext(ctx, network, a.String())
	}
}

func startLab(t *testing.T, domain, records string) lab {
	t.Helper()
	var l lab
	zone := func(more string) nameserver.Options {
		return nameserver.Options{Zones: []nameserver.Zone{
			{Name: mustName(t, domain).String(), Records: twoServers + more},
			{Name: "2.0.192.in-addr.arpa", Records: "@ NS ns1.example.com.\n1 PTR mx.example.com.\n2 PTR other.example.com.\n3 PTR liar.example.com.\n4 PTR a.example.org.\n"},
		}}
	}
	l.first = nameserver.Start(t, zone(records))
	l.second = nameserver.Start(t, zone(records))
	l.resolver = nameserver.Start(t, nameserver.Options{Forward: l.first.Addr()})
	l.asker = &dns.Asker{
		Resolvers: []netip.AddrPort{l.resolver.Addr()},
		Dial:      roads(t, map[netip.AddrPort]netip.AddrPort{firstAddr: l.first.Addr(), secondAddr: l.second.Addr()}),
		Now:       func() time.Time { return time.Unix(1_800_000_000, 0) },
	}
	return l
}

func TestEveryServerOfTheZoneIsAsked(t *testing.T) {
	long := strings.Repeat("0123456789", 60)
	l := startLab(t, "example.com", "@ TXT \"one\"\nlong TXT "+mail.SplitTXT(long).String()+"\n"+
		"alias CNAME target\ntarget TXT \"there\"\naway CNAME x.2.0.192.in-addr.arpa.\na.b.c.d A 192.0.2.9\n")
	for _, c := range []struct {
		name string
		typ  mail.RecordType
		want []string
	}{
		{"example.com", mail.TypeTXT, []string{"one"}},
		{"EXAMPLE.com", mail.TypeTXT, []string{"one"}},
		{"long.example.com", mail.TypeTXT, []string{long}},
		{"alias.example.com", mail.TypeTXT, []string{"there"}},
		{"away.example.com", mail.TypeTXT, nil},
		{"nothing.at.all.example.com", mail.TypeTXT, nil},
		{"a.b.c.d.example.com", mail.TypeA, []string{"192.0.2.9"}},
		{"1.2.0.192.in-addr.arpa", mail.TypePTR, []string{"mx.example.com"}},
	} {
		if strings.HasSuffix(c.name, "arpa") {
			if a := l.asker.Ask(t.Context(), c.name, c.typ); a.Err != nil || !slices.Equal(a.Values, c.want) {
				t.Errorf("%+v", a)
			}
			continue
		}
		as, err := l.asker.Everyone(t.Context(), c.name, c.typ)
		if err != nil || len(as) != 3 {
			t.Fatalf("%s: %+v, %v", c.name, as, err)
		}
		for i, a := range as {
			if a.Err != nil || !slices.Equal(a.Values, c.want) || a.Authoritative != (i < 2) || a.At.Unix() != 1_800_000_000 || a.Name != c.name {
				t.Errorf("%s at %s: %+v", c.name, a.Who(), a)
			}
		}
		if who := as[0].Who() + ", " + as[1].Who(); as[0].Server == "ns1.example.com" && who != "ns1.example.com (192.0.2.53), ns2.example.com (192.0.2.54)" {
			t.Errorf("asked %s", who)
		}
	}
}

func TestNameThatNobodyServesIsNotDelegated(t *testing.T) {
	// A resolver that knows of com and of nothing below it.
	resolver := handle(t, func(w wire.ResponseWriter, m *wire.Msg) {
		a := new(wire.Msg)
		a.SetRcode(m, wire.RcodeNameError)
		soa, _ := wire.NewRR("com. 60 IN SOA a.gtld-servers.net. nstld.example. 1 60 60 60 60")
		a.Ns = []wire.RR{soa}
		_ = w.WriteMsg(a)
	})
	asker := &dns.Asker{Resolvers: []netip.AddrPort{resolver}, Dial: roads(t, nil)}
	as, err := asker.Everyone(t.Context(), "_dmarc.nobody.com", mail.TypeTXT)
	if !errors.Is(err, dns.ErrNotDelegated) || len(as) != 1 || as[0].Err != nil || as[0].Values != nil {
		t.Errorf("%+v, %v", as, err)
	}
}

func TestNextResolverIsAskedWhenOneFails(t *testing.T) {
	var asked atomic.Int32
	bad := handle(t, func(w wire.ResponseWriter, m *wire.Msg) {
		asked.Add(1)
		a := new(wire.Msg)
		a.SetRcode(m, wire.RcodeServerFailure)
		_ = w.WriteMsg(a)
	})
	good := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{{Name: "example.com", Records: twoServers + "@ TXT \"x\"\n"}}})
	asker := &dns.Asker{Resolvers: []netip.AddrPort{bad, good.Addr()}, Dial: roads(t, nil)}
	if a := asker.Ask(t.Context(), "example.com", mail.TypeTXT); a.Err != nil || len(a.Values) != 1 || a.Addr != good.Addr() || asked.Load() != 1 {
		t.Errorf("%+v, the first was asked %d times", a, asked.Load())
	}
	asker.Resolvers = nil
	if a := asker.Ask(t.Context(), "example.com", mail.TypeTXT); a.Err == nil {
		t.Errorf("%+v", a)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	answer := func(change func(q, a *wire.Msg)) wire.HandlerFunc {
		return func(w wire.ResponseWriter, m *wire.Msg) {
			a := new(wire.Msg)
			a.SetReply(m)
			change(m, a)
			_ = w.WriteMsg(a)
		}
	}
	txt := func(q, a *wire.Msg) {
		rr, _ := wire.NewRR(q.Question[0].Name + ` 60 IN TXT "x"`)
		a.Answer = append(a.Answer, rr)
	}
	isTCP := func(w wire.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }
	var lost atomic.Int32
	for name, c := range map[string]struct {
		h  wire.HandlerFunc
		ok bool
	}{
		"good":            {answer(txt), true},
		"silent":          {func(wire.ResponseWriter, *wire.Msg) {}, false},
		"nonsense":        {func(w wire.ResponseWriter, _ *wire.Msg) { _, _ = w.Write([]byte("what?")) }, false},
		"echo":            {func(w wire.ResponseWriter, m *wire.Msg) { _ = w.WriteMsg(m) }, false},
		"servfail":        {answer(func(_, a *wire.Msg) { a.Rcode = wire.RcodeServerFailure }), false},
		"refused":         {answer(func(_, a *wire.Msg) { a.Rcode = wire.RcodeRefused }), false},
		"another name":    {answer(func(q, a *wire.Msg) { txt(q, a); a.Question[0].Name = "other.example." }), false},
		"another type":    {answer(func(q, a *wire.Msg) { txt(q, a); a.Question[0].Qtype = wire.TypeMX }), false},
		"no question":     {answer(func(q, a *wire.Msg) { txt(q, a); a.Question = nil }), false},
		"always too long": {answer(func(q, a *wire.Msg) { txt(q, a); a.Truncated = true }), false},
		"loop of aliases": {answer(func(q, a *wire.Msg) {
			rr, _ := wire.NewRR(fmt.Sprintf("%[1]s 60 IN CNAME %[1]s", q.Question[0].Name))
			a.Answer = []wire.RR{rr}
		}), true},
		"knows no EDNS": {func(w wire.ResponseWriter, m *wire.Msg) {
			a := new(wire.Msg)
			if m.IsEdns0() != nil {
				a.SetRcodeFormatError(m)
				_ = w.WriteMsg(a)
				return
			}
			a.SetReply(m)
			txt(m, a)
			_ = w.WriteMsg(a)
		}, true},
		"too long for UDP": {func(w wire.ResponseWriter, m *wire.Msg) {
			answer(func(q, a *wire.Msg) {
				if a.Truncated = !isTCP(w); !a.Truncated {
					txt(q, a)
				}
			})(w, m)
		}, true},
		"a lost packet": {func(w wire.ResponseWriter, m *wire.Msg) {
			if lost.Add(1) > 1 {
				answer(txt)(w, m)
			}
		}, true},
		"no UDP at all": {func(w wire.ResponseWriter, m *wire.Msg) {
			if isTCP(w) {
				answer(txt)(w, m)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asker := &dns.Asker{Resolvers: []netip.AddrPort{handle(t, c.h)}, Timeout: time.Second, Dial: roads(t, nil)}
			a := asker.Ask(t.Context(), "example.com", mail.TypeTXT)
			if (a.Err == nil) != c.ok || name != "loop of aliases" && (len(a.Values) == 1) != c.ok {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestAskingEndsWithItsContext(t *testing.T) {
	asker := &dns.Asker{Resolvers: []netip.AddrPort{handle(t, func(wire.ResponseWriter, *wire.Msg) {})}, Timeout: time.Hour, Dial: roads(t, nil)}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if as, err := asker.Everyone(ctx, "example.com", mail.TypeTXT); err == nil || len(as) != 1 || as[0].Err == nil {
		t.Errorf("%+v, %v", as, err)
	}
}

// Macros of SPF may put anything into a name.
func TestOddNamesAreAskedForAsTheyAre(t *testing.T) {
	var seen atomic.Value
	asker := &dns.Asker{Dial: roads(t, nil), Resolvers: []netip.AddrPort{handle(t, func(w wire.ResponseWriter, m *wire.Msg) {
		seen.Store(m.Question[0].Name)
		a := new(wire.Msg)
		a.SetReply(m)
		_ = w.WriteMsg(a)
	})}}
	for name, want := range map[string]string{
		`a b"c\d(e);f@g$.example`: `a\ b\"c\\d\(e\)\;f\@g$.example.`,
		"\u00fc\x00.example":      `\195\188\000.example.`,
	} {
		if a := asker.Ask(t.Context(), name, mail.TypeA); a.Err != nil || seen.Load() != want {
			t.Errorf("%q is asked as %q, %v", name, seen.Load(), a.Err)
		}
	}
}

func TestResolversOfAFile(t *testing.T) {
	for conf, want := range map[string]string{
		"# x\nsearch a.b\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n": "192.0.2.1:53 [2001:db8::1]:53",
		"nameserver\nnameserver x\n":                                      "127.0.0.1:53",
		"":                                                                "127.0.0.1:53",
		"nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4": "127.0.0.1:53 127.0.0.2:53 127.0.0.3:53",
	} {
		rs, err := dns.ReadResolvers(strings.NewReader(conf))
		if got := strings.Trim(fmt.Sprint(rs), "[]"); err != nil || strings.ReplaceAll(got, "[", "") != strings.ReplaceAll(want, "[", "") {
			t.Errorf("%q: %s, %v", conf, got, err)
		}
	}
}
