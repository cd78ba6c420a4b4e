package module

import (
	"net/netip"
	"slices"
	"testing"

	"maildomain/module/mail"
)

func TestFormOfANewDomain(t *testing.T) {
	w := newWorld(t)
	one, two, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		by     string
		e      mail.DomainEdit
		owners []string
		ips    []netip.Addr
		ssl    bool
	}{
		{"user1", edit(), nil, []netip.Addr{one, two, six}, true},
		{"user3", edit(), nil, []netip.Addr{one}, false},
		{"user1", edit("owner", "user3"), nil, []netip.Addr{one, two, six}, true}, // not one that it may choose
		{"user1", edit("owner", ""), nil, []netip.Addr{one, two, six}, true},
		{"reseller1", edit(), []string{"reseller1", "user1", "user2"}, []netip.Addr{one}, true},
		{"reseller1", edit("owner", "user1"), []string{"reseller1", "user1", "user2"}, []netip.Addr{one, two, six}, true},
		{"reseller1", edit("owner", "user4"), []string{"reseller1", "user1", "user2"}, []netip.Addr{one}, true},
		{"admin", edit("owner", "user3"), []string{"admin", "reseller1", "reseller2", "user1", "user2", "user3", "user4"}, []netip.Addr{one}, false},
		{"admin", edit("owner", ""), []string{"admin", "reseller1", "reseller2", "user1", "user2", "user3", "user4"}, []netip.Addr{one, two, six}, true},
		{"admin", edit("owner", "nobody"), []string{"admin", "reseller1", "reseller2", "user1", "user2", "user3", "user4"}, nil, false},
	} {
		f, err := w.OpenDomain(t.Context(), as(c.by), "", c.e)
		if err != nil || !f.New || !slices.Equal(f.Owners, c.owners) || !slices.Equal(f.IPs, c.ips) || f.MaySSL != c.ssl || f.Domain.Owner != c.by {
			t.Errorf("for %s: %+v, %v", c.by, f, err)
		}
	}
	for name, want := range map[string]string{"": "", "no name": "", "ПРИМЕР.рф": "xn--e1afmkfd.xn--p1ai"} {
		f, err := w.OpenDomain(t.Context(), as("user1"), "", edit("name", name))
		if err != nil || f.Domain.Name.String() != want || f.Edit.Name != name {
			t.Errorf("with name %q: %+v, %v", name, f.Domain.Values(), err)
		}
	}
	if revision(t, w) != 0 {
		t.Error("opening a form changed something")
	}
}

func TestFormOfADomainIsItsOwners(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "пример.рф")
	change(t, w, as("user1"), "пример.рф", edit("ip", "192.0.2.2", "greylist", "on"))
	for _, by := range []string{"user1", "reseller1", "admin"} {
		f, err := w.OpenDomain(t.Context(), as(by), "XN--E1AFMKFD.рф", edit("greylist", "off"))
		if err != nil || f.New || f.Domain.Owner != "user1" || len(f.IPs) != 3 || !f.Domain.Greylist || f.Edit.Greylist == nil {
			t.Errorf("for %s: %+v, %v", by, f, err)
		}
	}
	f, err := w.OpenDomain(t.Context(), as("admin"), "пример.рф", edit("owner", "user3"))
	if err != nil || len(f.IPs) != 1 || f.MaySSL || f.Domain.Owner != "user1" {
		t.Errorf("with another owner chosen: %+v, %v", f, err)
	}
}
