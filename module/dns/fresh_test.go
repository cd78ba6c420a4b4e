package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"maildomain/module/dns"
	"maildomain/tests/nameserver"
)

// behind is an asker whose resolver is another server than the authoritative one, which
// remembers what it once said; both are at a port of the test's.
func behind(t *testing.T, records string) (*nameserver.Server, *dns.Asker) {
	t.Helper()
	own := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{
		{Name: "example.com", Records: exampleZone + records},
		{Name: "example.net", Records: "@ NS ns.example.com.\nthere A 192.0.2.9\nthere AAAA 2001:db8::9\nthere CAA 0 issue \"net.test\"\n"},
	}})
	resolver := nameserver.Start(t, nameserver.Options{Forward: own.Addr()})
	a := &dns.Asker{Resolvers: []netip.AddrPort{resolver.Addr()}}
	a.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "192.0.2.53:53" {
			address = own.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return own, a
}

func TestNamesAreFollowedAsTheirServersHaveThem(t *testing.T) {
	_, a := behind(t, `
here A 192.0.2.7
near CNAME here
far CNAME there.example.net.
gone CNAME nothing.example.net.
@ CAA 128 issue "ca.test; account=1"
@ CAA 0 iodef "mailto:a@example.com"
`)
	for name, want := range map[string]string{
		"here.example.com": "[192.0.2.7]", "near.example.com": "[192.0.2.7]", "far.example.com": "[192.0.2.9 2001:db8::9]",
		"gone.example.com": "[]", "nothing.example.com": "[]",
	} {
		if got, err := a.Addresses(t.Context(), name); fmt.Sprint(got) != want || err != nil {
			t.Errorf("addresses of %s: %v, %v, want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"near.example.com": "here.example.com", "far.example.com": "there.example.net", "here.example.com": "", "nothing.example.com": "",
	} {
		if got, err := a.Alias(t.Context(), name); got != want || err != nil {
			t.Errorf("alias of %s: %q, %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"example.com": `[{0 iodef mailto:a@example.com} {128 issue ca.test; account=1}]`, "here.example.com": "[]", "near.example.com": "[]",
		"far.example.com": "[{0 issue net.test}]", "nothing.example.com": "[]",
	} {
		got, err := a.CAA(t.Context(), name)
		slices.SortFunc(got, func(a, b dns.CAA) int { return int(a.Flags) - int(b.Flags) })
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("CAA of %s: %v, %v, want %s", name, got, err, want)
		}
	}
}

// A resolver remembers for a while that there was nothing; who has just entered a
// record is not to wait for that.
func TestWhatIsNewIsSeenBeforeTheResolverForgets(t *testing.T) {
	own, a := behind(t, "")
	ctx := t.Context()
	if v := a.Ask(ctx, "new.example.com", "A"); v.Err != nil || len(v.Values) != 0 {
		t.Fatal(v)
	}
	s := serverAt(t, own.Addr())
	c := txt("new.example.com", "", "")
	c.Type, c.Values, c.Ours = "A", []string{"192.0.2.77"}, []string{"192.0.2.77"}
	checkHanded(t, one(t, s, c), "published", "")
	if got, err := a.Addresses(ctx, "new.example.com"); fmt.Sprint(got) != "[192.0.2.77]" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNameOfWhichNobodyAnswersIsNotKnown(t *testing.T) {
	own, a := behind(t, "")
	own.Stop()
	a.Resolvers = []netip.AddrPort{own.Addr()}
	if got, err := a.Addresses(t.Context(), "here.example.com"); err == nil {
		t.Errorf("addresses: %v", got)
	}
	if got, err := a.CAA(t.Context(), "here.example.com"); err == nil {
		t.Errorf("CAA: %v", got)
	}
	if got, err := a.Alias(t.Context(), "here.example.com"); err == nil {
		t.Errorf("alias: %v", got)
	}
}
