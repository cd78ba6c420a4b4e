package module

import (
	"testing"

	"maildomain/module/mail"
)

// A check speaks of the value that was wanted then.
func TestFindingAboutTheFormerValueHidesNothing(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	follow(t, n.world)
	if _, err := n.CheckDomain(t.Context(), as("user1"), "a.example"); err != nil {
		t.Fatal(err)
	}
	checked := func(typ mail.RecordType) bool {
		t.Helper()
		r, err := n.DomainRecords(t.Context(), as("user1"), "a.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range r.Records {
			if rec.Type == typ && rec.Name == "a.example" {
				return rec.Checked != nil && rec.Checked.Verdict.State == mail.Right
			}
		}
		t.Fatalf("no %s record", typ)
		return false
	}
	if !checked(mail.TypeMX) || !checked(mail.TypeTXT) {
		t.Error("not right at first")
	}
	n.bind.Admit(false)
	n.set(t, "mail_host", "other.host.example")
	follow(t, n.world)
	if checked(mail.TypeMX) {
		t.Error("the former MX makes the new one right")
	}
	if !checked(mail.TypeTXT) {
		t.Error("what was found about a record that is as it was is forgotten")
	}
	checkNote(t, n.world, "a.example", "dns")
}
