package dns_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/dns"
	"maildomain/module/mail"
)

// check finds what is wanted of a domain, by purpose.
func check(t *testing.T, l lab, p mail.Publication) map[mail.Purpose]dns.Finding {
	t.Helper()
	findings, err := l.asker.Check(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	by := map[mail.Purpose]dns.Finding{}
	for _, f := range findings {
		if len(f.Answers) == 0 {
			t.Errorf("%s %s: nobody was asked", f.Record.Name, f.Record.Type)
		}
		by[f.Record.Why] = f
	}
	return by
}

func checkFinding(t *testing.T, f dns.Finding, state mail.State, text string, args ...string) {
	t.Helper()
	if f.Verdict.State != state || f.Verdict.Text != text {
		t.Errorf("%s %s: %+v, want %s %s", f.Record.Name, f.Record.Type, f.Verdict, state, text)
	}
	for i := 0; i+1 < len(args); i += 2 {
		if !strings.Contains(f.Verdict.Args[args[i]], args[i+1]) {
			t.Errorf("%s %s: %s is %q, want %q in it", f.Record.Name, f.Record.Type, args[i], f.Verdict.Args[args[i]], args[i+1])
		}
	}
	for _, n := range mail.CheckTexts[f.Verdict.Text] {
		if f.Verdict.Args[n] == "" {
			t.Errorf("%s: %s lacks %s", f.Record.Name, f.Verdict.Text, n)
		}
	}
}

// handAll puts all records of a domain at a server, and holds that they were taken.
func handAll(t *testing.T, s *dns.Server, p mail.Publication) {
	t.Helper()
	rs, err := p.Records()
	if err != nil {
		t.Fatal(err)
	}
	var cs []mail.RecordChange
	for _, r := range rs {
		cs = append(cs, mail.RecordChange{Record: r, Ours: r.Values})
	}
	for _, o := range s.HandOver(t.Context(), cs) {
		checkHanded(t, o, mail.Published, "")
	}
}

func TestDomainIsRightOnceEveryServerHasItsRecords(t *testing.T) {
	for _, domain := range []string{"example.com", "пример.рф", strings.Repeat(strings.Repeat("a", 40)+".", 4) + "example"} {
		l := startLab(t, domain, "")
		p := wanted(t, domain)
		for _, f := range check(t, l, p) {
			checkFinding(t, f, mail.Wrong, mail.CheckMissing)
		}
		handAll(t, serverAt(t, l.first.Addr()), p)
		for _, f := range check(t, l, p) {
			checkFinding(t, f, mail.Wrong, mail.CheckStale, "servers", "ns2."+p.Domain.String()+" (192.0.2.54)")
		}
		handAll(t, serverAt(t, l.second.Addr()), p)
		for _, f := range check(t, l, p) {
			// The resolver may remember that there was nothing, for a second.
			if f.Verdict.Text != mail.CheckCached {
				checkFinding(t, f, mail.Right, mail.CheckOK)
			}
			if f.Verdict.State != mail.Right {
				t.Errorf("%+v", f)
			}
		}
		l.second.Stop()
		for _, f := range check(t, l, p) {
			checkFinding(t, f, mail.Unknown, mail.CheckSilent, "servers", "192.0.2.54")
		}
		l.first.Stop()
		l.resolver.Stop()
		for _, f := range check(t, l, p) {
			checkFinding(t, f, mail.Unknown, mail.CheckUnasked)
		}
	}
}

// The resolver still has what stood a moment ago; that is no reason for alarm.
func TestResolverThatRemembersIsNoAlarm(t *testing.T) {
	l := startLab(t, "example.com", "_dmarc TXT \"v=DMARC1; p=reject\"\n")
	p := wanted(t, "example.com")
	r := wantedRecords(t, "example.com")
	checkFinding(t, check(t, l, p)[mail.ForDMARC], mail.Wrong, mail.CheckDMARCDiffers, "differences", "p=reject, not p=none")
	for _, rec := range r {
		if rec.Why != mail.ForDMARC {
			continue
		}
		for _, s := range []*dns.Server{serverAt(t, l.first.Addr()), serverAt(t, l.second.Addr())} {
			c := mail.RecordChange{Record: rec, Ours: append([]string{"v=DMARC1; p=reject"}, rec.Values...)}
			checkHanded(t, one(t, s, c), mail.Published, "")
		}
		f := l.asker.CheckRecord(t.Context(), rec, p)
		checkFinding(t, f, mail.Right, mail.CheckCached, "servers", "127.0.0.1")
	}
}

func TestMXThatLeadsHereByAnotherName(t *testing.T) {
	l := startLab(t, "example.com", "@ MX 10 post\n@ MX 20 backup\npost A 192.0.2.1\nbackup A 192.0.2.99\n")
	p := wanted(t, "example.com")
	checkFinding(t, check(t, l, p)[mail.ForMX], mail.Right, mail.CheckOK)
	p.Servers = []netip.Addr{netip.MustParseAddr("192.0.2.99")}
	checkFinding(t, check(t, l, p)[mail.ForMX], mail.Wrong, mail.CheckMXElsewhere, "host", "post.example.com")
	p.Servers = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	p.MailHost = mustName(t, "backup.example.com")
	checkFinding(t, check(t, l, p)[mail.ForMX], mail.Right, mail.CheckOK)
}

func TestMXHostThatLeadsNowhere(t *testing.T) {
	l := startLab(t, "example.com", "@ MX 10 mx\nmx TXT \"no address\"\n")
	checkFinding(t, check(t, l, wanted(t, "example.com"))[mail.ForMX], mail.Wrong, mail.CheckMXUnresolved, "host", "mx.example.com")
}

func TestSPFIsEvaluatedForOurAddresses(t *testing.T) {
	records := "post A 192.0.2.1\npost AAAA 2001:db8::1\n_in TXT \"v=spf1 a:post.example.com -all\"\n_other TXT \"v=spf1 ip4:198.51.100.1 -all\"\n"
	for policy, want := range map[string]struct {
		state mail.State
		text  string
		merge string
	}{
		"v=spf1 include:_in.example.com -all":                               {mail.Right, mail.CheckOK, ""},
		"v=spf1 redirect=_in.example.com":                                   {mail.Right, mail.CheckOK, ""},
		"v=spf1 a:post.example.com ~all":                                    {mail.Right, mail.CheckOK, ""},
		"v=spf1 include:_other.example.com -all":                            {mail.Wrong, mail.CheckSPFDenies, "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:_other.example.com -all"},
		"v=spf1 redirect=_other.example.com":                                {mail.Wrong, mail.CheckSPFDenies, "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 redirect=_other.example.com"},
		"v=spf1 include:_none.example.com -all":                             {mail.Wrong, mail.CheckSPFBroken, ""},
		"v=spf1 a:a.x.example.com a:b.x.example.com a:c.x.example.com +all": {mail.Wrong, mail.CheckSPFBroken, ""},
		"v=spf1 includ:_in.example.com -all":                                {mail.Wrong, mail.CheckSPFBroken, ""},
		// Its server is another zone's, which nobody serves here.
		"v=spf1 include:elsewhere.example -all": {mail.Unknown, mail.CheckSPFUnasked, ""},
	} {
		l := startLab(t, "example.com", records+"@ TXT \""+policy+"\"\n")
		f := check(t, l, wanted(t, "example.com"))[mail.ForSPF]
		checkFinding(t, f, want.state, want.text)
		if want.merge != "" && f.Verdict.Proposal != want.merge {
			t.Errorf("%s: proposal %q", policy, f.Verdict.Proposal)
		}
	}
}

func TestDomainThatGetsReportsAgrees(t *testing.T) {
	for records, want := range map[string]string{"": mail.CheckDMARCReports, "*._report._dmarc TXT \"v=DMARC1\"\n": mail.CheckOK} {
		l := startLab(t, "example.com", records)
		p := wanted(t, "example.org")
		policy, err := mail.ParseDMARC("v=DMARC1; p=none; rua=mailto:dmarc@example.com")
		if err != nil {
			t.Fatal(err)
		}
		p.DMARC = &policy
		f := l.asker.CheckRecord(t.Context(), p.Elsewhere()[0], p)
		state := mail.Wrong
		if want == mail.CheckOK {
			state = mail.Right
		}
		checkFinding(t, f, state, want)
	}
}

func TestServersNamedForAZoneThatTheyDoNotServe(t *testing.T) {
	for records, why := range map[string]string{
		"@ NS ns3\nns3 A 192.0.2.55\n":     "does not serve the zone",
		"@ NS ns4.2.0.192.in-addr.arpa.\n": "no address",
	} {
		l := startLab(t, "example.com", records)
		lame := handle(t, func(w wire.ResponseWriter, m *wire.Msg) {
			a := new(wire.Msg)
			a.SetReply(m)
			_ = w.WriteMsg(a)
		})
		l.asker.Dial = roads(t, map[netip.AddrPort]netip.AddrPort{
			firstAddr: l.first.Addr(), secondAddr: l.second.Addr(), netip.MustParseAddrPort("192.0.2.55:53"): lame,
		})
		p := wanted(t, "example.com")
		for _, s := range []*dns.Server{serverAt(t, l.first.Addr()), serverAt(t, l.second.Addr())} {
			handAll(t, s, p)
		}
		checkFinding(t, check(t, l, p)[mail.ForSPF], mail.Unknown, mail.CheckSilent, "servers", "ns", "error", why)
	}
}

// A host without IPv6 asks servers that have it.
func TestServerThatAnswersAtOneOfItsAddressesIsAsked(t *testing.T) {
	l := startLab(t, "example.com", "ns1 AAAA 2001:db8::53\n")
	sixth := netip.MustParseAddrPort("[2001:db8::53]:53")
	way := l.asker.Dial
	l.asker.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == sixth.String() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENETUNREACH}
		}
		return way(ctx, network, address)
	}
	p := wanted(t, "example.com")
	for _, s := range []*dns.Server{serverAt(t, l.first.Addr()), serverAt(t, l.second.Addr())} {
		handAll(t, s, p)
	}
	f := check(t, l, p)[mail.ForDMARC]
	checkFinding(t, f, mail.Right, mail.CheckOK)
	if len(f.Answers) != 4 {
		t.Errorf("%+v", f.Answers)
	}
	for _, a := range f.Answers {
		if (a.Err != nil) != (a.Addr == sixth) || a.Err != nil && a.Err.Error() != "no way leads there" {
			t.Errorf("%+v", a)
		}
	}
}

// Eight records at a server that says nothing cost the waiting of one.
func TestSilentServerIsAskedOnce(t *testing.T) {
	l := startLab(t, "example.com", "@ NS ns3\nns3 A 192.0.2.55\n")
	var asked atomic.Int32
	mute := handle(t, func(wire.ResponseWriter, *wire.Msg) { asked.Add(1) })
	l.asker.Dial = roads(t, map[netip.AddrPort]netip.AddrPort{
		firstAddr: l.first.Addr(), secondAddr: l.second.Addr(), netip.MustParseAddrPort("192.0.2.55:53"): mute,
	})
	l.asker.Timeout = time.Second
	p := wanted(t, "example.com")
	for _, s := range []*dns.Server{serverAt(t, l.first.Addr()), serverAt(t, l.second.Addr())} {
		handAll(t, s, p)
	}
	for _, f := range check(t, l, p) {
		checkFinding(t, f, mail.Unknown, mail.CheckSilent, "servers", "ns3.example.com (192.0.2.55)", "error", "it does not answer")
	}
	if n := asked.Load(); n > 3*4 { // three questions each of the four that began at once
		t.Errorf("asked %d times", n)
	}
}

func TestNameOfAnAddressAndHELOAgree(t *testing.T) {
	l := startLab(t, "example.com", `mx A 192.0.2.1
mx A 192.0.2.2
mx A 192.0.2.3
mx A 192.0.2.5
other A 192.0.2.2
liar A 192.0.2.77
`)
	addr := netip.MustParseAddr
	local := []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3"), addr("192.0.2.4"), addr("192.0.2.5"), addr("2001:db8::1")}
	mx := mustName(t, "mx.example.com")
	for ip, want := range map[string]struct {
		state mail.State
		text  string
	}{
		"192.0.2.1":        {mail.Right, mail.CheckOK},
		"::ffff:192.0.2.1": {mail.Right, mail.CheckOK},
		"192.0.2.2":        {mail.Wrong, mail.CheckHELODiffers},
		"192.0.2.3":        {mail.Wrong, mail.CheckPTRUnconfirmed},
		"192.0.2.4":        {mail.Wrong, mail.CheckHELOUnconfirmed},
		"192.0.2.5":        {mail.Wrong, mail.CheckPTRMissing},
		"192.0.2.6":        {mail.Wrong, mail.CheckAddressForeign},
		"2001:db8::1":      {mail.Unknown, mail.CheckUnasked}, // nobody serves its reverse zone
	} {
		fs := l.asker.CheckSenders(t.Context(), []dns.Sender{{Addr: addr(ip), HELO: mx}}, local)
		checkFinding(t, fs[0], want.state, want.text)
	}
}
