package mail

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A zoneMap is DNS for the tests: "name TYPE" to values; FAIL for a server that fails.
type zoneMap map[string][]string

func (z zoneMap) ask(_ context.Context, name string, t RecordType) ([]string, error) {
	vs := z[strings.ToLower(name)+" "+string(t)]
	if len(vs) == 1 && vs[0] == "FAIL" {
		return nil, errors.New("no answer")
	}
	return vs, nil
}

// exampleZone is the zone file of RFC 7208 appendix A, with a policy for example.com.
func exampleZone(policy string) zoneMap {
	return zoneMap{
		"example.com TXT":               {"another text", policy},
		"example.com MX":                {"10 mail-a.example.com", "20 mail-b.example.com"},
		"example.com A":                 {"192.0.2.10", "192.0.2.11"},
		"amy.example.com A":             {"192.0.2.65"},
		"bob.example.com A":             {"192.0.2.66"},
		"mail-a.example.com A":          {"192.0.2.129"},
		"mail-b.example.com A":          {"192.0.2.130"},
		"example.org MX":                {"10 mail-c.example.org"},
		"mail-c.example.org A":          {"192.0.2.140"},
		"10.2.0.192.in-addr.arpa PTR":   {"example.com"},
		"65.2.0.192.in-addr.arpa PTR":   {"amy.example.com"},
		"66.2.0.192.in-addr.arpa PTR":   {"bob.example.com"},
		"129.2.0.192.in-addr.arpa PTR":  {"mail-a.example.com"},
		"140.2.0.192.in-addr.arpa PTR":  {"mail-c.example.org"},
		"4.0.0.10.in-addr.arpa PTR":     {"bob.example.com"},
		"mary.mobile-users._spf.x.test": {},
	}
}

func checkAt(t *testing.T, z zoneMap, ip string) SPFOutcome {
	t.Helper()
	o := CheckSPF(t.Context(), z.ask, SPFSender{IP: netip.MustParseAddr(ip), Domain: "example.com", Local: "strong-bad", HELO: "mail.example.org"})
	if (o.Err != nil) != (o.Result == SPFTempError || o.Result == SPFPermError) {
		t.Errorf("%s: %+v", ip, o)
	}
	return o
}

func TestExamplesOfRFC7208AppendixA(t *testing.T) {
	all := []string{"192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130", "192.0.2.140", "192.0.2.131", "10.0.0.4", "2001:db8::1"}
	for policy, pass := range map[string]string{
		"v=spf1 +all":                       strings.Join(all, " "),
		"v=spf1 a -all":                     "192.0.2.10 192.0.2.11",
		"v=spf1 a:example.org -all":         "",
		"v=spf1 mx -all":                    "192.0.2.129 192.0.2.130",
		"v=spf1 mx:example.org -all":        "192.0.2.140",
		"v=spf1 mx mx:example.org -all":     "192.0.2.129 192.0.2.130 192.0.2.140",
		"v=spf1 mx/30 mx:example.org/30":    "192.0.2.129 192.0.2.130 192.0.2.131 192.0.2.140",
		"v=spf1 ptr -all":                   "192.0.2.10 192.0.2.65 192.0.2.66 192.0.2.129",
		"v=spf1 ip4:192.0.2.128/28 -all":    "192.0.2.129 192.0.2.130 192.0.2.131 192.0.2.140",
		"v=spf1 ip6:2001:db8::/32 -all":     "2001:db8::1",
		"v=spf1 ip4:::ffff:1.2.3.4 -all":    "",
		"v=spf1 -ip4:192.0.2.0/24 +all":     "10.0.0.4 2001:db8::1",
		"v=spf1 a:%{l}.%{d} a:amy.%{o} ~al": "",
	} {
		z := exampleZone(policy)
		for _, ip := range all {
			want := strings.Contains(" "+pass+" ", " "+ip+" ")
			if o := checkAt(t, z, ip); (o.Result == SPFPass) != want {
				t.Errorf("%s from %s: %+v", policy, ip, o)
			}
		}
	}
}

func TestAddressMappedIntoIPv6IsItself(t *testing.T) {
	if o := checkAt(t, exampleZone("v=spf1 ip4:192.0.2.1 -all"), "::ffff:192.0.2.1"); o.Result != SPFPass || o.Term != "ip4:192.0.2.1" || o.Lookups != 0 {
		t.Errorf("%+v", o)
	}
}

func TestResultsOfIncludeAndRedirect(t *testing.T) {
	others := zoneMap{
		"pass.test TXT":    {"v=spf1 +all"},
		"fail.test TXT":    {"v=spf1 -all"},
		"soft.test TXT":    {"v=spf1 ~all"},
		"neutral.test TXT": {"v=spf1 ?all"},
		"broken.test TXT":  {"v=spf1 what"},
		"two.test TXT":     {"v=spf1 -all", "v=spf1 +all"},
		"down.test TXT":    {"FAIL"},
		"loop.test TXT":    {"v=spf1 include:loop.test -all"},
		"round.test TXT":   {"v=spf1 redirect=round.test"},
		"down.test A":      {"FAIL"},
	}
	for policy, want := range map[string]SPFResult{
		"v=spf1 include:pass.test -all":             SPFPass,
		"v=spf1 ?include:pass.test -all":            SPFNeutral,
		"v=spf1 -include:pass.test +all":            SPFFail,
		"v=spf1 include:fail.test +all":             SPFPass,
		"v=spf1 include:soft.test -all":             SPFFail,
		"v=spf1 include:neutral.test ~all":          SPFSoftFail,
		"v=spf1 include:none.test +all":             SPFPermError,
		"v=spf1 include:broken.test +all":           SPFPermError,
		"v=spf1 include:two.test +all":              SPFPermError,
		"v=spf1 include:down.test +all":             SPFTempError,
		"v=spf1 include:loop.test +all":             SPFPermError,
		"v=spf1 redirect=pass.test":                 SPFPass,
		"v=spf1 redirect=fail.test":                 SPFFail,
		"v=spf1 redirect=none.test":                 SPFPermError,
		"v=spf1 redirect=round.test":                SPFPermError,
		"v=spf1 redirect=down.test":                 SPFTempError,
		"v=spf1 ?all redirect=fail.test":            SPFNeutral,
		"v=spf1 a:none.test redirect=pass.test":     SPFPass,
		"v=spf1":                                    SPFNeutral,
		"v=spf1 a:down.test +all":                   SPFTempError,
		"v=spf1 exists:example.com -all":            SPFPass,
		"v=spf1 exists:down.test -all":              SPFTempError,
		"v=spf1 ip4:192.0.2.77 a:down.test -all":    SPFPass,
		"v=spf1 a:one.test a:two.test -all":         SPFFail,
		"v=spf1 a:a.test a:b.test a:c.test -all":    SPFPermError, // three voids
		"v=spf1 a:x..test a:b.test a:c.test +all":   SPFPermError,
		"v=spf1 exists:%{p}.x.test +all":            SPFPass,
		"v=spf1 a:a.test ptr:b.test exists:c.d -al": SPFPermError,
	} {
		z := exampleZone(policy)
		for k, v := range others {
			z[k] = v
		}
		if o := checkAt(t, z, "192.0.2.77"); o.Result != want {
			t.Errorf("%s: %+v, want %s", policy, o, want)
		}
	}
}

func TestTenLookUpsAndNoMore(t *testing.T) {
	z := exampleZone("")
	policy := "v=spf1"
	for i := range 10 {
		policy += fmt.Sprintf(" a:h%d.test", i)
		z[fmt.Sprintf("h%d.test A", i)] = []string{"192.0.2.200"}
	}
	z["example.com TXT"] = []string{policy + " ip4:192.0.2.1 -all"}
	if o := checkAt(t, z, "192.0.2.1"); o.Result != SPFPass || o.Lookups != 10 {
		t.Errorf("ten: %+v", o)
	}
	z["example.com TXT"] = []string{policy + " mx ip4:192.0.2.1 -all"}
	if o := checkAt(t, z, "192.0.2.1"); o.Result != SPFPermError {
		t.Errorf("eleven: %+v", o)
	}
	// Ours come first in a merge, so that the limit is out of reach.
	merged := mustSPF(t, "v=spf1 ip4:192.0.2.1 ~all").Merge(mustSPF(t, policy+" mx -all"))
	o := CheckSPFPolicy(t.Context(), z.ask, SPFSender{IP: netip.MustParseAddr("192.0.2.1"), Domain: "example.com"}, merged)
	if o.Result != SPFPass || o.Lookups != 0 {
		t.Errorf("merged: %+v", o)
	}
}

func TestMoreThanTenExchangersAreAnError(t *testing.T) {
	z := exampleZone("v=spf1 mx -all")
	z["example.com MX"] = nil
	for i := range 11 {
		z["example.com MX"] = append(z["example.com MX"], fmt.Sprintf("%d h%d.test", i, i))
		z[fmt.Sprintf("h%d.test A", i)] = []string{"192.0.2.200"}
	}
	if o := checkAt(t, z, "192.0.2.200"); o.Result != SPFPermError {
		t.Errorf("%+v", o)
	}
	z["example.com MX"] = z["example.com MX"][:10]
	if o := checkAt(t, z, "192.0.2.200"); o.Result != SPFPass || o.Lookups != 1 {
		t.Errorf("%+v", o)
	}
}

func TestNoPolicyIsNone(t *testing.T) {
	for _, domain := range []string{"nothing.test", "localhost", "a..test", strings.Repeat("a", 64) + ".test", ""} {
		o := CheckSPF(t.Context(), exampleZone("v=spf1 -all").ask, SPFSender{IP: netip.MustParseAddr("192.0.2.1"), Domain: domain})
		if o.Result != SPFNone || o.Err != nil {
			t.Errorf("%q: %+v", domain, o)
		}
	}
}

func TestReverseNames(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.3":          "3.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.3":   "3.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0." + strings.Repeat("0.", 16) + "8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := ReverseName(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %s", a, got)
		}
	}
}
