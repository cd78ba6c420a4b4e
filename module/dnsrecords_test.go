package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/nameserver"
)

const spfOfWorld = "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip6:2001:db8::1 ~all"

func TestRecordsWaitForNameServerThatIsDown(t *testing.T) {
	n := newNamed(t, "a.example", "b.example")
	n.bind.Stop()
	addSigned(t, n.world, "a.example")
	checkRows(t, n.world, "a.example", mail.Pending, 3)
	checkNote(t, n.world, "a.example", "dns_pending")
	rows := recordRows(t, n.world, "a.example")
	if rows[0].Tries != 1 || rows[0].Due.Sub(n.db.Now()) > 10*time.Second || rows[0].Reason == "" {
		t.Errorf("%+v", rows[0])
	}
	addSigned(t, n.world, "b.example") // does not wait for what has just been silent
	if r := recordRows(t, n.world, "b.example")[0]; r.Tries != 0 {
		t.Errorf("tried %d times", r.Tries)
	}
	for tries := 1; tries < 5; {
		began := n.db.Now()
		pending(t, n.world)
		r := recordRows(t, n.world, "a.example")[0]
		if r.Tries > tries+1 || r.State != mail.Pending {
			t.Fatalf("%+v", r)
		}
		if r.Tries > tries {
			if wait := r.Due.Sub(began); wait < mail.Delay(tries) || wait > mail.Delay(tries)+10*time.Second {
				t.Errorf("after %d tries it rests %s, want %s", r.Tries, wait, mail.Delay(tries))
			}
			tries = r.Tries
		}
		n.pass(10 * time.Second)
	}
	if !n.Awaiting() {
		t.Error("the module would end for want of calls")
	}
	n.bind.Restart()
	n.pass(time.Hour)
	pending(t, n.world)
	for _, d := range []string{"a.example", "b.example"} {
		checkRows(t, n.world, d, mail.Published, 3)
		n.hasRecords(t, d, wire.TypeTXT, spfOfWorld)
	}
	n.pass(time.Hour)
	pending(t, n.world)
	serial := n.serial(t, "a.example")
	for range 3 {
		n.pass(time.Hour)
		pending(t, n.world)
	}
	if now := n.serial(t, "a.example"); now != serial {
		t.Errorf("something was done twice: serial %s became %s", serial, now)
	}
	if n.Awaiting() {
		t.Error("and now it would never end")
	}
}

// A server that fails for one zone takes what is for others.
func TestBrokenZoneHoldsUpNoOther(t *testing.T) {
	const broken = "\nhere the file of the zone is broken\n"
	n := newNamed(t, "a.example"+broken, "b.example"+broken, "c.example"+broken, "good.example", "next.example")
	n.silentUntil.Store(n.now.Add(time.Hour).UnixMilli())
	for _, d := range []string{"a.example", "b.example", "c.example", "good.example"} {
		addSigned(t, n.world, d)
		n.pass(time.Second)
	}
	n.silentUntil.Store(0)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Pending, 3)
	checkRows(t, n.world, "c.example", mail.Pending, 3)
	checkRows(t, n.world, "good.example", mail.Published, 3)
	addSigned(t, n.world, "next.example") // nor does a change wait for it
	checkRows(t, n.world, "next.example", mail.Published, 3)
}

func TestRefusedRecordsStayOursUntilTheKeyIsRight(t *testing.T) {
	n := newNamed(t, "a.example", "b.example")
	addSigned(t, n.world, "b.example")
	n.set(t, "dns_secret", "d3Jvbmcgc2VjcmV0")
	addSigned(t, n.world, "a.example")
	checkRows(t, n.world, "a.example", mail.Refused, 3)
	checkNote(t, n.world, "a.example", "dns")
	group(t, n.DeleteDomains, as("user1"), "b.example")
	n.pass(time.Hour)
	pending(t, n.world)
	if len(n.records(t, "b.example", wire.TypeMX)) != 1 {
		t.Fatal("removed without a key")
	}
	checkRows(t, n.world, "b.example", mail.Refused, 3)
	n.set(t, "dns_secret", nameserver.KeySecret)
	pending(t, n.world)
	checkRows(t, n.world, "a.example", mail.Published, 3)
	checkRows(t, n.world, "b.example", "", 0)
	n.hasRecords(t, "b.example", wire.TypeMX)
	n.hasRecords(t, "b.example", wire.TypeTXT)
}

// A server that does not talk to us has what it had: what is to go goes when it does.
func TestServerThatRefusesTheKeyKeepsNoOldValue(t *testing.T) {
	n := newNamed(t, "a.example", "b.example")
	addSigned(t, n.world, "a.example")
	addSigned(t, n.world, "b.example")
	follow(t, n.world)
	n.bind.Admit(false)
	n.people.mu.Lock()
	n.people.params.ServerIPs = n.people.params.ServerIPs[1:]
	n.people.mu.Unlock()
	n.Doubt()
	follow(t, n.world)
	group(t, n.DeleteDomains, as("user1"), "b.example")
	n.pass(time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	checkRows(t, n.world, "b.example", mail.Refused, 3)
	n.bind.Admit(true)
	n.set(t, "dns_secret", "d3Jvbmc=", "dns_algorithm", "hmac-sha256") // and back: all is tried again
	n.set(t, "dns_secret", nameserver.KeySecret)
	pending(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeTXT, "v=spf1 ip4:192.0.2.2 ip6:2001:db8::1 ~all")
	checkRows(t, n.world, "a.example", mail.Published, 3)
	n.hasRecords(t, "b.example", wire.TypeMX)
	n.hasRecords(t, "b.example", wire.TypeTXT)
	checkRows(t, n.world, "b.example", "", 0)
}

func TestZoneServedElsewhereIsSaid(t *testing.T) {
	n := newNamed(t)
	addSigned(t, n.world, "a.example")
	checkRows(t, n.world, "a.example", mail.NoZone, 3)
	checkNote(t, n.world, "a.example", "dns")
	r, err := n.DomainRecords(t.Context(), as("user1"), "a.example")
	if err != nil || len(r.Records) != 3 || r.Records[0].Handed != mail.NoZone {
		t.Errorf("%+v, %v", r.Records, err)
	}
}

func TestForeignPolicyIsNotOverwritten(t *testing.T) {
	const spf, dmarc = "v=spf1 include:other.example -all", "v=DMARC1; p=reject; rua=mailto:them@other.example"
	n := newNamed(t, "a.example\n@ TXT \""+spf+"\"\n@ TXT \"verify=1\"\n_dmarc TXT \""+dmarc+"\"\n", "other.example\n@ TXT \"v=spf1 -all\"")
	addSigned(t, n.world, "a.example", "dmarc", "on")
	n.hasRecords(t, "a.example", wire.TypeTXT, spf, "verify=1")
	n.hasRecords(t, "_dmarc.a.example", wire.TypeTXT, dmarc)
	states := map[mail.Purpose]mail.Handed{}
	for _, r := range recordRows(t, n.world, "a.example") {
		states[r.Why] = r.State
	}
	if states[mail.ForSPF] != mail.Conflict || states[mail.ForDMARC] != mail.Conflict || states[mail.ForDKIM] != mail.Published {
		t.Errorf("%v", states)
	}
	checkNote(t, n.world, "a.example", "dns")
	r, err := n.CheckDomain(t.Context(), as("user1"), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Why == mail.ForSPF && (f.Verdict.State != mail.Wrong || !strings.Contains(f.Verdict.Proposal, "include:other.example") || !strings.Contains(f.Verdict.Proposal, "ip4:192.0.2.1")) {
			t.Errorf("no merge is proposed: %+v", f.Verdict)
		}
		if f.Why == mail.ForDMARC && (f.Verdict.State != mail.Wrong || !strings.Contains(f.Verdict.Proposal, "p=reject") ||
			!strings.Contains(f.Verdict.Proposal, "mailto:them@other.example,mailto:admin@a.example")) {
			t.Errorf("no merge is proposed: %+v", f.Verdict)
		}
	}
	// Taking ours away leaves theirs.
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.hasRecords(t, "a.example", wire.TypeTXT, spf, "verify=1")
	n.hasRecords(t, "_dmarc.a.example", wire.TypeTXT, dmarc)
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
	checkRows(t, n.world, "a.example", "", 0)
}

func TestRecordsGoWithTheirDomainAlone(t *testing.T) {
	zone := "\n@ TXT \"verify=1\"\n"
	n := newNamed(t, "a.example"+zone, "b.a.example", "axexample.example")
	for _, d := range []string{"a.example", "b.a.example", "axexample.example"} {
		addSigned(t, n.world, d)
	}
	pending(t, n.world)
	n.edited(t, "a.example", nil, []string{"a.example. 3600 IN MX 20 backup.host.example."})
	serial := n.serial(t, "a.example")
	group(t, n.SuspendDomains, as("user1"), "a.example")
	pass(t, n, "user2")
	group(t, n.ResumeDomains, as("user2"), "a.example")
	pending(t, n.world)
	if now := n.serial(t, "a.example"); now != serial {
		t.Errorf("suspending and another owner changed DNS: %s became %s", serial, now)
	}
	near, far := n.serial(t, "b.a.example"), n.serial(t, "axexample.example")
	group(t, n.DeleteDomains, as("user2"), "a.example")
	n.hasRecords(t, "a.example", wire.TypeTXT, "verify=1")
	n.hasRecords(t, "a.example", wire.TypeMX, "20 backup.host.example.")
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
	n.hasRecords(t, "www.a.example", wire.TypeA, "192.0.2.80")
	if n.serial(t, "b.a.example") != near || n.serial(t, "axexample.example") != far {
		t.Error("a neighbour's zone changed")
	}
	checkRows(t, n.world, "a.example", "", 0)
	checkRows(t, n.world, "b.a.example", mail.Published, 3)
}

func TestRecordsFollowTheMailHostAndTheServersAddresses(t *testing.T) {
	n := newNamed(t, "a.example", "b.example")
	addSigned(t, n.world, "a.example", "secure", "on")
	if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit("name", "b.example")); err != nil {
		t.Fatal(err)
	}
	n.hasRecords(t, "mail.a.example", wire.TypeA, "192.0.2.1", "192.0.2.2")
	follow(t, n.world)
	n.set(t, "mail_host", "other.host.example")
	follow(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 other.host.example.")
	n.hasRecords(t, "b.example", wire.TypeMX) // nothing was asked for it
	n.people.mu.Lock()
	n.people.params.ServerIPs = n.people.params.ServerIPs[1:]
	n.people.mu.Unlock()
	n.Doubt()
	follow(t, n.world)
	n.hasRecords(t, "mail.a.example", wire.TypeA, "192.0.2.2")
	n.hasRecords(t, "a.example", wire.TypeTXT, "v=spf1 ip4:192.0.2.2 ip6:2001:db8::1 ~all")

	// A panel that has forgotten its own name takes nothing away.
	serial := n.serial(t, "a.example")
	n.set(t, "mail_host", "")
	n.people.mu.Lock()
	n.people.params.MailHost, n.people.params.ServerIPs = "", nil
	n.people.mu.Unlock()
	n.Doubt()
	follow(t, n.world)
	change(t, n.world, as("user1"), "a.example", dnsEdit("greylist", "on"))
	if now := n.serial(t, "a.example"); now != serial {
		t.Error("records went")
	}
}

// What mail comes by stands for as long as the domain, whatever else is switched off.
func TestLivingDomainKeepsItsMXWhateverIsSwitchedOff(t *testing.T) {
	both := []string{"192.0.2.1", "192.0.2.2"}
	for _, c := range []struct {
		on, off []string
		host    []string
	}{
		{[]string{"dmarc", "on"}, []string{"dmarc", "off"}, nil},
		{[]string{"dkim", "on", "dkim_keylen", "1024"}, []string{"dkim", "off"}, nil},
		{[]string{"secure", "on"}, []string{"secure", "off"}, both},
	} {
		t.Run(c.on[0], func(t *testing.T) {
			n := newNamed(t, "a.example")
			if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit(append([]string{"name", "a.example"}, c.on...)...)); err != nil {
				t.Fatal(err)
			}
			pending(t, n.world)
			change(t, n.world, as("user1"), "a.example", dnsEdit(c.off...))
			check := func(mx, spf string, host []string) {
				t.Helper()
				n.hasRecords(t, "a.example", wire.TypeMX, mx)
				n.hasRecords(t, "a.example", wire.TypeTXT, spf)
				n.hasRecords(t, "mail.a.example", wire.TypeA, host...)
				n.hasRecords(t, "_dmarc.a.example", wire.TypeTXT)
			}
			check("10 mx.host.example.", spfOfWorld, c.host)
			n.pass(mail.QueueLifetime)
			pending(t, n.world)
			check("10 mx.host.example.", spfOfWorld, c.host)
			n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
			change(t, n.world, as("user1"), "a.example", dnsEdit("greylist", "on"))
			check("10 mx.host.example.", spfOfWorld, c.host)
			checkNote(t, n.world, "a.example", "")
			r, err := n.DomainRecords(t.Context(), as("user1"), "a.example")
			if rows := recordRows(t, n.world, "a.example"); err != nil || len(c.host) > 0 && len(r.Records) != 4 || len(c.host) == 0 && len(r.Records) != 2 {
				t.Errorf("shown are %+v of %+v, %v", r.Records, rows, err)
			}

			// They follow the server as those of others do.
			follow(t, n.world)
			n.set(t, "mail_host", "other.host.example")
			n.people.mu.Lock()
			n.people.params.ServerIPs = n.people.params.ServerIPs[1:]
			n.people.mu.Unlock()
			n.Doubt()
			follow(t, n.world)
			if len(c.host) > 0 {
				c.host = c.host[1:]
			}
			check("10 other.host.example.", "v=spf1 ip4:192.0.2.2 ip6:2001:db8::1 ~all", c.host)

			group(t, n.DeleteDomains, as("user1"), "a.example")
			n.hasRecords(t, "a.example", wire.TypeMX)
			n.hasRecords(t, "a.example", wire.TypeTXT)
			n.hasRecords(t, "mail.a.example", wire.TypeA)
			checkRows(t, n.world, "a.example", "", 0)
		})
	}
}

// What stood before us stands after us, however it came to be in its place.
func TestValueThatStoodBeforeUsIsNotOursToRemove(t *testing.T) {
	const theirs = "\n@ MX 10 mx.host.example.\nmail A 192.0.2.1\nmail A 192.0.2.2\n_dmarc TXT \"v=DMARC1; p=none\"\n"
	add := func(t *testing.T, n *named) {
		t.Helper()
		if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit("name", "a.example", "dmarc", "on", "secure", "on")); err != nil {
			t.Fatal(err)
		}
	}
	for name, make := range map[string]func(t *testing.T, n *named){
		"at once": add,
		"again": func(t *testing.T, n *named) {
			add(t, n)
			group(t, n.PublishRecords, as("user1"), "a.example")
			group(t, n.PublishRecords, as("user1"), "a.example")
		},
		"after a silence": func(t *testing.T, n *named) {
			n.bind.Stop()
			add(t, n)
			n.pass(time.Minute)
			pending(t, n.world)
			n.bind.Restart()
			n.pass(time.Hour)
			pending(t, n.world)
		},
		"after a move": func(t *testing.T, n *named) {
			add(t, n)
			n.set(t, "dns", "none")
			follow(t, n.world)
			pending(t, n.world)
			n.set(t, "dns", "server")
			pending(t, n.world)
			follow(t, n.world)
			pending(t, n.world)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNamed(t, "a.example"+theirs)
			make(t, n)
			n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
			n.hasRecords(t, "mail.a.example", wire.TypeAAAA, "2001:db8::1")
			for _, r := range recordRows(t, n.world, "a.example") {
				ours := r.Why == mail.ForSPF || r.Type == mail.TypeAAAA
				if r.State != mail.Published && r.Why != mail.ForDMARC || r.Offered != ours {
					t.Errorf("%+v", r)
				}
			}
			group(t, n.DeleteDomains, as("user1"), "a.example")
			n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
			n.hasRecords(t, "mail.a.example", wire.TypeA, "192.0.2.1", "192.0.2.2")
			n.hasRecords(t, "_dmarc.a.example", wire.TypeTXT, "v=DMARC1; p=none")
			n.hasRecords(t, "a.example", wire.TypeTXT)
			n.hasRecords(t, "mail.a.example", wire.TypeAAAA)
			checkRows(t, n.world, "a.example", "", 0)
		})
	}
}

// Checked once an hour, not at each look.
func TestWhatListsNoteIsCheckedAgain(t *testing.T) {
	n := newNamed(t, "a.example")
	n.set(t, "dns", "none")
	addSigned(t, n.world, "a.example")
	if _, err := n.CheckDomain(t.Context(), as("user1"), "a.example"); err != nil {
		t.Fatal(err)
	}
	checkNote(t, n.world, "a.example", "dns")
	n.set(t, "dns", "server")
	follow(t, n.world)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	n.pass(50 * time.Minute)
	pending(t, n.world)
	checkNote(t, n.world, "a.example", "dns")
	n.pass(15 * time.Minute)
	pending(t, n.world)
	checkNote(t, n.world, "a.example", "")
	n.pass(time.Hour)
	pending(t, n.world)
	r, err := n.DomainRecords(t.Context(), as("user1"), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	if age := n.db.Now().Sub(r.Findings[0].At); age < time.Hour {
		t.Errorf("checked %s ago, though nothing is noted", age)
	}
}

func TestByHandNothingIsHandedOverAndKeysSignWhenSeen(t *testing.T) {
	n := newNamed(t, "a.example")
	n.set(t, "dns", "none")
	serial := n.serial(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	if n.serial(t, "a.example") != serial {
		t.Error("something was handed over")
	}
	checkRows(t, n.world, "a.example", "", 0)
	checkKeys(t, n.world, "a.example", "dkim new")
	n.set(t, "dns", "server") // as a person would enter them
	follow(t, n.world)
	n.set(t, "dns", "none")
	follow(t, n.world)
	checkRows(t, n.world, "a.example", "", 0)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.") // and stays
	n.pass(time.Hour)
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim signing")
}

// A panel that is a name server of sorts.
type core struct {
	mu     sync.Mutex
	fault  error
	state  mail.Handed
	calls  int
	puts   map[string]int // of each name and type
	stands map[string][]string
	owner  string // of the domain of the last call
	before func() // a call is answered
}

func coreWorld(t *testing.T) (*world, *core) {
	t.Helper()
	w := newWorld(t)
	c := &core{state: mail.Published, puts: map[string]int{}, stands: map[string][]string{}}
	w.panel.DNS = c.hand
	w.set(t, "resolvers", "127.0.0.1:1")
	return w, c
}

func (c *core) hand(_ context.Context, _ mail.Name, owner string, changes []mail.RecordChange) (os []mail.RecordOutcome, err error) {
	if c.before != nil {
		c.before()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.owner = owner
	if c.fault != nil {
		return nil, c.fault
	}
	for _, r := range changes {
		os = append(os, mail.RecordOutcome{Name: r.Name, Type: r.Type, Handed: c.state})
		k := r.Name + " " + string(r.Type)
		if c.state != mail.Published {
			continue
		}
		c.puts[k]++
		if delete(c.stands, k); !r.Remove {
			c.stands[k] = slices.Clone(r.Values)
		}
	}
	return os, nil
}

func TestPanelThatIsAwayGetsRecordsLater(t *testing.T) {
	w, c := coreWorld(t)
	c.fault = errors.New("not now")
	addSigned(t, w, "a.example")
	checkRows(t, w, "a.example", mail.Pending, 3)
	c.fault = nil
	w.pass(time.Minute)
	pending(t, w)
	checkRows(t, w, "a.example", mail.Published, 3)
	c.state = mail.Refused
	addSigned(t, w, "b.example")
	checkRows(t, w, "b.example", mail.Refused, 3)
	checkNote(t, w, "b.example", "dns")
	w.pass(24 * time.Hour)
	pending(t, w)
	checkRows(t, w, "b.example", mail.Refused, 3) // waits for a person
	c.state = mail.Published
	group(t, w.PublishRecords, as("user1"), "b.example")
	checkRows(t, w, "b.example", mail.Published, 3)
	// An answer about something else is none.
	w.panel.DNS = func(context.Context, mail.Name, string, []mail.RecordChange) ([]mail.RecordOutcome, error) {
		return make([]mail.RecordOutcome, 3), nil
	}
	addSigned(t, w, "c.example")
	checkRows(t, w, "c.example", mail.Pending, 3)
}

// The panel's zones have owners: it is told for whom records are.
func TestPanelIsToldWhoseDomainItIs(t *testing.T) {
	w, c := coreWorld(t)
	addSigned(t, w, "a.example")
	if c.owner != "user1" {
		t.Errorf("added for %q", c.owner)
	}
	change(t, w, as("admin"), "a.example", dnsEdit("owner", "user2"))
	group(t, w.PublishRecords, as("admin"), "a.example")
	if c.owner != "user2" {
		t.Errorf("after it was given to another, published for %q", c.owner)
	}
	group(t, w.DeleteDomains, as("admin"), "a.example")
	if c.owner != "" || len(c.stands) > 0 {
		t.Errorf("taken away for %q, and there stands %v", c.owner, c.stands)
	}
}

// As if the power went between the commit and the hand-over.
func TestWhatWasCommittedIsHandedOverByTheNextProcess(t *testing.T) {
	w, c := coreWorld(t)
	w.silentUntil.Store(w.now.Add(24 * time.Hour).UnixMilli())
	for _, d := range []string{"a.example", "b.example"} {
		addSigned(t, w, d)
	}
	if c.calls != 0 {
		t.Fatal("handed over")
	}
	next := emptyWorld(t, w.dir)
	next.now = w.now
	next.panel.DNS = c.hand
	if _, err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pending(t, next)
	for _, d := range []string{"a.example", "b.example"} {
		checkRows(t, next, d, mail.Published, 3)
		if c.puts[d+" MX"] != 1 {
			t.Errorf("%s was handed over %d times", d, c.puts[d+" MX"])
		}
	}
	// And what was taken away by one process is withdrawn by another.
	next.silentUntil.Store(next.now.Add(24 * time.Hour).UnixMilli())
	group(t, next.DeleteDomains, as("user1"), "a.example")
	last := emptyWorld(t, w.dir)
	last.now = next.now
	last.panel.DNS = c.hand
	pending(t, last)
	if _, stands := c.stands["a.example MX"]; stands {
		t.Error("the record of a deleted domain stands")
	}
	checkRows(t, last, "a.example", "", 0)
}

func TestHundredsOfDomainsAreHandedOverOnceEach(t *testing.T) {
	w, c := coreWorld(t)
	c.fault = errors.New("not now")
	const many = 300
	for i := range many {
		if _, err := w.AddDomain(t.Context(), as("user1"), dnsEdit("name", fmt.Sprintf("d%d.example", i), "dmarc", "on")); err != nil {
			t.Fatal(err)
		}
	}
	c.fault, c.calls = nil, 0
	w.pass(time.Hour)
	for range many/jobsAtOnce + 1 {
		pending(t, w)
	}
	if c.calls != many || len(c.stands) != 3*many {
		t.Errorf("%d calls, %d records stand", c.calls, len(c.stands))
	}
	for k, n := range c.puts {
		if n != 1 {
			t.Errorf("%s was put %d times", k, n)
		}
	}
}

// Two changes of one domain at once: the one that was slow does not undo the other.
func TestSlowHandOverDoesNotOvertakeALaterOne(t *testing.T) {
	w, c := coreWorld(t)
	addSigned(t, w, "a.example")
	slow, begun := make(chan struct{}), make(chan struct{}, 100)
	var once sync.Once
	c.before = func() {
		begun <- struct{}{}
		once.Do(func() { <-slow })
	}
	var wg sync.WaitGroup
	wg.Go(func() { change(t, w, as("user1"), "a.example", dnsEdit("ipsrc", "manual", "ip", "192.0.2.1")) })
	<-begun
	wg.Go(func() { change(t, w, as("user1"), "a.example", dnsEdit("ip", "192.0.2.2")) })
	for domainOf(t, w, "a.example").OutgoingIP() != "192.0.2.2" {
		time.Sleep(time.Millisecond)
	}
	close(slow)
	wg.Wait()
	pending(t, w)
	if got, want := c.stands["a.example TXT"], "v=spf1 ip4:192.0.2.2 ip6:2001:db8::1 ~all"; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
	checkRows(t, w, "a.example", mail.Published, 3)
}

func TestDryRunListsRecordsAndChangesNone(t *testing.T) {
	n := newNamed(t, "a.example", "b.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	serials := n.serial(t, "a.example") + n.serial(t, "b.example")
	before, rows := n.everything(t), fmt.Sprint(recordRows(t, n.world, "a.example"), keysOf(t, n.world, "a.example"))
	would := func(do func(Actor) error) map[string]string {
		t.Helper()
		by := as("user1")
		by.Preview = &Preview{}
		if err := do(by); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range by.Preview.Changes() {
			for _, r := range c.Records {
				got[r.Name+" "+string(r.Type)] = strings.Join(r.Before, "|") + " -> " + strings.Join(r.After, "|")
			}
		}
		return got
	}
	got := would(func(by Actor) error {
		_, err := n.AddDomain(t.Context(), by, dnsEdit("name", "b.example", "dkim", "on"))
		return err
	})
	if len(got) != 3 || got["b.example TXT"] != " -> "+spfOfWorld || !strings.HasSuffix(got["dkim._domainkey.b.example TXT"], "p=...") {
		t.Errorf("add: %q", got)
	}
	got = would(func(by Actor) error {
		_, err := n.EditDomain(t.Context(), by, "a.example", dnsEdit("ipsrc", "manual", "ip", "192.0.2.1"))
		return err
	})
	if len(got) != 1 || got["a.example TXT"] != spfOfWorld+" -> v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all" {
		t.Errorf("edit: %q", got)
	}
	got = would(func(by Actor) error {
		_, err := n.DeleteDomains(t.Context(), by, []string{"a.example"})
		return err
	})
	if len(got) != 3 || got["a.example MX"] != "10 mx.host.example -> " {
		t.Errorf("delete: %q", got)
	}
	got = would(func(by Actor) error {
		_, err := n.RotateKeys(t.Context(), by, []string{"a.example"})
		return err
	})
	if len(got) != 1 || !strings.HasSuffix(got["dkim-20260301._domainkey.a.example TXT"], "p=...") {
		t.Errorf("rotate: %q", got)
	}
	pending(t, n.world)
	if now := n.serial(t, "a.example") + n.serial(t, "b.example"); now != serials {
		t.Error("a dry run changed DNS")
	}
	if now := fmt.Sprint(recordRows(t, n.world, "a.example"), keysOf(t, n.world, "a.example")); now != rows {
		t.Errorf("%s, before %s", now, rows)
	}
	if diff := len(n.everything(t)) - len(before); diff != 0 {
		t.Errorf("%d files more", diff)
	}
}

func TestAnotherServerGetsEverything(t *testing.T) {
	n := newNamed(t, "a.example")
	other := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	n.set(t, "dns_server", other.bind.Addr().String())
	pending(t, n.world)
	other.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	other.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
}

func TestCheckSaysRightWrongAndCouldNotAsk(t *testing.T) {
	n := newNamed(t, "a.example", "c.example\n@ MX 10 www\n")
	states := func(name string) map[mail.Purpose]mail.State {
		t.Helper()
		r, err := n.CheckDomain(t.Context(), as("user1"), name)
		if err != nil {
			t.Fatal(err)
		}
		got := map[mail.Purpose]mail.State{}
		for _, f := range r.Findings {
			if f.Type != mail.TypePTR {
				got[f.Why] = f.Verdict.State
			}
			if len(f.Seen) == 0 || f.At.IsZero() {
				t.Errorf("nobody was asked, or at no time: %+v", f)
			}
		}
		return got
	}
	addSigned(t, n.world, "a.example", "dmarc", "on")
	for why, state := range states("a.example") {
		if state != mail.Right {
			t.Errorf("%s is %s", why, state)
		}
	}
	n.set(t, "dns", "none")
	if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit("name", "c.example")); err != nil {
		t.Fatal(err)
	}
	if got := states("c.example"); got[mail.ForMX] != mail.Wrong || got[mail.ForSPF] != mail.Wrong {
		t.Errorf("%v", got)
	}
	checkNote(t, n.world, "c.example", "dns")
	n.bind.Stop()
	for why, state := range states("c.example") {
		if state != mail.Unknown {
			t.Errorf("with nobody to ask, %s is %s", why, state)
		}
	}
	checkNote(t, n.world, "c.example", "")
}

// What is noted as wrong is looked at again, and the note goes when it is mended.
func TestNoteGoesWhenSomebodyMendsIt(t *testing.T) {
	n := newNamed(t, "a.example\n@ TXT \"v=spf1 -all\"\n")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	checkNote(t, n.world, "a.example", "dns")
	n.edited(t, "a.example", []string{`a.example. 60 IN TXT "v=spf1 -all"`}, []string{`a.example. 60 IN TXT "` + spfOfWorld + `"`})
	n.pass(2 * time.Hour)
	pending(t, n.world)
	checkNote(t, n.world, "a.example", "")
}

// What changed while no process was there is noticed by the next one; where nothing
// did, no domain is looked at.
func TestNextProcessNoticesWhatThePanelChanged(t *testing.T) {
	w, c := coreWorld(t)
	addSigned(t, w, "a.example")
	follow(t, w)
	calls, was := c.calls, stateOf(t, w).Revision
	next := emptyWorld(t, w.dir)
	next.now, next.panel.DNS = w.now, c.hand
	if !next.Following() {
		t.Error("it could end before it has looked")
	}
	follow(t, next)
	if c.calls != calls || stateOf(t, next).Revision != was {
		t.Error("something was done though nothing changed")
	}
	last := emptyWorld(t, w.dir)
	last.now, last.panel.DNS = next.now, c.hand
	last.people.params.MailHost = "new.host.example"
	follow(t, last)
	if got := c.stands["a.example MX"]; len(got) != 1 || got[0] != "10 new.host.example" {
		t.Errorf("%q", got)
	}
}

// A panel that does not answer is not asked again at once.
func TestSilentPanelIsLeftAloneForAMinute(t *testing.T) {
	w, _ := coreWorld(t)
	w.people.fault = errors.New("away")
	if err := w.Follow(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if w.Following() {
		t.Error("an idle module would wait for it")
	}
	follow(t, w)
	w.people.fault = nil
	w.pass(time.Minute)
	if !w.Following() {
		t.Error("it would not be asked again")
	}
	follow(t, w)
	if w.doubt.Load() || w.Following() {
		t.Error("still in doubt")
	}
	w.people.fault = errors.New("away")
	w.Doubt()
	if err := w.Follow(t.Context()); err == nil {
		t.Fatal("no error")
	}
	w.people.fault = nil
	w.Forget("") // it connects
	if !w.Following() {
		t.Error("a panel that has spoken is left alone")
	}
	follow(t, w)
	if w.Following() {
		t.Error("still in doubt")
	}
}

// A domain of a database from before there were keys.
func TestDomainWithoutKeysGetsThem(t *testing.T) {
	w, c := coreWorld(t)
	addSigned(t, w, "a.example")
	err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		keys, err := tx.KeysOf(ctx, mail.StoredName("a.example"))
		if err != nil {
			return err
		}
		return tx.PutKeys(ctx, mail.StoredName("a.example"), keys, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(mail.QueueLifetime) // those of this test are forgotten
	w.Doubt()
	follow(t, w)
	checkKeys(t, w, "a.example", "dkim new")
	if got := c.stands["dkim._domainkey.a.example TXT"]; len(got) != 1 || got[0] != keyRows(t, w, "a.example")[0].Key.Record().String() {
		t.Errorf("%q", got)
	}
	follow(t, w)
	checkConsistent(t, w)
}

// A mail name in two certificates goes with the last of their domains.
func TestNameOfTwoDomainsStandsWhileOneNeedsIt(t *testing.T) {
	n := newNamed(t, "a.example")
	for d, aliases := range map[string]string{"a.example": "mail.a.example mail.b.a.example", "b.a.example": "mail.b.a.example"} {
		if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit("name", d, "secure", "on", "secure_alias", aliases)); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{"192.0.2.1", "192.0.2.2"}
	n.hasRecords(t, "mail.b.a.example", wire.TypeA, both...)
	group(t, n.DeleteDomains, as("user1"), "b.a.example")
	n.hasRecords(t, "mail.b.a.example", wire.TypeA, both...)
	n.hasRecords(t, "b.a.example", wire.TypeMX)
	checkRows(t, n.world, "b.a.example", "", 0)
	if _, err := n.AddDomain(t.Context(), as("user1"), dnsEdit("name", "b.a.example", "secure", "on")); err != nil {
		t.Fatal(err)
	}
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.hasRecords(t, "mail.b.a.example", wire.TypeA, both...)
	n.hasRecords(t, "mail.a.example", wire.TypeA)
	group(t, n.DeleteDomains, as("user1"), "b.a.example")
	n.hasRecords(t, "mail.b.a.example", wire.TypeA)
}
