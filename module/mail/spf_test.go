package mail

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustSPF(t testing.TB, s string) SPF {
	t.Helper()
	p, err := ParseSPF(s)
	if err != nil {
		t.Fatalf("ParseSPF(%q): %v", s, err)
	}
	return p
}

func TestPoliciesAreWrittenInOneSpelling(t *testing.T) {
	for s, want := range map[string]string{
		"v=spf1":            "v=spf1",
		"V=SPF1  +A  -ALL ": "v=spf1 a -all",
		"v=spf1 a/24 mx//64 a:x.example/24//64 ~all":        "v=spf1 a/24 mx//64 a:x.example/24//64 ~all",
		"v=spf1 a/32//128 ?all":                             "v=spf1 a ?all",
		"v=spf1 ip4:192.0.2.1/32 ip4:192.0.2.0/24 -all":     "v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 -all",
		"v=spf1 ip6:2001:DB8::0:1/128 ip6:2001:db8::/32":    "v=spf1 ip6:2001:db8::1 ip6:2001:db8::/32",
		"v=spf1 include:_spf.%{d2} exists:%{ir}.x.%{D1r}":   "v=spf1 include:_spf.%{d2} exists:%{ir}.x.%{D1r}",
		"v=spf1 redirect=_spf.example.com":                  "v=spf1 redirect=_spf.example.com",
		"v=spf1 exp=why.%{d} moo=cow%%_%_%- -all":           "v=spf1 -all exp=why.%{d} moo=cow%%_%_%-",
		"v=spf1 ptr ptr:x.example":                          "v=spf1 ptr ptr:x.example",
		"v=spf1 exists:%{l1r+-}.user.%{d} a:foo:b/z.a.test": "v=spf1 exists:%{l1r+-}.user.%{d} a:foo:b/z.a.test",
	} {
		p, err := ParseSPF(s)
		if err != nil || p.String() != want {
			t.Errorf("%q: %q, %v; want %q", s, p, err, want)
		}
	}
}

func TestPoliciesThatBreakTheGrammar(t *testing.T) {
	for _, s := range []string{
		"", "v=spf10", "v=spf2", "spf1 -all", "v=spf1\t-all",
		"v=spf1 all:x.example", "v=spf1 all/8", "v=spf1 include", "v=spf1 include:", "v=spf1 include:x", "v=spf1 include:x.123", "v=spf1 include:x.-a",
		"v=spf1 a:", "v=spf1 a/", "v=spf1 a/33", "v=spf1 a//129", "v=spf1 a/032", "v=spf1 a/24/24", "v=spf1 a//24/24", "v=spf1 a:/24", "v=spf1 a:x.example:8080", "v=spf1 mx:x.example/a",
		"v=spf1 ip4", "v=spf1 ip4:", "v=spf1 ip4:1.2.3", "v=spf1 ip4:1.2.3.4/33", "v=spf1 ip4:1.2.3.4/", "v=spf1 ip4:01.2.3.4", "v=spf1 ip4:::1", "v=spf1 ip6:1.2.3.4", "v=spf1 ip6:::1/129", "v=spf1 ip6:fe80::1%eth0", "v=spf1 ip4:1.2.3.4//32",
		"v=spf1 exists", "v=spf1 exists/8", "v=spf1 ptr:", "v=spf1 ptr/0", "v=spf1 foo", "v=spf1 -foo:x.example", "v=spf1 +", "v=spf1 -", "v=spf1 --all",
		"v=spf1 redirect=", "v=spf1 redirect=a.example redirect=b.example", "v=spf1 exp=a.example exp=a.example", "v=spf1 -redirect=a.example",
		"v=spf1 exists:%{z}.a.example", "v=spf1 exists:%{c}.a.example", "v=spf1 exists:%{d0}.a.example", "v=spf1 exists:%{d", "v=spf1 exists:%.a.example", "v=spf1 exists:%{d:}.a.example", "v=spf1 exists:%", "v=spf1 exists:%{}.a.example",
		"v=spf1 moo=%", "v=spf1 =x", "v=spf1 a\x80=b", "v=spf1 \u00e4",
	} {
		if p, err := ParseSPF(s); err == nil {
			t.Errorf("%q is read as %q", s, p)
		}
	}
}

// The examples of RFC 7208 section 7.4.
func TestMacrosOfTheRFC(t *testing.T) {
	s := SPFSender{IP: netip.MustParseAddr("192.0.2.3"), Domain: "email.example.com", Local: "strong-bad", HELO: "mail.example.org"}
	s6 := s
	s6.IP = netip.MustParseAddr("2001:db8::cb01")
	for spec, want := range map[string]string{
		"%{s}":  "strong-bad@email.example.com",
		"%{o}":  "email.example.com",
		"%{d}":  "email.example.com",
		"%{d4}": "email.example.com",
		"%{d3}": "email.example.com",
		"%{d2}": "example.com",
		"%{d1}": "com",
		"%{dr}": "com.example.email", "%{d2r}": "example.email",
		"%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad", "%{lr-}": "bad.strong", "%{l1r-}": "strong",
		"%{h}": "mail.example.org", "%{p}": "unknown", "a%%b%_c%-d": "a%b c%20d",
		"%{ir}.%{v}._spf.%{d2}":             "3.2.0.192.in-addr._spf.example.com",
		"%{lr-}.lp._spf.%{d2}":              "bad.strong.lp._spf.example.com",
		"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}":   "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
		"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}":  "3.2.0.192.in-addr.strong.lp._spf.example.com",
		"%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
	} {
		if got := s.expand(spec, s.Domain, "unknown"); got != want {
			t.Errorf("%s is %q, want %q", spec, got, want)
		}
	}
	if got := s6.expand("%{ir}.%{v}._spf.%{d2}", s.Domain, ""); got != "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com" {
		t.Errorf("of IPv6: %q", got)
	}
	odd := SPFSender{IP: s.IP, Local: "jack&jill=up", Domain: "a.example"}
	if got := odd.expand("%{L}.%{S}", "a.example", ""); got != "jack%26jill%3Dup.jack%26jill%3Dup%40a.example" {
		t.Errorf("escaped: %q", got)
	}
	long := SPFSender{IP: s.IP, Local: strings.Repeat("a.", 31) + "b", Domain: strings.Repeat("x23456789.", 20) + "example"}
	if got := long.expand("%{l}.%{d}", long.Domain, ""); len(got) > 253 || !strings.HasSuffix(got, long.Domain) || !strings.HasPrefix(got, "a.") {
		t.Errorf("cut to %d: %q", len(got), got)
	}
}

func TestMergedPolicyHasOursFirstAndTheirEnding(t *testing.T) {
	ours := mustSPF(t, "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all")
	for _, c := range []struct{ theirs, want string }{
		{"v=spf1 include:_spf.x.example -all", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:_spf.x.example -all"},
		{"v=spf1 a mx ip4:192.0.2.1 ?all", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 a mx ?all"},
		{"v=spf1 -all", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"},
		{"v=spf1 redirect=_spf.x.example", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 redirect=_spf.x.example"},
		{"v=spf1 include:x.example", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:x.example"},
		{"v=spf1 mx -all exp=why.example.com a=b", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 mx -all exp=why.example.com a=b"},
	} {
		if got := ours.Merge(mustSPF(t, c.theirs)).String(); got != c.want {
			t.Errorf("%q:\n%q, want\n%q", c.theirs, got, c.want)
		}
	}
	if got := ours.Merge(mustSPF(t, "v=spf1 a ?all"), mustSPF(t, "v=spf1 a mx -all")).String(); got != "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 a mx ?all" {
		t.Errorf("two: %q", got)
	}
}

func TestWrittenSPFIsReadBack(t *testing.T) {
	spec := rapid.SampledFrom([]string{"", "x.example", "_spf.%{d2}", "%{ir}.%{v}.x.example", "a/b.example."})
	rapid.Check(t, func(t *rapid.T) {
		var p SPF
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			m := SPFMechanism{
				Qualifier: rapid.SampledFrom([]byte("+-~?")).Draw(t, "q"),
				Name:      rapid.SampledFrom([]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}).Draw(t, "name"),
			}
			switch m.Name {
			case "all":
			case "ip4":
				m.Network = netip.PrefixFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))), rapid.IntRange(0, 32).Draw(t, "bits"))
			case "ip6":
				m.Network = netip.PrefixFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))), rapid.IntRange(0, 128).Draw(t, "bits"))
			case "include", "exists":
				m.Domain = "x." + spec.Draw(t, "spec") + "%{d}"
			case "a", "mx":
				m.Bits4, m.Bits6 = rapid.IntRange(0, 32).Draw(t, "4"), rapid.IntRange(0, 128).Draw(t, "6")
				m.Domain = spec.Draw(t, "spec")
			case "ptr":
				m.Domain = spec.Draw(t, "spec")
			}
			p.Mechanisms = append(p.Mechanisms, m)
		}
		p.Redirect, p.Explanation = spec.Draw(t, "redirect"), spec.Draw(t, "exp")
		again, err := ParseSPF(p.String())
		if err != nil || !again.Equal(p) || again.String() != p.String() {
			t.Fatalf("%q came back as %q, %v", p, again, err)
		}
	})
}

func FuzzSPF(f *testing.F) {
	f.Add("v=spf1 a:foo:b/z.a.test/24//64 mx ip4:1.2.3.0/24 ip6:::1 include:%{d2r-} exists:%{ir}.x.y ptr redirect=a.b exp=c.d u=v%_ -all")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseSPF(s)
		if err != nil {
			return
		}
		again, err := ParseSPF(p.String())
		if err != nil || !again.Equal(p) || again.String() != p.String() {
			t.Errorf("%q is %q, which is %q, %v", s, p, again, err)
		}
	})
}
