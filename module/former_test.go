package module

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/nameserver"
)

// moved is a world whose records went to one name server, and another that has the same
// zones, as they were before.
func moved(t *testing.T, zones ...string) (n *named, to *named) {
	t.Helper()
	n = newNamed(t, zones...)
	opts := nameserver.Options{Zones: []nameserver.Zone{
		{Name: "host.example", Records: hostZone},
		{Name: "2.0.192.in-addr.arpa", Records: "@ NS ns.host.example.\n1 PTR mx.host.example.\n2 PTR mx.host.example.\n"},
	}}
	for _, z := range zones {
		name, records, _ := strings.Cut(z, "\n")
		opts.Zones = append(opts.Zones, nameserver.Zone{Name: name, Records: "@ NS ns.host.example.\nwww A 192.0.2.80\n" + records})
	}
	return n, &named{world: n.world, bind: nameserver.Start(t, opts)}
}

// askedBy has the world ask another name server.
func (n *named) askedBy(t *testing.T, w *world) {
	t.Helper()
	n.over(t, w)
	n.set(t, "resolvers", n.bind.Addr().String())
}

// add has somebody else add a record to a zone.
func (n *named) add(zone, record string) error {
	rr, err := wire.NewRR(record)
	if err != nil {
		return err
	}
	m := new(wire.Msg)
	m.SetUpdate(wire.Fqdn(zone))
	m.Insert([]wire.RR{rr})
	m.SetTsig(nameserver.KeyName+".", nameserver.KeyAlgorithm+".", 300, time.Now().Unix())
	c := wire.Client{Net: "tcp", Timeout: 5 * time.Second, TsigSecret: map[string]string{nameserver.KeyName + ".": nameserver.KeySecret}}
	answer, _, err := c.Exchange(m, n.bind.Addr().String())
	if err == nil && answer.Rcode != wire.RcodeSuccess {
		err = errors.New(wire.RcodeToString[answer.Rcode])
	}
	return err
}

// busy is another address of the name server, at which somebody changes zone before each
// of so many answers to who asks for the SOA.
func (n *named) busy(t *testing.T, zone string) (addr string, changes *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	changes = new(atomic.Int32)
	var g errgroup.Group
	serve := func(from net.Conn) error {
		defer func() { _ = from.Close() }()
		to, err := net.Dial("tcp", n.bind.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = to.Close() }()
		asked, answers := &wire.Conn{Conn: from}, &wire.Conn{Conn: to}
		for {
			q, err := asked.ReadMsgHeader(nil)
			if err != nil {
				return nil // nothing more is asked
			}
			m := new(wire.Msg)
			if err := m.Unpack(q); err != nil {
				return err
			}
			if left := changes.Load(); left > 0 && m.Opcode == wire.OpcodeQuery && m.Question[0].Qtype == wire.TypeSOA {
				changes.Store(left - 1)
				if err := n.add(zone, fmt.Sprintf("x%d.%s. 60 IN TXT x", left, zone)); err != nil {
					return err
				}
			}
			if _, err := answers.Write(q); err != nil {
				return err
			}
			a, err := answers.ReadMsgHeader(nil)
			if err != nil {
				return err
			}
			if _, err := asked.Write(a); err != nil {
				return err
			}
		}
	}
	g.Go(func() error {
		for {
			c, err := l.Accept()
			if err != nil {
				return nil // closed
			}
			g.Go(func() error { return serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), changes
}

func formerRows(t *testing.T, w *world, name string) (rows []store.FormerRow) {
	t.Helper()
	r, err := w.DomainRecords(t.Context(), as("admin"), name)
	if err != nil {
		t.Fatal(err)
	}
	return r.Former
}

func checkFormer(t *testing.T, w *world, name string, state store.FormerState, text string, n int) {
	t.Helper()
	rows := formerRows(t, w, name)
	if len(rows) != n {
		t.Errorf("%d values of %s are with former servers, want %d: %+v", len(rows), name, n, rows)
	}
	for _, r := range rows {
		if r.State != state || r.Text != text {
			t.Errorf("%s: %s %q %q, want %s %q", r.Name, r.State, r.Text, r.Reason, state, text)
		}
	}
}

// secretless says that no key of a former server is kept.
func secretless(t *testing.T, w *world) {
	t.Helper()
	err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.FormerServers(ctx)
		if len(s) > 0 {
			t.Errorf("%d former servers are remembered", len(s))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreWithdrawnFromTheFormerServer(t *testing.T) {
	const others = "\n@ TXT \"verify=1\"\n"
	backup := []string{"a.example. 3600 IN MX 20 backup.host.example."} // beside ours
	n, to := moved(t, "a.example"+others, "gone.example")
	addSigned(t, n.world, "a.example")
	addSigned(t, n.world, "gone.example")
	pending(t, n.world)
	n.edited(t, "a.example", nil, backup)
	n.set(t, "dns_server", to.bind.Addr().String())
	pending(t, n.world)
	to.edited(t, "a.example", nil, backup)
	to.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld, "verify=1")
	group(t, n.DeleteDomains, as("user1"), "gone.example")

	// As long as the world asks the former one, nothing is taken away there.
	n.pass(time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld, "verify=1")
	checkFormer(t, n.world, "a.example", store.FormerPending, mail.FormerLive, 3)
	if !n.Awaiting() && len(formerRows(t, n.world, "a.example")) == 0 {
		t.Error("it is forgotten")
	}

	to.askedBy(t, n.world)
	n.pass(2 * time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, "verify=1")
	n.hasRecords(t, "a.example", wire.TypeMX, "20 backup.host.example.")
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
	n.hasRecords(t, "www.a.example", wire.TypeA, "192.0.2.80")
	n.hasRecords(t, "gone.example", wire.TypeMX)
	checkFormer(t, n.world, "a.example", "", "", 0)
	to.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld, "verify=1")
	to.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.", "20 backup.host.example.")
	secretless(t, n.world)
}

// Who the world is answered by may have the zone from the former server, however old.
func TestNothingIsWithdrawnBeforeTheWorldHasMoved(t *testing.T) {
	n, to := moved(t, "a.example")
	_, third := moved(t, "a.example")
	third.world = n.world
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	third.askedBy(t, n.world)
	n.set(t, "dns_server", to.bind.Addr().String())
	for range 3 {
		pending(t, n.world)
		n.pass(2 * time.Hour)
	}
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	checkFormer(t, n.world, "a.example", store.FormerPending, mail.FormerLive, 3)
	to.askedBy(t, n.world)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX)
	checkFormer(t, n.world, "a.example", "", "", 0)
}

// The same server by another name, or one that has the zone from it, has what stands
// only once.
func TestServerUnderAnotherNameLosesNothing(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	n.set(t, "dns_server", strings.Replace(n.bind.Addr().String(), "127.0.0.1", "localhost", 1))
	for range 3 {
		n.pass(2 * time.Hour)
		pending(t, n.world)
	}
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	n.hasRecords(t, "_maildomain.a.example", wire.TypeTXT) // with which it was probed
	if !strings.Contains(n.log.String(), "has the zone of the present one") {
		t.Errorf("it was not recognised: %s", n.log)
	}
	checkFormer(t, n.world, "a.example", "", "", 0)
	checkRows(t, n.world, "a.example", mail.Published, 3)

	// Another key is no other server.
	n.set(t, "dns_secret", "d3Jvbmcgc2VjcmV0IHRoYXQgaXMgbG9uZw==")
	checkFormer(t, n.world, "a.example", "", "", 0)
}

func TestServerUnderAnotherNameIsKnownThoughItsZoneChanges(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	addr, changes := n.busy(t, "a.example")
	n.set(t, "dns_server", addr)
	if err := n.HandOver(t.Context(), mail.StoredName("a.example")); err != nil {
		t.Fatal(err)
	}
	for _, often := range []int32{1, 2, 50} { // the last time it never rests, and it is looked at later
		changes.Store(often)
		if err := n.withdraw(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
		n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
		if left := changes.Load(); left == often || often < 50 && left > 0 {
			t.Errorf("of %d changes %d were not made", often, left)
		}
		n.set(t, "dns_server", n.bind.Addr().String())
		n.set(t, "dns_server", addr)
	}
}

func TestFormerServerThatIsDownIsTriedForThirtyDays(t *testing.T) {
	n, to := moved(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	n.bind.Stop()
	to.askedBy(t, n.world)
	n.set(t, "dns_server", to.bind.Addr().String())
	for range 12 {
		n.pass(time.Minute)
		pending(t, n.world)
	}
	checkFormer(t, n.world, "a.example", store.FormerPending, mail.HandedSilent, 3)
	n.pass(29 * 24 * time.Hour)
	pending(t, n.world)
	checkFormer(t, n.world, "a.example", store.FormerPending, mail.HandedSilent, 3)
	n.pass(24 * time.Hour)
	pending(t, n.world)
	checkFormer(t, n.world, "a.example", store.FormerGivenUp, mail.HandedSilent, 3)
	if said := strings.Count(n.log.String(), "were not withdrawn from the former name server"); said != 1 {
		t.Errorf("it was told %d times", said)
	}
	n.pass(24 * time.Hour)
	pending(t, n.world)
	if n.Awaiting() {
		t.Error("the module would never end")
	}

	// A person who presses "publish" has it tried once more.
	n.bind.Restart()
	group(t, n.PublishRecords, as("user1"), "a.example")
	pending(t, n.world)
	checkFormer(t, n.world, "a.example", "", "", 0)
	n.hasRecords(t, "a.example", wire.TypeTXT)
	secretless(t, n.world)
}

func TestFormerServerThatRefusesIsTold(t *testing.T) {
	n, to := moved(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	n.set(t, "dns_secret", "d3Jvbmcgc2VjcmV0IHRoYXQgaXMgbG9uZw==") // the server's was changed
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Refused, 3)
	to.askedBy(t, n.world)
	n.set(t, "dns_server", to.bind.Addr().String(), "dns_secret", nameserver.KeySecret)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Published, 3)
	rows := formerRows(t, n.world, "a.example")
	if len(rows) != 3 || rows[0].Text != mail.HandedKeySecret {
		t.Errorf("%+v", rows)
	}
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
}

// A set's conflict is told of all its values, of one that stands there too.
func TestValueInAConflictIsWithdrawnFromTheFormerServer(t *testing.T) {
	n, to := moved(t, "a.example")
	addSigned(t, n.world, "a.example")
	follow(t, n.world)
	if err := n.add("a.example", `a.example. 60 IN TXT "v=spf1 include:other.example -all"`); err != nil {
		t.Fatal(err)
	}
	n.people.mu.Lock()
	n.people.params.ServerIPs = n.people.params.ServerIPs[1:]
	n.people.mu.Unlock()
	n.Doubt()
	follow(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld, "v=spf1 include:other.example -all")
	if rowsOf(t, n.world, "a.example")[mail.Conflict] != 2 {
		t.Fatalf("%+v", recordRows(t, n.world, "a.example"))
	}
	to.askedBy(t, n.world)
	n.set(t, "dns_server", to.bind.Addr().String())
	pending(t, n.world)
	n.pass(2 * time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, "v=spf1 include:other.example -all")
	checkFormer(t, n.world, "a.example", "", "", 0)
}

func TestServerThatIsReturnedToHasWhatIsWantedAlone(t *testing.T) {
	n, to := moved(t, "a.example", "gone.example")
	addSigned(t, n.world, "a.example")
	addSigned(t, n.world, "gone.example")
	pending(t, n.world)
	there := n.bind.Addr().String()
	n.set(t, "dns_server", to.bind.Addr().String())
	pending(t, n.world)
	group(t, n.DeleteDomains, as("user1"), "gone.example")
	n.hasRecords(t, "gone.example", wire.TypeMX, "10 mx.host.example.") // the world asks it still
	to.askedBy(t, n.world)
	n.set(t, "dns_server", there)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	n.hasRecords(t, "gone.example", wire.TypeMX)
	checkRows(t, n.world, "a.example", mail.Published, 3)
	checkRows(t, n.world, "gone.example", "", 0)
	rows := formerRows(t, n.world, "a.example")
	for _, r := range rows {
		if r.Server.Server != to.bind.Addr().String() {
			t.Errorf("%+v", r)
		}
	}
	if len(rows) < 3 {
		t.Errorf("of what stands at the one between, %d values are known", len(rows))
	}
}

func TestWhatNobodyGetsIsWithdrawnWhenTheAdministratorAsks(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	n.set(t, "dns", "none")
	follow(t, n.world)
	for range 3 {
		n.pass(time.Hour)
		pending(t, n.world)
	}
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	checkFormer(t, n.world, "a.example", store.FormerLeft, "", 3)
	checkRows(t, n.world, "a.example", "", 0)
	group(t, n.PublishRecords, as("user1"), "a.example")
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	n.set(t, "dns_withdraw", "on")
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT)
	n.hasRecords(t, "a.example", wire.TypeMX)
	n.hasRecords(t, "www.a.example", wire.TypeA, "192.0.2.80")
	checkFormer(t, n.world, "a.example", "", "", 0)
	secretless(t, n.world)
}

func TestPanelGivesBackWhatANameServerGets(t *testing.T) {
	n := newNamed(t, "a.example")
	c := &core{state: mail.Published, puts: map[string]int{}, stands: map[string][]string{}}
	n.panel.DNS = c.hand
	n.set(t, "dns", "core")
	addSigned(t, n.world, "a.example")
	if len(c.stands) != 3 {
		t.Fatalf("%v", c.stands)
	}
	n.set(t, "dns", "server")
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	if len(c.stands) != 0 {
		t.Errorf("the panel has %v still", c.stands)
	}
	checkFormer(t, n.world, "a.example", "", "", 0)
	n.pass(time.Minute)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Published, 3)
}
