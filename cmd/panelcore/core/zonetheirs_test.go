package core_test

import (
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
	"maildomain/tests/nameserver"
)

// What people wrote at the name server themselves is theirs also where a module hands
// over the same.
func TestWhatStoodAtTheNameServerBeforeStaysAsItIs(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts +
		"webmail IN A 192.0.2.1\n@ IN MX 10 mx.host.test.\n@ IN TXT \"v=spf1 mx -all\"\nk._domainkey IN TXT ( \"v=DKIM1\\; \" \"p=x\" )\nplain IN TXT same\n"})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	theirs := []struct {
		change wire.DNSChange
		stands string
	}{
		{put("webmail.example.com", "A", 300, "192.0.2.1"), "60 192.0.2.1"},
		{put("example.com", "MX", 300, "10 mx.host.test"), "60 10 mx.host.test."},
		{put("example.com", "TXT", 300, "v=spf1 mx -all"), `60 "v=spf1 mx -all"`},
		{put("k._domainkey.example.com", "TXT", 300, "v=DKIM1; p=x"), `60 "v=DKIM1; " "p=x"`},
		{put("plain.example.com", "TXT", 300, "same"), `60 "same"`},
	}
	stand := func(when string) {
		t.Helper()
		for _, c := range theirs {
			if got := ask(t, s, c.change.Name, c.change.Type); got != c.stands {
				t.Errorf("%s, %s %s: the server answers %s, want %s", when, c.change.Name, c.change.Type, got, c.stands)
			}
		}
	}
	for _, c := range theirs {
		if got := state(t, p, "example.com", c.change); got != wire.DNSPublished {
			t.Errorf("%s %s: %s", c.change.Name, c.change.Type, got)
		}
	}
	stand("handed over")
	for _, c := range theirs {
		again := c.change
		again.TTL = 600
		if got := state(t, p, "example.com", again); got != wire.DNSPublished {
			t.Errorf("%s %s with another TTL: %s", again.Name, again.Type, got)
		}
	}
	stand("with another TTL")
	for _, c := range theirs {
		if got := state(t, p, "example.com", remove(c.change.Name, c.change.Type)); got != wire.DNSPublished {
			t.Errorf("%s %s taken back: %s", c.change.Name, c.change.Type, got)
		}
	}
	stand("taken back")

	for _, c := range theirs {
		state(t, p, "example.com", c.change)
	}
	admin(t, p, "zone.delete", "elid", "example.com")
	stand("the zone was deleted")
}

// A name server that is known by another address has what we sent to it.
func TestWhatWasSentIsOursAtAnotherAddressToo(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	if got := state(t, p, "example.com", put("mail.example.com", "A", 300, "192.0.2.1")); got != wire.DNSPublished {
		t.Fatal(got)
	}
	admin(t, p, "param.edit", "dns_update_server", losing(t, s).addr)
	if err := p.Core.PassOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := state(t, p, "example.com", put("mail.example.com", "A", 600, "192.0.2.2")); got != wire.DNSPublished {
		t.Error(got)
	}
	if got := ask(t, s, "mail.example.com", "A"); got != "600 192.0.2.2" {
		t.Errorf("the server answers %s", got)
	}
}
