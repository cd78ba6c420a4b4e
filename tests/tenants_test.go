package tests

import (
	"slices"
	"strings"
	"testing"

	"maildomain/tests/world"
)

func names(a world.Answer) []string {
	var ns []string
	for _, e := range a.Elems {
		ns = append(ns, e["name"])
	}
	return ns
}

func TestTenantsDoNotSeeEachOther(t *testing.T) {
	w := world.Start(t, world.Options{})
	for user, name := range map[string]string{
		"user1": "one.example", "user2": "two.example", "user3": "three.example", "reseller1": "r.example", "admin": "a.example",
	} {
		w.Must(t, user, "emaildomain.edit", "name", name, "sok", "ok")
	}
	for user, want := range map[string][]string{
		"user1":     {"one.example"},
		"user2":     {"two.example"},
		"user3":     {"three.example"},
		"reseller1": {"one.example", "r.example", "two.example"},
		"admin":     {"a.example", "one.example", "r.example", "three.example", "two.example"},
	} {
		l := w.Must(t, user, "emaildomain")
		if got := names(l); !slices.Equal(got, want) || l.Total != len(want) {
			t.Errorf("%s sees %q of %d, want %q", user, got, l.Total, want)
		}
		for _, f := range [][]string{{"f_name", "three"}, {"f_owner", "user3"}, {"p_sort", "owner", "f_name", "three"}} {
			if l := w.Must(t, user, "emaildomain", f...); (l.Total != 0) != slices.Contains(want, "three.example") {
				t.Errorf("%s filters by %q and sees %d", user, f, l.Total)
			}
		}
	}
}

// The demonstration has a zone example.com of user1's and example.net of user2's.
func TestRecordsOfATenantStayInTheirOwnZones(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user2", "emaildomain.edit", "name", "example.com", "dmarc", "on", "sok", "ok")
	w.Must(t, "user2", "emaildomain.edit", "name", "mail.example.net", "dmarc", "on", "sok", "ok")
	for domain, want := range map[string]string{"example.com": "wrong", "mail.example.net": "published"} {
		rows := w.Must(t, "user2", "emaildomain.dns", "elid", domain).Elems
		for _, r := range rows {
			if r["state"] != want || strings.Contains(r["detail"], "the zone example.com is not of the domain's owner") != (want == "wrong") {
				t.Errorf("%s: %v", domain, r)
			}
		}
		if len(rows) != 3 { // MX, SPF, DMARC
			t.Errorf("%s: %d records", domain, len(rows))
		}
		placed := 0
		for _, r := range w.Must(t, "admin", "zone.record", "elid", strings.TrimPrefix(domain, "mail.")).Elems {
			if r["module"] == "maildomain" {
				placed++
			}
		}
		if (placed == len(rows)) != (want == "published") || placed != 0 && want == "wrong" {
			t.Errorf("%d records in the zone of %s", placed, domain)
		}
	}
}

// What an actor may not see answers, word for word, as what is not there.
func TestForeignDomainAnswersAsNone(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user3", "emaildomain.edit", "name", "three.example", "sok", "ok")
	for _, user := range []string{"user1", "user2", "reseller1"} {
		for _, call := range [][]string{
			{"emaildomain.edit"},
			{"emaildomain.edit", "sok", "ok", "defaction", "ignore"},
			{"emaildomain.edit", "sok", "ok", "name", "other.example"},
			{"emaildomain.edit", "sok", "ok", "owner", user},
			{"emaildomain.edit", "sok", "ok", "defaction", "nonsense"},
			{"emaildomain.edit", "sv_field", "owner"},
			{"emaildomain.delete"},
			{"emaildomain.suspend"},
			{"emaildomain.resume"},
		} {
			there := w.Refused(t, "missed(elid)", user, call[0], append(call[1:], "elid", "three.example")...)
			// A name of the same length, so that only the name differs.
			none := w.Refused(t, "missed(elid)", user, call[0], append(call[1:], "elid", "seven.example")...)
			if a, b := strings.ReplaceAll(there.Raw, "three", "seven"), none.Raw; a != b {
				t.Errorf("%s %q: a foreign domain answers\n%s\nand none\n%s", user, call, a, b)
			}
		}
	}
	if f := w.Must(t, "user3", "emaildomain.edit", "elid", "three.example"); f.Text["defaction"] != "error" || f.Text["active"] != "on" {
		t.Errorf("a foreign call changed the domain: %v", f.Text)
	}
}

func TestGroupAnswersARowForEach(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "one.example", "sok", "ok")
	w.Must(t, "user3", "emaildomain.edit", "name", "three.example", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "два.example", "sok", "ok")
	a := w.Must(t, "user1", "emaildomain.suspend", "elid", "one.example, three.example, ДВА.example, none.example")
	if !strings.Contains(a.Raw, "missed") {
		t.Errorf("no row tells of the domains that were not found: %s", a.Raw)
	}
	for _, e := range w.Must(t, "admin", "emaildomain").Elems {
		if want := map[bool]string{true: "on", false: "off"}[e["name"] == "three.example"]; e["active"] != want {
			t.Errorf("%s is %s, want %s", e["name"], e["active"], want)
		}
	}
}
