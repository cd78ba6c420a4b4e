package mail

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testPublication is a domain with all that one can have.
func testPublication(t testing.TB, domain string) Publication {
	t.Helper()
	d := mustName(t, domain)
	policy, err := DMARCTemplate("v=DMARC1; p=none; rua=mailto:__email__", d, Address{LocalPart{"admin"}, d})
	if err != nil {
		t.Fatal(err)
	}
	p := Publication{
		Domain: d, MailHost: mustName(t, "host.panel.example"), DMARC: &policy,
		Servers: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")},
		Names:   []Name{mustName(t, "mail."+domain), mustName(t, "imap."+domain), mustName(t, "mail."+domain), d, mustName(t, "mail.other.example")},
	}
	for i, k := range newKeys(t) {
		p.Keys = append(p.Keys, PublishedKey{mustSelector(t, []string{"old", "dkim", "ed.2026"}[i]), k.Record()})
	}
	return p
}

func mustRecords(t testing.TB, p Publication) []Record {
	t.Helper()
	rs, err := p.Records()
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestRecordsOfADomain(t *testing.T) {
	p := testPublication(t, "example.com")
	var got []string
	for _, r := range mustRecords(t, p) {
		if r.TTL != DefaultTTL {
			t.Errorf("%s %s: TTL %d", r.Name, r.Type, r.TTL)
		}
		for _, f := range r.Fields() {
			v, _, _ := strings.Cut(f.Value, "p=MI")
			got = append(got, strings.Join([]string{string(r.Why), f.Name, string(f.Type), v}, " "))
		}
	}
	want := []string{
		"mx example.com MX 10 host.panel.example",
		"spf example.com TXT v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip6:2001:db8::1 ~all",
		"dkim old._domainkey.example.com TXT v=DKIM1; h=sha256; k=rsa; s=email; ",
		"dkim dkim._domainkey.example.com TXT v=DKIM1; h=sha256; k=rsa; s=email; ",
		"dkim ed.2026._domainkey.example.com TXT " + p.Keys[2].Record.String(),
		"dmarc _dmarc.example.com TXT v=DMARC1; p=none; rua=mailto:admin@example.com",
		"host mail.example.com A 192.0.2.1",
		"host mail.example.com A 192.0.2.2",
		"host mail.example.com AAAA 2001:db8::1",
		"host imap.example.com A 192.0.2.1",
		"host imap.example.com A 192.0.2.2",
		"host imap.example.com AAAA 2001:db8::1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Exim's interface option holds for one family; for the other it takes what the
// system chooses.
func TestOwnOutgoingAddressStandsForItsFamily(t *testing.T) {
	p := testPublication(t, "example.com")
	for ip, want := range map[string]string{
		"192.0.2.9":        "v=spf1 ip4:192.0.2.9 ip6:2001:db8::1 ~all",
		"::ffff:192.0.2.9": "v=spf1 ip4:192.0.2.9 ip6:2001:db8::1 ~all",
		"2001:db8::9":      "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip6:2001:db8::9 ~all",
	} {
		p.Outgoing = netip.MustParseAddr(ip)
		if got := p.SPF().String(); got != want {
			t.Errorf("%s: %s", ip, got)
		}
	}
}

func TestDomainWithoutKeyOrPolicyHasNoRecordOfThem(t *testing.T) {
	p := testPublication(t, "example.com")
	p.Keys, p.DMARC, p.Names, p.TTL = nil, nil, nil, 60
	p.MailHost = mustName(t, "mx.example.com")
	rs := mustRecords(t, p)
	if len(rs) != 4 || rs[0].Why != ForMX || rs[1].Why != ForSPF || rs[2].Name != "mx.example.com" || rs[3].Type != TypeAAAA || rs[0].TTL != 60 {
		t.Errorf("%+v", rs)
	}
	for _, q := range []Publication{{}, {Domain: p.Domain}, {Domain: p.Domain, MailHost: p.MailHost}} {
		if rs, err := q.Records(); err == nil {
			t.Errorf("of %+v: %+v", q, rs)
		}
	}
}

// BIND's own tool is the measure of a zone file.
func TestBINDLoadsTheZone(t *testing.T) {
	check := program(t, "named-checkzone", "bind9-utils")
	long := strings.Repeat(strings.Repeat("a", 40)+".", 5) + "example" // 212 bytes
	for _, domain := range []string{"example.com", "пример.рф", "a-b.example", long} {
		p := testPublication(t, domain)
		if domain == long {
			p.Keys = p.Keys[:2]
		}
		text, err := ZoneText(mustRecords(t, p))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "zone")
		zone := "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.53\n" + text
		if err := os.WriteFile(file, []byte(zone), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), check, "-k", "fail", "-n", "fail", "-D", "-i", "none", p.Domain.String(), file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, zone)
		}
		for _, r := range mustRecords(t, p) {
			for _, v := range r.Values {
				if r.Type == TypeTXT && !strings.Contains(string(out), SplitTXT(v).String()) {
					t.Errorf("%s: BIND does not show %s", r.Name, SplitTXT(v))
				}
			}
		}
	}
}

func TestWhatIsNoRecordIsNotWritten(t *testing.T) {
	ok := Record{Name: "a.example", Type: TypeMX, Values: []string{"10 mx.a.example"}}
	for _, h := range hostile {
		if h == "." || h == ".." {
			continue
		}
		for _, r := range []Record{
			{Name: "a" + h + ".example", Type: TypeTXT, Values: []string{"x"}},
			{Name: ok.Name, Type: TypeMX, Values: []string{"10 mx" + h + ".example"}},
			{Name: ok.Name, Type: TypeA, Values: []string{"192.0.2.1" + h}},
			{Name: ok.Name, Type: RecordType("A" + h), Values: []string{"192.0.2.1"}},
		} {
			if text, err := ZoneText([]Record{ok, r}); err == nil || text != "" {
				t.Errorf("%+v: %q", r, text)
			}
		}
	}
	for _, r := range []Record{
		{Name: "", Type: TypeTXT, Values: []string{"x"}},
		{Name: "a..b", Type: TypeTXT, Values: []string{"x"}},
		{Name: "a.b", Type: TypeA, Values: []string{"2001:db8::1"}},
		{Name: "a.b", Type: TypeAAAA, Values: []string{"192.0.2.1"}},
		{Name: "a.b", Type: TypeAAAA, Values: []string{"::ffff:192.0.2.1"}},
		{Name: "a.b", Type: TypeMX, Values: []string{"65536 mx.a.example"}},
		{Name: "a.b", Type: TypeMX, Values: []string{"mx.a.example"}},
		{Name: "a.b", Type: TypeTXT, Values: []string{strings.Repeat("x", 65536)}},
	} {
		if text, err := ZoneText([]Record{r}); err == nil {
			t.Errorf("%+v: %q", r, text)
		}
	}
}

func TestNormalValuesAreStable(t *testing.T) {
	types := rapid.SampledFrom([]RecordType{TypeA, TypeAAAA, TypeMX, TypeTXT, TypePTR})
	value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-fA-F:.]{1,20}`), rapid.StringMatching(`[0-9]{1,6} [A-Za-z0-9_.-]{1,20}`))
	rapid.Check(t, func(t *rapid.T) {
		typ := types.Draw(t, "type")
		n, err := NormalValue(typ, value.Draw(t, "value"))
		if err != nil {
			return
		}
		if again, err := NormalValue(typ, n); err != nil || again != n {
			t.Fatalf("%s %q became %q, %v", typ, n, again, err)
		}
		line, err := ZoneText([]Record{{Name: "a.example", Type: typ, Values: []string{n}}})
		if err != nil || strings.Count(line, "\n") != 2 {
			t.Fatalf("%q: %q, %v", n, line, err)
		}
	})
}
