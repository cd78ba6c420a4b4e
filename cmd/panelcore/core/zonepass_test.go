package core_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
	"maildomain/tests/nameserver"
)

// rarely keeps a core from looking at its queue by itself.
var rarely = core.Options{ZonePause: time.Hour}

func serve(t *testing.T, zones ...nameserver.Zone) *nameserver.Server {
	t.Helper()
	return nameserver.Start(t, nameserver.Options{Zones: zones})
}

const hosts = "@ IN NS ns\nns IN A 127.0.0.1\n"

// passTo has the panel pass its zones on.
func passTo(t *testing.T, p *paneltest.Panel, s *nameserver.Server) {
	t.Helper()
	admin(t, p, "param.edit", "dns_update_server", s.Addr().String(), "dns_update_key", nameserver.KeyName,
		"dns_update_secret", nameserver.KeySecret, "dns_update_algorithm", nameserver.KeyAlgorithm)
}

// ask returns what a server answers: TTL and values, in order.
func ask(t *testing.T, s *nameserver.Server, name, typ string) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.StringToType[typ])
	client := dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	answer, _, err := client.Exchange(m, s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, rr := range answer.Answer {
		values = append(values, fmt.Sprint(rr.Header().Ttl, " ", strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	slices.Sort(values)
	return strings.Join(values, "|")
}

func state(t *testing.T, p *paneltest.Panel, domain string, changes ...wire.DNSChange) string {
	t.Helper()
	got, failure := hand(t, p, domain, changes...)
	if failure != "" {
		t.Fatal(failure)
	}
	var states []string
	for _, o := range got {
		states = append(states, strings.TrimSpace(o.State+" "+o.Reason))
	}
	return strings.Join(states, "|")
}

func TestChangesArePassedOnAndNothingElseIsTouched(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts + "@ IN MX 5 theirs.example.org.\n@ IN TXT theirs\nftp IN A 192.0.2.50\n"})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	for _, c := range []struct {
		name       string
		change     wire.DNSChange
		at, answer string
	}{
		{"put", put("mail.example.com", "A", 300, "192.0.2.1"), "mail.example.com A", "300 192.0.2.1"},
		{"what stood before came with it", put("mail.example.com", "A", 300, "192.0.2.1"), "www.example.com CNAME", "3600 example.com."},
		{"values", put("mail.example.com", "A", 300, "192.0.2.2", "192.0.2.3"), "mail.example.com A", "300 192.0.2.2|300 192.0.2.3"},
		{"TTL", put("mail.example.com", "A", 600, "192.0.2.2", "192.0.2.3"), "mail.example.com A", "600 192.0.2.2|600 192.0.2.3"},
		{"text", put("example.com", "TXT", 300, "v=spf1 mx -all"), "example.com TXT", `300 "theirs"|300 "v=spf1 mx -all"`},
		{"long text", put("k._domainkey.example.com", "TXT", 300, strings.Repeat("x", 300)), "k._domainkey.example.com TXT", `300 "` + strings.Repeat("x", 255) + `" "` + strings.Repeat("x", 45) + `"`},
		{"remove text", remove("example.com", "TXT"), "example.com TXT", `300 "theirs"`},
		{"remove", remove("mail.example.com", "A"), "mail.example.com A", ""},
		{"theirs stays", remove("ftp.example.com", "A"), "ftp.example.com A", "60 192.0.2.50"},
	} {
		if got := state(t, p, "example.com", c.change); got != wire.DNSPublished {
			t.Errorf("%s: %s", c.name, got)
		}
		name, typ, _ := strings.Cut(c.at, " ")
		if got := ask(t, s, name, typ); got != c.answer {
			t.Errorf("%s: the server answers %s, want %s", c.name, got, c.answer)
		}
	}

	before := ask(t, s, "example.com", "SOA")
	if got := state(t, p, "example.com", put("k._domainkey.example.com", "TXT", 300, strings.Repeat("x", 300))); got != wire.DNSPublished {
		t.Error(got)
	}
	if got := ask(t, s, "example.com", "SOA"); got != before {
		t.Errorf("a change of nothing was sent: %s, before %s", got, before)
	}

	admin(t, p, "zone.record.edit", "plid", "example.com", "name", "blog", "type", "CNAME", "value", "www.example.com")
	if got := ask(t, s, "blog.example.com", "CNAME"); got != "3600 www.example.com." {
		t.Errorf("a person's record: %s", got)
	}
	admin(t, p, "zone.delete", "elid", "example.com")
	for at, want := range map[string]string{"blog.example.com CNAME": "", "example.com A": "", "example.com MX": "60 5 theirs.example.org.", "ftp.example.com A": "60 192.0.2.50"} {
		name, typ, _ := strings.Cut(at, " ")
		if got := ask(t, s, name, typ); got != want {
			t.Errorf("after the zone was deleted, %s: %s, want %s", at, got, want)
		}
	}
}

// BIND takes no MX to a name of the zone that has no address.
func TestOneRefusedRecordHoldsBackNoOther(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	got := state(t, p, "example.com", put("lists.example.com", "MX", 300, "10 mail.example.com"), put("k._domainkey.example.com", "TXT", 300, "v=DKIM1; p="))
	if !strings.HasPrefix(got, "pending ") || !strings.HasSuffix(got, "|published") {
		t.Error(got)
	}
	if got := ask(t, s, "k._domainkey.example.com", "TXT"); got != `300 "v=DKIM1; p="` {
		t.Errorf("what could be passed on was not: %s", got)
	}
	if got := state(t, p, "example.com", put("mail.example.com", "A", 300, "192.0.2.1")); got != "published" {
		t.Error(got)
	}
	if got := ask(t, s, "lists.example.com", "MX"); got != "300 10 mail.example.com." {
		t.Errorf("when it could be passed on: %s", got)
	}
}

func TestNoSecondSPFIsPassedOn(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts + "@ IN TXT \"v=spf1 a -all\"\n_dmarc IN TXT other\n"})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	got := state(t, p, "example.com", put("example.com", "TXT", 300, "v=spf1 mx -all"), put("_dmarc.example.com", "TXT", 300, "v=DMARC1; p=none"))
	if !strings.HasPrefix(got, "pending ") || !strings.HasSuffix(got, "another SPF record stands at example.com there|published") {
		t.Error(got)
	}
	if got := ask(t, s, "example.com", "TXT"); got != `60 "v=spf1 a -all"` {
		t.Errorf("the server's SPF: %s", got)
	}
	// One's own is replaced, also when only its TTL changes.
	for _, c := range []struct {
		ttl         uint32
		value, want string
	}{
		{300, "v=DMARC1; p=reject", `300 "other"|300 "v=DMARC1; p=reject"`},
		{600, "v=DMARC1; p=reject", `600 "other"|600 "v=DMARC1; p=reject"`},
	} {
		if got := state(t, p, "example.com", put("_dmarc.example.com", "TXT", c.ttl, c.value)); got != wire.DNSPublished {
			t.Error(got)
		}
		if got := ask(t, s, "_dmarc.example.com", "TXT"); got != c.want {
			t.Errorf("%s for %d s: the server answers %s", c.value, c.ttl, got)
		}
	}
}

// What a module may not put beside another's in a zone of the panel's, it may not put
// beside what stands at the name server alone.
func TestModulesRecordsDoNoHarmAtTheNameServer(t *testing.T) {
	const theirs = "@ IN MX 20 theirs.example.org.\nmail IN A 192.0.2.50\nmail IN A 192.0.2.1\nk._domainkey IN TXT \"v=DKIM1\\; p=\"\nlists IN MX 10 mail\n"
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts + theirs})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	for _, c := range []struct {
		change       wire.DNSChange
		want, answer string
	}{
		{put("example.com", "MX", 300, "10 mail.example.com"), "another MX record stands at example.com there", "60 20 theirs.example.org."},
		{put("mail.example.com", "A", 300, "192.0.2.1"), "another A record stands at mail.example.com there", "60 192.0.2.1|60 192.0.2.50"},
		{put("k._domainkey.example.com", "TXT", 300, "v=DKIM1; p=ours"), "another DKIM record stands at k._domainkey.example.com there", `60 "v=DKIM1; p="`},
		{put("lists.example.com", "MX", 300, "10 mail.example.com"), "", "60 10 mail.example.com."},
	} {
		got := state(t, p, "example.com", c.change)
		if c.want == "" && got != wire.DNSPublished || c.want != "" && (!strings.HasPrefix(got, "pending ") || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%s %s: %s", c.change.Name, c.change.Type, got)
		}
		if got := ask(t, s, c.change.Name, c.change.Type); got != c.answer {
			t.Errorf("%s %s: the server answers %s", c.change.Name, c.change.Type, got)
		}
		if c.want == "" {
			continue
		}
		if got := state(t, p, "example.com", remove(c.change.Name, c.change.Type)); got != wire.DNSPublished {
			t.Errorf("%s %s after it was taken back: %s", c.change.Name, c.change.Type, got)
		}
	}
	// People may do as they like.
	admin(t, p, "zone.record.edit", "plid", "example.com", "name", "@", "type", "MX", "value", "30 person.example.org")
	if got := ask(t, s, "example.com", "MX"); got != "3600 20 theirs.example.org.|3600 30 person.example.org." {
		t.Errorf("a person's: %s", got)
	}
	if got := state(t, p, "example.com", put("mail2.example.com", "A", 300, "192.0.2.1")); got != wire.DNSPublished {
		t.Error(got)
	}
	if got := state(t, p, "example.com", put("mail2.example.com", "A", 300, "192.0.2.1", "192.0.2.2")); got != wire.DNSPublished {
		t.Errorf("another address beside one's own: %s", got)
	}
}

// A lossy is a name server whose answers to updates get lost on the way.
type lossy struct {
	addr string
	lose atomic.Int32 // so many of the next ones
}

func losing(t *testing.T, s *nameserver.Server) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	y := &lossy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { y.pass(from, s.Addr().String()) })
		}
	})
	return y
}

// pass passes the messages of a connection on, and their answers back.
func (y *lossy) pass(from net.Conn, addr string) {
	defer from.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	for _, c := range []net.Conn{from, to} {
		if c.SetDeadline(time.Now().Add(20*time.Second)) != nil {
			return
		}
	}
	for {
		asked, err := message(from)
		if err != nil {
			return
		}
		if _, err := to.Write(asked); err != nil {
			return
		}
		answered, err := message(to)
		const opcode = 4 // where it is, after the length and the id (RFC 1035 section 4.1.1)
		if err != nil || int(asked[opcode]>>3&15) == dns.OpcodeUpdate && y.lose.Add(-1) >= 0 {
			return
		}
		if _, err := from.Write(answered); err != nil {
			return
		}
	}
}

// message reads one message with its length (RFC 1035 section 4.2.2).
func message(c net.Conn) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	body := make([]byte, max(12, binary.BigEndian.Uint16(head)))
	_, err := io.ReadFull(c, body)
	return append(head, body...), err
}

func TestUpdateWhoseAnswerIsLostLeavesNothingBehind(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts + "same IN TXT same\n"})
	y := losing(t, s)
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	admin(t, p, "param.edit", "dns_update_server", y.addr, "dns_update_key", nameserver.KeyName,
		"dns_update_secret", nameserver.KeySecret, "dns_update_algorithm", nameserver.KeyAlgorithm)
	txt := func(ttl uint32, value string) wire.DNSChange { return put("x.example.com", "TXT", ttl, value) }
	gone := remove("x.example.com", "TXT")
	for _, c := range []struct {
		name          string
		lost, then    wire.DNSChange
		stood, stands string // at x after the answer was lost, and after the next exchange
	}{
		{"a value becomes another", txt(300, "v=spf1 mx -all"), txt(300, "v=spf1 a -all"), `300 "v=spf1 mx -all"`, `300 "v=spf1 a -all"`},
		{"once more", txt(300, "v=spf1 -all"), txt(300, "v=spf1 -all"), `300 "v=spf1 -all"`, `300 "v=spf1 -all"`},
		{"a change is taken back", txt(300, "v=spf1 ?all"), txt(300, "v=spf1 -all"), `300 "v=spf1 ?all"`, `300 "v=spf1 -all"`},
		{"another TTL is taken back", txt(600, "v=spf1 -all"), txt(300, "v=spf1 -all"), `600 "v=spf1 -all"`, `300 "v=spf1 -all"`},
		{"a removal is taken back", gone, txt(300, "v=spf1 -all"), "", `300 "v=spf1 -all"`},
		{"a removal", gone, gone, "", ""},
		{"a value goes", txt(300, "v=spf1 mx -all"), gone, `300 "v=spf1 mx -all"`, ""},
	} {
		y.lose.Store(1)
		if got := state(t, p, "example.com", c.lost); !strings.HasPrefix(got, "pending ") || !strings.Contains(got, "does not answer") {
			t.Errorf("%s: %s", c.name, got)
		}
		if got := ask(t, s, "x.example.com", "TXT"); got != c.stood {
			t.Errorf("%s: there stood %s, want %s", c.name, got, c.stood)
		}
		state(t, p, "example.com", c.then)
		p.Clock.Advance(15 * time.Minute)
		if err := p.Core.PassOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, s, "x.example.com", "TXT"); got != c.stands {
			t.Errorf("%s: there stands %s, want %s", c.name, got, c.stands)
		}
		if got, _, _ := strings.Cut(p.As(t, "admin", "zone"), "\n"); !strings.HasPrefix(got, "name=example.com ") || !strings.Contains(got, "passed=on") {
			t.Errorf("%s: the list: %s", c.name, got)
		}
	}
	// What the server refused it has not, and what stands there is another's.
	if got := state(t, p, "example.com", put("same.example.com", "TXT", 300, "same"), put("same.example.com", "MX", 300, "10 nowhere.example.com")); !strings.Contains(got, "REFUSED") {
		t.Errorf("an MX without an address: %s", got)
	}
	if got := state(t, p, "example.com", remove("same.example.com", "TXT"), remove("same.example.com", "MX")); got != "published|published" {
		t.Errorf("after it was taken back: %s", got)
	}
	if got := ask(t, s, "same.example.com", "TXT"); got != `60 "same"` {
		t.Errorf("another's value: %s", got)
	}
}

func TestCallsAtOnceLoseNothing(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	hand(t, p, "example.com") // the module is there
	const calls = 20
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			name := fmt.Sprintf("k%d._domainkey.example.com", i)
			got, failure := hand(t, p, "example.com", put(name, "TXT", 300, name))
			if failure != "" || len(got) != 1 || got[0].State != wire.DNSPublished && got[0].State != wire.DNSPending {
				t.Errorf("%s %+v", failure, got)
			}
		})
	}
	wg.Wait()
	if got := serial(t, p, "example.com"); got != fmt.Sprint(2030010100+calls) {
		t.Errorf("serial %s after %d changes", got, calls)
	}
	if err := p.Core.PassOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		name := fmt.Sprintf("k%d._domainkey.example.com", i)
		if got := ask(t, s, name, "TXT"); got != fmt.Sprintf("300 %q", name) {
			t.Errorf("%s: the server answers %s", name, got)
		}
		if got := records(zoneFile(t, p, "example.com"), name, "TXT"); len(got) != 1 {
			t.Errorf("%s: the file has %q", name, got)
		}
	}
}

func TestManyChangesArePassedOnInParts(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	var changes []wire.DNSChange
	for i := range 300 {
		changes = append(changes, put(fmt.Sprintf("k%d._domainkey.example.com", i), "TXT", 300, strings.Repeat("k", 400)))
	}
	for got := range strings.SplitSeq(state(t, p, "example.com", changes...), "|") {
		if got != wire.DNSPublished && !strings.HasPrefix(got, wire.DNSPending) {
			t.Fatal(got)
		}
	}
	paneltest.Eventually(t, "all of it passed on", func() bool {
		if err := p.Core.PassOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Hour)
		return strings.Contains(p.As(t, "admin", "zone"), "name=example.com owner=user1 records=302 serial=2030010101 passed=on")
	})
	for _, i := range []int{0, 150, 299} {
		if got := ask(t, s, fmt.Sprintf("k%d._domainkey.example.com", i), "TXT"); !strings.HasPrefix(got, `300 "kkk`) {
			t.Errorf("record %d: %s", i, got)
		}
	}
}

func TestServerThatIsDownGetsItLater(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts}, nameserver.Zone{Name: "example.net", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	s.Stop()
	for _, domain := range []string{"example.com", "example.net"} {
		if got := state(t, p, domain, put("mail."+domain, "A", 300, "192.0.2.1")); !strings.HasPrefix(got, "pending ") || !strings.Contains(got, "does not answer") {
			t.Errorf("%s: %s", domain, got)
		}
		if !strings.Contains(zoneFile(t, p, domain), "192.0.2.1") {
			t.Errorf("%s: the zone itself did not change", domain)
		}
	}
	if got := state(t, p, "example.com", put("mail.example.com", "A", 300, "192.0.2.1")); !strings.HasPrefix(got, "pending ") {
		t.Errorf("what was not passed on counts as published when it is said again: %s", got)
	}
	if got := p.As(t, "admin", "zone"); strings.Count(got, "passed=off") != 2 || !strings.Contains(got, "does not answer") {
		t.Errorf("the list: %s", got)
	}
	s.Restart()
	if err := p.Core.PassOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, "mail.example.com", "A"); got != "" {
		t.Errorf("tried before its time: %s", got)
	}
	p.Clock.Advance(15 * time.Second)
	if err := p.Core.PassOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail.example.com", "mail.example.net"} {
		if got := ask(t, s, name, "A"); got != "300 192.0.2.1" {
			t.Errorf("%s after the server came back: %s", name, got)
		}
	}
	if got := p.As(t, "admin", "zone"); strings.Contains(got, "passed=off") {
		t.Errorf("the list: %s", got)
	}
	if got := state(t, p, "example.com", put("mail.example.com", "A", 300, "192.0.2.1")); got != wire.DNSPublished {
		t.Error(got)
	}
}

func TestCoreLooksAtItsQueueByItself(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{ZonePause: 5 * time.Millisecond}})
	passTo(t, p, s)
	paneltest.Eventually(t, "the zone is at the server", func() bool { return ask(t, s, "www.example.com", "CNAME") != "" })
}

func TestRefusalsWaitAndSayWhy(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts + "alias IN CNAME ns\n"}, nameserver.Zone{Name: "example.net", Records: hosts, Fixed: true})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	passTo(t, p, s)
	if got := state(t, p, "example.net", put("example.net", "MX", 300, "10 mail.example.net")); !strings.Contains(got, "the name server refuses the records of example.net (REFUSED)") {
		t.Errorf("fixed zone: %s", got)
	}
	admin(t, p, "zone.edit", "name", "example.org")
	if got := state(t, p, "example.org", put("example.org", "A", 300, "192.0.2.1")); !strings.Contains(got, "does not take changes of example.org (NOTAUTH)") {
		t.Errorf("unknown zone: %s", got)
	}
	if got := state(t, p, "example.com", put("alias.example.com", "A", 300, "192.0.2.1")); !strings.Contains(got, "an alias there") {
		t.Errorf("alias at the server: %s", got)
	}
	if got := state(t, p, "example.com", remove("alias.example.com", "A")); got != wire.DNSPublished {
		t.Errorf("after it was taken back: %s", got)
	}
	other := "b3RoZXIgc2VjcmV0LCBvdGhlciBzZWNyZXQ="
	for _, c := range []struct{ name, key, secret, want string }{
		{"wrong secret", nameserver.KeyName, other, "does not take the key: BADSIG"},
		{"unknown key", "nosuch", other, "does not take the key: BADKEY"},
		{"no key", "", "", "the name server refuses the records of example.com (REFUSED)"},
	} {
		admin(t, p, "param.edit", "dns_update_key", c.key, "dns_update_secret", c.secret)
		if got := state(t, p, "example.com", put("example.com", "TXT", 300, c.name)); !strings.HasPrefix(got, "pending ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if text := p.Log.String() + p.As(t, "admin", "zone"); strings.Contains(text, other) || strings.Contains(text, nameserver.KeySecret) {
		t.Error("a secret stands in the log or in the list")
	}
	admin(t, p, "param.edit", "dns_update_key", nameserver.LongKeyName, "dns_update_secret", nameserver.LongKeySecret, "dns_update_algorithm", nameserver.LongKeyAlgorithm)
	if err := p.Core.PassOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, "example.com", "TXT"); got != `300 "no key"` {
		t.Errorf("with the right key: %s", got)
	}
}

func TestParametersOfTheNameServer(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	for _, c := range []struct{ pairs, want string }{
		{"dns_update_server=a_b:53", "ERROR value(dns_update_server)"},
		{"dns_update_server=host:0", "ERROR value(dns_update_server)"},
		{"dns_update_server=host:domain", "ERROR value(dns_update_server)"},
		{"dns_update_server=127.0.0.1 dns_update_key=a..b", "ERROR value(dns_update_key)"},
		{"dns_update_server=127.0.0.1 dns_update_key=key", "ERROR value(dns_update_secret)"},
		{"dns_update_server=127.0.0.1 dns_update_key=key dns_update_secret=c2hvcnQ=", "ERROR value(dns_update_secret)"},
		{"dns_update_server=127.0.0.1 dns_update_algorithm=hmac-md5", "ERROR value(dns_update_algorithm)"},
		{"nameservers=", "ERROR value(nameservers)"},
		{"nameservers=a;b", "ERROR value(nameservers)"},
		{"dns_update_server=[::1]:1 dns_update_key=key dns_update_secret=" + nameserver.KeySecret, "OK\n"},
		{"dns_update_secret=", "OK\n"}, // it stays
		{"mail_host=mail.example", "OK\n"},
		{"dns_update_key=", "OK\n"}, // and with it the secret
		{"dns_update_key=key", "ERROR value(dns_update_secret)"},
	} {
		pairs := []string{"sok", "ok"}
		for pair := range strings.FieldsSeq(c.pairs) {
			name, value, _ := strings.Cut(pair, "=")
			pairs = append(pairs, name, value)
		}
		got := p.As(t, "admin", "param.edit", pairs...)
		if !strings.HasPrefix(got, c.want) || strings.Contains(got, "c2hvcnQ=") {
			t.Errorf("%s: %s", c.pairs, got)
		}
		for _, function := range []string{"param", "param.edit"} {
			if got := p.As(t, "admin", function); strings.Contains(got, nameserver.KeySecret) {
				t.Errorf("%s shows the secret", function)
			}
		}
	}
	if got := field(p.As(t, "user1", "thing.callback"), "params"); strings.Contains(got, "dns_update") {
		t.Errorf("modules are sent the core's own parameters: %s", got)
	}
	if body := p.Call(t, "out", "xml", "authinfo", "admin:"+paneltest.Password, "func", "param.edit", "dns_update_secret", "visible?"); strings.Contains(body, "visible?") {
		t.Error("the secret is echoed")
	}
}
