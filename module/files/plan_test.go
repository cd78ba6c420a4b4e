package files

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

func TestPlanPublishesDataBeforeTheGate(t *testing.T) {
	plain := newDomain(t, "a.example", mail.DomainEdit{})
	own := newDomain(t, "a.example", mail.DomainEdit{IP: ptr("192.0.2.1")})
	other := newDomain(t, "a.example", mail.DomainEdit{IP: ptr("2001:db8::1")})
	forward := newDomain(t, "a.example", mail.DomainEdit{Defaction: ptr("ignore")})
	forwardOwn := newDomain(t, "a.example", mail.DomainEdit{Defaction: ptr("ignore"), IP: ptr("192.0.2.1")})
	const gate, ips = "etc/exim4/domains/a.example", "etc/exim4/domainips"
	for what, c := range map[string]struct {
		before, after *mail.Domain
		want          []string
	}{
		"add":                              {nil, plain, []string{gate}},
		"add with an address":              {nil, own, []string{ips, gate}},
		"delete":                           {plain, nil, []string{"-" + gate}},
		"delete with an address":           {own, nil, []string{"-" + gate, ips}},
		"suspend":                          {own, suspended(own), []string{gate}},
		"take an address":                  {plain, own, []string{ips}},
		"take another address":             {own, other, []string{ips}},
		"lose an address":                  {own, plain, []string{ips}},
		"another action":                   {plain, forward, []string{gate}},
		"another action and an address":    {plain, forwardOwn, []string{ips, gate}},
		"another action and no address":    {forwardOwn, plain, []string{ips, gate}},
		"nothing":                          {plain, plain, nil},
		"no domain before and none after":  {nil, nil, nil},
		"a setting that is in no file":     {plain, newDomain(t, "a.example", mail.DomainEdit{DMARC: ptr(true)}), nil},
		"the same address, another action": {own, forwardOwn, []string{gate}},
	} {
		asked := 0
		plan, err := Debian.Plan(Side{Domain: c.before}, Side{Domain: c.after}, func() ([]mail.SourceIP, error) {
			asked++
			if c.after == nil || !c.after.IP.IsValid() {
				return nil, nil
			}
			return []mail.SourceIP{{Name: c.after.Name, IP: c.after.IP}}, nil
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []string
		for _, ch := range plan {
			p := ch.Path
			if ch.Body == nil {
				p = "-" + p
			}
			got = append(got, p)
			if ch.Path != gate {
				continue
			}
			checkGate(t, what, ch, c.before, c.after)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if wanted := strings.Count(fmt.Sprint(c.want), ips); asked != wanted {
			t.Errorf("%s: the addresses of all domains were read %d times, want %d", what, asked, wanted)
		}
	}
}

// checkGate holds a change of a settings file against the files before and after.
func checkGate(t *testing.T, what string, ch Change, before, after *mail.Domain) {
	t.Helper()
	for _, c := range []struct {
		d    *mail.Domain
		body []byte
	}{{before, ch.Was}, {after, ch.Body}} {
		var want []byte
		if c.d != nil {
			f, err := Debian.DomainFile(*c.d)
			if err != nil {
				t.Fatal(err)
			}
			want = f.Body
		}
		if !bytes.Equal(c.body, want) {
			t.Errorf("%s: %q, want %q", what, c.body, want)
		}
	}
}

func TestPlanFailsWhereAddressesCannotBeRead(t *testing.T) {
	broken := fmt.Errorf("no database")
	_, err := Debian.Plan(Side{}, Side{Domain: newDomain(t, "a.example", mail.DomainEdit{IP: ptr("192.0.2.1")})}, func() ([]mail.SourceIP, error) { return nil, broken })
	if err != broken {
		t.Errorf("error %v", err)
	}
}
