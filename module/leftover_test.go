package module

import (
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/nameserver"
)

// With a server that refuses today, and no person who would press anything: the domain
// is gone.
func TestRecordsOfDeletedDomainGoOnceTheServerTakesThemAway(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	n.bind.Admit(false)
	group(t, n.DeleteDomains, as("user1"), "a.example")
	checkRows(t, n.world, "a.example", mail.Refused, 3)
	n.bind.Admit(true)
	n.pass(23 * time.Hour)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Refused, 3) // once a day
	n.pass(25 * time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX)
	n.hasRecords(t, "a.example", wire.TypeTXT)
	checkRows(t, n.world, "a.example", "", 0)
}

func TestWhatIsNeverTakenAwayIsTriedForAMonth(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	n.bind.Admit(false)
	group(t, n.DeleteDomains, as("user1"), "a.example")
	tries := func() int {
		t.Helper()
		checkRows(t, n.world, "a.example", mail.Refused, 3)
		return recordRows(t, n.world, "a.example")[0].Tries
	}
	for day := range store.MostLeftover + 3 {
		if got, want := tries(), min(day+1, store.MostLeftover); got != want {
			t.Fatalf("day %d: tried %d times, want %d", day, got, want)
		}
		at, err := n.Due(t.Context())
		if wait := at.Sub(n.db.Now()); day < store.MostLeftover-1 && (err != nil || at.IsZero() || wait < 23*time.Hour || wait > 24*time.Hour) {
			t.Errorf("day %d: called in %s, %v", day, wait, err)
		}
		n.pass(24 * time.Hour)
		if err := n.Purge(t.Context()); err != nil { // what else is due then
			t.Fatal(err)
		}
		pending(t, n.world)
		pending(t, n.world) // at once, it is not tried again
	}
	n.bind.Admit(true)
	n.set(t, "dns_secret", "d3Jvbmc=") // other settings of the name server: all is tried again
	n.set(t, "dns_secret", nameserver.KeySecret)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", "", 0)
}

// What goes takes what is to come with it: a server that moved while it was refused.
func TestNewValueFollowsWhereTheOldOneIsTakenAwayLater(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	follow(t, n.world)
	n.bind.Admit(false)
	n.set(t, "mail_host", "other.host.example")
	follow(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	n.bind.Admit(true)
	n.pass(25 * time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 other.host.example.")
	checkRows(t, n.world, "a.example", mail.Published, 3)
	for _, r := range recordRows(t, n.world, "a.example") {
		if !r.Offered {
			t.Errorf("not ours: %+v", r)
		}
	}
}
