package module

import (
	"testing"

	wire "github.com/miekg/dns"

	"maildomain/module/mail"
)

// The values of a change that has to wait for its turn were sent by nobody yet.
func TestChangeThatWaitsForItsTurnTakesNothingForOurs(t *testing.T) {
	n := newNamed(t, "a.example\n@ MX 10 mx.host.example.\n")
	lane := n.lanes.of(mail.StoredName("a.example"))
	lane <- struct{}{}
	addSigned(t, n.world, "a.example")
	checkRows(t, n.world, "a.example", mail.Pending, 3)
	<-lane
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Published, 3)
	for _, r := range recordRows(t, n.world, "a.example") {
		if r.Offered == (r.Type == mail.TypeMX) {
			t.Errorf("%+v", r)
		}
	}
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	n.hasRecords(t, "a.example", wire.TypeTXT)
	checkRows(t, n.world, "a.example", "", 0)
}
