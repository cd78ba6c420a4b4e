package tests

import (
	"strings"
	"testing"

	"maildomain/tests/world"
)

// The demonstration has a zone example.com of user1's.
func TestZoneMadeAnewGetsTheRecordsAgain(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "example.com", "dkim", "on", "sok", "ok")
	placed := func() (types []string) {
		for _, r := range w.Must(t, "admin", "zone.record", "elid", "example.com").Elems {
			if r["module"] == "maildomain" {
				types = append(types, r["type"])
			}
		}
		return types
	}
	before := len(placed())
	if got := strings.Join(placed(), " "); !strings.Contains(got, "MX") || !strings.Contains(got, "TXT") {
		t.Fatalf("placed at first: %s", got)
	}
	w.Must(t, "admin", "zone.delete", "elid", "example.com")
	w.Must(t, "admin", "zone.edit", "name", "example.com", "owner", "user1", "server", "ns.example.net", "sok", "ok")
	soon(t, w, "the records stand in the new zone", func() bool { return len(placed()) >= before })
}
