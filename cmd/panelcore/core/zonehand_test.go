package core_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
)

// hand hands changes over as the module of the panel, for who owns the domain, and
// returns what became of them, or the error of the whole.
func hand(t testing.TB, p *paneltest.Panel, domain string, changes ...wire.DNSChange) ([]wire.DNSOutcome, string) {
	t.Helper()
	return handFor(t, p, map[string]string{"example.com": "user1", "example.net": "user2"}[domain], domain, changes...)
}

// handFor is hand for the mail domain of a user.
func handFor(t testing.TB, p *paneltest.Panel, owner, domain string, changes ...wire.DNSChange) ([]wire.DNSOutcome, string) {
	t.Helper()
	return handAll(t, p, wire.DNS{Zone: domain, Owner: owner, Module: "toy", Changes: changes})
}

func handAll(t testing.TB, p *paneltest.Panel, w wire.DNS) (outcomes []wire.DNSOutcome, failure string) {
	t.Helper()
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Doc struct{ Error, Outcomes any }
	}
	answer := p.Call(t, "out", "sjson", "authinfo", "user1:"+paneltest.Password, "func", "thing.dns", "dns", string(b))
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if a.Doc.Error != nil {
		return nil, fmt.Sprint(a.Doc.Error)
	}
	if err := json.Unmarshal([]byte(fmt.Sprint(a.Doc.Outcomes)), &outcomes); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return outcomes, ""
}

// admin calls a function that must do as it is told.
func admin(t testing.TB, p *paneltest.Panel, function string, pairs ...string) {
	t.Helper()
	if got := p.As(t, "admin", function, append(pairs, "sok", "ok")...); strings.HasPrefix(got, "ERROR") {
		t.Fatalf("%s %q: %s", function, pairs, got)
	}
}

func zoneFile(t testing.TB, p *paneltest.Panel, zone string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Data, "zones", zone+".zone"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// records returns what a zone file says of a name and type: each value, in order.
func records(file, name, typ string) (values []string) {
	for line := range strings.Lines(file) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 5)
		if len(f) == 5 && f[0] == name+"." && f[3] == typ {
			values = append(values, f[1]+" "+f[4])
		}
	}
	return values
}

func serial(t testing.TB, p *paneltest.Panel, zone string) string {
	t.Helper()
	soa := records(zoneFile(t, p, zone), zone, "SOA")
	if len(soa) != 1 {
		t.Fatalf("%d SOA records", len(soa))
	}
	return strings.Fields(soa[0])[3]
}

func put(name, typ string, ttl uint32, values ...string) wire.DNSChange {
	return wire.DNSChange{Op: wire.DNSPut, Name: name, Type: typ, TTL: ttl, Values: values}
}

func remove(name, typ string) wire.DNSChange {
	return wire.DNSChange{Op: wire.DNSRemove, Name: name, Type: typ}
}

func TestModulesRecordsGoIntoTheZone(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	admin(t, p, "zone.edit", "name", "sub.example.com")
	admin(t, p, "zone.record.edit", "plid", "example.com", "name", "@", "type", "TXT", "value", "a person's")
	admin(t, p, "zone.record.edit", "plid", "example.net", "name", "_dmarc", "type", "TXT", "value", "v=DMARC1; p=reject")
	admin(t, p, "zone.record.edit", "plid", "example.com", "name", "away", "type", "NS", "value", "ns.other.example")
	for at, values := range map[string][]string{
		"@ MX": {"10 mx.other.example", "20 mx.other.example"}, "b MX": {"20 mx.other.example"}, "c MX": {"10 mail.example.com", "20 mx.other.example"},
		"b A": {"192.0.2.9"}, "k._domainkey TXT": {"v=DKIM1; p="},
	} {
		name, typ, _ := strings.Cut(at, " ")
		for _, v := range values {
			admin(t, p, "zone.record.edit", "plid", "sub.example.com", "name", name, "type", typ, "value", v)
		}
	}
	for _, c := range []struct {
		name   string
		domain string
		change wire.DNSChange
		want   wire.DNSOutcome // name and type are the change's
		zone   string          // the one that changed; empty: none
		file   string          // of the name and type in the file of the zone, after it
	}{
		{"put", "example.com", put("example.com", "MX", 300, "10 mail.example.com", "20 mx.other.example"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", "300 10 mail.example.com.|300 20 mx.other.example."},
		{"the same again", "example.com", put("example.com", "MX", 300, "20 MX.other.example.", "10 mail.example.com", "10 mail.example.com"), wire.DNSOutcome{State: wire.DNSPublished}, "", ""},
		{"another TTL", "example.com", put("example.com", "MX", 600, "10 mail.example.com", "20 mx.other.example"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", "600 10 mail.example.com.|600 20 mx.other.example."},
		{"another value", "example.com", put("example.com", "MX", 600, "10 mail.example.com"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", "600 10 mail.example.com."},
		{"beside a person's", "example.com", put("example.com", "TXT", 300, "v=spf1 mx -all"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", `300 "a person's"|300 "v=spf1 mx -all"`},
		{"remove", "example.com", remove("example.com", "TXT"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", `3600 "a person's"`},
		{"remove again", "example.com", remove("example.com", "TXT"), wire.DNSOutcome{State: wire.DNSPublished}, "", ""},
		{"the longest zone", "sub.example.com", put("mail.sub.example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "300 192.0.2.1"},
		{"underscores", "example.com", put("k._domainkey.example.com", "TXT", 300, "v=DKIM1; p="), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", `300 "v=DKIM1; p="`},
		{"IPv6", "example.com", put("mail.example.com", "AAAA", 300, "2001:DB8:0::1"), wire.DNSOutcome{State: wire.DNSPublished}, "example.com", "300 2001:db8::1"},
		{"no mail", "example.net", put("example.net", "MX", 300, "0 ."), wire.DNSOutcome{State: wire.DNSPublished}, "example.net", "300 0 ."},

		{"foreign SPF", "example.net", put("example.net", "TXT", 300, "V=SPF1 mx -all"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"v=spf1 a -all"}}, "", ""},
		{"nothing of the set then", "example.net", put("example.net", "TXT", 300, "other", "v=spf1 mx -all"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"v=spf1 a -all"}}, "", ""},
		{"no SPF", "example.net", put("example.net", "TXT", 300, "v=spf10 mx"), wire.DNSOutcome{State: wire.DNSPublished}, "example.net", `300 "v=spf1 a -all"|300 "v=spf10 mx"`},
		{"foreign DMARC", "example.net", put("_dmarc.example.net", "TXT", 300, "v=DMARC1"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"v=DMARC1; p=reject"}}, "", ""},
		{"foreign MX behind ours", "sub.example.com", put("b.sub.example.com", "MX", 300, "10 mail.example.com"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"20 mx.other.example"}}, "", ""},
		{"foreign MX", "sub.example.com", put("sub.example.com", "MX", 300, "10 mail.example.com"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"10 mx.other.example", "20 mx.other.example"}}, "", ""},
		{"foreign MX that is the same", "sub.example.com", put("c.sub.example.com", "MX", 300, "10 mail.example.com"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "300 10 mail.example.com.|300 20 mx.other.example."},
		{"and by another preference", "sub.example.com", put("c.sub.example.com", "MX", 300, "5 mail.example.com"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "300 10 mail.example.com.|300 20 mx.other.example.|300 5 mail.example.com."},
		{"foreign MX beside ours", "sub.example.com", put("c.sub.example.com", "MX", 300, "20 mail.example.com", "30 mx.example.com"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"20 mx.other.example"}}, "", ""},
		{"no removal is a conflict", "sub.example.com", remove("c.sub.example.com", "MX"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "3600 10 mail.example.com.|3600 20 mx.other.example."},
		{"foreign address", "sub.example.com", put("b.sub.example.com", "A", 300, "192.0.2.1", "192.0.2.2"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"192.0.2.9"}}, "", ""},
		{"foreign address that is the same", "sub.example.com", put("b.sub.example.com", "A", 300, "192.0.2.1", "192.0.2.9"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "300 192.0.2.1|300 192.0.2.9"},
		{"address of the other kind", "sub.example.com", put("b.sub.example.com", "AAAA", 300, "2001:db8::1"), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", "300 2001:db8::1"},
		{"foreign key", "sub.example.com", put("k._domainkey.sub.example.com", "TXT", 300, "v=DKIM1; p=ours"), wire.DNSOutcome{State: wire.DNSConflict, Others: []string{"v=DKIM1; p="}}, "", ""},
		{"foreign key that is the same", "sub.example.com", put("k._domainkey.sub.example.com", "TXT", 300, "v=DKIM1; p="), wire.DNSOutcome{State: wire.DNSPublished}, "sub.example.com", `300 "v=DKIM1; p="`},
		{"foreign SPF that is the same", "example.net", put("example.net", "TXT", 300, "v=spf1 a -all"), wire.DNSOutcome{State: wire.DNSPublished}, "example.net", `300 "v=spf1 a -all"`},
		{"two keys", "example.com", put("k2._domainkey.example.com", "TXT", 300, "v=DKIM1; p=", "x"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "more than one DKIM record"}, "", ""},
		{"two SPF", "example.com", put("example.com", "TXT", 300, "v=spf1 -all", "v=spf1 mx"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "more than one SPF record"}, "", ""},
		{"alias", "example.com", put("www.example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the name is an alias (CNAME)", Others: []string{"example.com"}}, "", ""},
		{"delegated", "example.com", put("x.away.example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSNoZone}, "", ""},
		{"no zone", "example.org", put("example.org", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSNoZone}, "", ""},
		{"no zone for a neighbour", "xexample.com", put("xexample.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSNoZone}, "", ""},
		{"another domain", "example.com", put("example.net", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the name is not in example.com"}, "", ""},
		{"above", "sub.example.com", put("example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the name is not in sub.example.com"}, "", ""},
		{"a neighbour", "example.com", put("xexample.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the name is not in example.com"}, "", ""},
		{"short TTL", "example.com", put("example.com", "A", 59, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the TTL is not from 60 to 604800 seconds"}, "", ""},
		{"long TTL", "example.com", put("example.com", "A", 604801, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the TTL is not from 60 to 604800 seconds"}, "", ""},
		{"type", "example.com", put("x.example.com", "CNAME", 300, "example.com"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "the type is none of A, AAAA, MX, TXT"}, "", ""},
		{"operation", "example.com", wire.DNSChange{Op: "add", Name: "example.com", Type: "A"}, wire.DNSOutcome{State: wire.DNSRefused, Reason: "the operation is neither put nor remove"}, "", ""},
		{"no values", "example.com", put("example.com", "A", 300), wire.DNSOutcome{State: wire.DNSRefused, Reason: "no values"}, "", ""},
		{"wildcard", "example.com", put("*.example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "not a name that such a record can have"}, "", ""},
		{"host with an underscore", "example.com", put("a_b.example.com", "A", 300, "192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "not a name that such a record can have"}, "", ""},
		{"line break in a name", "example.com", put("a\n.example.com", "TXT", 300, "x"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "not a name that such a record can have"}, "", ""},
		{"line break in a text", "example.com", put("example.com", "TXT", 300, "x\ny"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "a text of at most 4096 bytes without control characters"}, "", ""},
		{"IPv6 as A", "example.com", put("example.com", "A", 300, "::1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "an IPv4 address"}, "", ""},
		{"mapped", "example.com", put("example.com", "AAAA", 300, "::ffff:192.0.2.1"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "an IPv6 address"}, "", ""},
		{"MX without a number", "example.com", put("example.com", "MX", 300, "mail.example.com"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "a preference from 0 to 65535 and the name of a host: 10 mail.example.com"}, "", ""},
		{"MX of an address", "example.com", put("example.com", "MX", 300, "10 a;b"), wire.DNSOutcome{State: wire.DNSRefused, Reason: "a preference from 0 to 65535 and the name of a host: 10 mail.example.com"}, "", ""},
	} {
		before := map[string]string{}
		zones := []string{"example.com", "example.net", "sub.example.com"}
		for _, z := range zones {
			before[z] = serial(t, p, z)
		}
		c.want.Name, c.want.Type = c.change.Name, c.change.Type
		got, failure := hand(t, p, c.domain, c.change)
		if failure != "" || !reflect.DeepEqual(got, []wire.DNSOutcome{c.want}) {
			t.Errorf("%s: %s %+v, want %+v", c.name, failure, got, c.want)
		}
		for _, z := range zones {
			now := serial(t, p, z)
			if grown := now > before[z]; grown != (z == c.zone) || now < before[z] {
				t.Errorf("%s: serial of %s was %s, is %s", c.name, z, before[z], now)
			}
		}
		if c.zone != "" {
			if got := strings.Join(records(zoneFile(t, p, c.zone), c.change.Name, c.change.Type), "|"); got != c.file {
				t.Errorf("%s: the file has %s, want %s", c.name, got, c.file)
			}
		}
	}
}

func TestNothingGoesIntoAnotherUsersZone(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	admin(t, p, "zone.edit", "name", "admin.example", "owner", "admin")
	admin(t, p, "zone.edit", "name", "reseller.example", "owner", "reseller1")
	admin(t, p, "zone.edit", "name", "nobody.example")
	admin(t, p, "zone.record.edit", "plid", "example.com", "name", "@", "type", "MX", "value", "10 mx.theirs.example")
	foreign := func(zone string) wire.DNSOutcome {
		return wire.DNSOutcome{State: wire.DNSRefused, Reason: "the zone " + zone + " is not of the domain's owner"}
	}
	published := wire.DNSOutcome{State: wire.DNSPublished}
	for _, c := range []struct {
		name, owner, domain string
		change              wire.DNSChange
		want                wire.DNSOutcome
		file                string // of the name and type in the file of the zone, after it
	}{
		{"a tenant's", "user2", "example.com", put("example.com", "MX", 300, "5 mail.example.com"), foreign("example.com"), "3600 10 mx.theirs.example."},
		{"a proof", "user2", "example.com", put("_acme-challenge.example.com", "TXT", 300, "proof"), foreign("example.com"), ""},
		{"beside an alias", "user2", "example.com", put("www.example.com", "A", 300, "192.0.2.1"), foreign("example.com"), ""},
		{"a domain below it", "user2", "b.example.com", put("mail.b.example.com", "A", 300, "192.0.2.1"), foreign("example.com"), ""},
		{"of the user's reseller", "reseller1", "example.com", put("mail.example.com", "A", 300, "192.0.2.1"), foreign("example.com"), ""},
		{"of no user", "", "example.com", put("mail.example.com", "A", 300, "192.0.2.1"), foreign("example.com"), ""},
		{"an administrator's", "user1", "admin.example", put("admin.example", "A", 300, "192.0.2.1"), foreign("admin.example"), ""},
		{"the user's reseller's", "user1", "reseller.example", put("reseller.example", "A", 300, "192.0.2.1"), foreign("reseller.example"), ""},
		{"nobody's", "user1", "nobody.example", put("nobody.example", "A", 300, "192.0.2.1"), published, "300 192.0.2.1"},
		{"one's own", "user1", "example.com", put("mail.example.com", "A", 300, "192.0.2.1", "192.0.2.2"), published, "300 192.0.2.1|300 192.0.2.2"},
		{"another value when the domain is another's", "user2", "example.com", put("mail.example.com", "A", 300, "192.0.2.1", "192.0.2.3"), foreign("example.com"), "300 192.0.2.1|300 192.0.2.2"},
		{"one value less", "user2", "example.com", put("mail.example.com", "A", 300, "192.0.2.1"), published, "300 192.0.2.1"},
		{"the rest", "user2", "example.com", remove("mail.example.com", "A"), published, ""},
		{"a person's stays", "user2", "example.com", remove("example.com", "MX"), published, "3600 10 mx.theirs.example."},
	} {
		c.want.Name, c.want.Type = c.change.Name, c.change.Type
		got, failure := handFor(t, p, c.owner, c.domain, c.change)
		if failure != "" || !reflect.DeepEqual(got, []wire.DNSOutcome{c.want}) {
			t.Errorf("%s: %s %+v, want %+v", c.name, failure, got, c.want)
		}
		zone := c.domain
		if zone == "b.example.com" {
			zone = "example.com"
		}
		if got := strings.Join(records(zoneFile(t, p, zone), c.change.Name, c.change.Type), "|"); got != c.file {
			t.Errorf("%s: the file has %s, want %s", c.name, got, c.file)
		}
	}
}

func TestChangesOfOneCallStandForThemselves(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	got, failure := hand(t, p, "example.com", put("example.com", "MX", 300, "10 mail.example.com"), put("example.com", "A", 1, "192.0.2.1"),
		put("mail.example.com", "A", 300, "192.0.2.1"), put("mail.example.com", "A", 300, "192.0.2.2"))
	var states []string
	for _, o := range got {
		states = append(states, o.State)
	}
	if want := "published refused published published"; strings.Join(states, " ") != want {
		t.Errorf("%s %q, want %s", failure, states, want)
	}
	if got := records(zoneFile(t, p, "example.com"), "mail.example.com", "A"); len(got) != 1 || got[0] != "300 192.0.2.2" {
		t.Errorf("the last of two puts is not what stands: %q", got)
	}
	if got := serial(t, p, "example.com"); got != "2030010101" && got != "2030010100" {
		t.Errorf("serial %s: one call is one change", got)
	}
}

func TestWrongHandOverIsRefusedWhole(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	many := make([]wire.DNSChange, 1001)
	for i := range many {
		many[i] = put(fmt.Sprintf("a%d.example.com", i), "A", 300, "192.0.2.1")
	}
	for _, c := range []struct {
		name, want string
		w          wire.DNS
	}{
		{"other module", `records of "mail": this is the module "toy"`, wire.DNS{Zone: "example.com", Module: "mail", Changes: many[:1]}},
		{"no module", `this is the module "toy"`, wire.DNS{Zone: "example.com", Changes: many[:1]}},
		{"no domain", "value(zone)", wire.DNS{Module: "toy", Changes: many[:1]}},
		{"bad domain", "value(zone)", wire.DNS{Zone: "../etc", Module: "toy", Changes: many[:1]}},
		{"too many", "at most 1000 changes", wire.DNS{Zone: "example.com", Module: "toy", Changes: many}},
	} {
		before := zoneFile(t, p, "example.com")
		if got, failure := handAll(t, p, c.w); !strings.Contains(failure, c.want) || !strings.Contains(failure, "-32602") {
			t.Errorf("%s: %+v %s", c.name, got, failure)
		}
		if zoneFile(t, p, "example.com") != before {
			t.Errorf("%s: it changed the zone", c.name)
		}
	}
	if got, failure := hand(t, p, "example.com", many[:1000]...); len(got) != 1000 || failure != "" || got[999].State != wire.DNSPublished {
		t.Errorf("1000 changes: %d outcomes, %s", len(got), failure)
	}
}
