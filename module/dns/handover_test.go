package dns_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/tests/nameserver"
)

func TestRecordsOfADomainArePutAndWithdrawn(t *testing.T) {
	ns, s := startZone(t, "")
	before := map[string][]string{}
	for _, n := range []string{"example.com", "www.example.com", "ns.example.com"} {
		for _, typ := range []uint16{wire.TypeA, wire.TypeMX, wire.TypeTXT, wire.TypeNS} {
			before[n+wire.TypeToString[typ]] = look(t, ns.Addr(), n, typ)
		}
	}
	rs := wantedRecords(t, "example.com")
	var put, remove []mail.RecordChange
	for _, r := range rs {
		put = append(put, mail.RecordChange{Record: r, Ours: r.Values})
		remove = append(remove, mail.RecordChange{Record: r, Ours: r.Values, Remove: true})
	}
	for _, o := range s.HandOver(t.Context(), put) {
		checkHanded(t, o, mail.Published, "")
	}
	for _, r := range rs {
		checkLook(t, ns.Addr(), r.Name, wire.StringToType[string(r.Type)], lines(t, r)...)
	}
	then := serial(t, ns.Addr())
	for _, o := range s.HandOver(t.Context(), put) {
		checkHanded(t, o, mail.Published, "")
	}
	if now := serial(t, ns.Addr()); now != then {
		t.Errorf("putting it again changed the zone: %s, then %s", then, now)
	}
	for range 2 {
		for _, o := range s.HandOver(t.Context(), remove) {
			checkHanded(t, o, mail.Published, "")
		}
	}
	for _, n := range []string{"example.com", "www.example.com", "ns.example.com"} {
		for _, typ := range []uint16{wire.TypeA, wire.TypeMX, wire.TypeTXT, wire.TypeNS} {
			if after := look(t, ns.Addr(), n, typ); !slices.Equal(after, before[n+wire.TypeToString[typ]]) {
				t.Errorf("%s %d: %q, before %q", n, typ, after, before[n+wire.TypeToString[typ]])
			}
		}
	}
	for _, r := range rs {
		checkLook(t, ns.Addr(), r.Name, wire.StringToType[string(r.Type)])
	}
}

// lines are a record as look shows it.
func lines(t *testing.T, r mail.Record) []string {
	t.Helper()
	text, err := mail.ZoneText([]mail.Record{r})
	if err != nil {
		t.Fatal(err)
	}
	var l []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, ";") {
			f := strings.SplitN(strings.TrimSpace(line), "\t", 5)
			l = append(l, f[1]+" "+f[4])
		}
	}
	return l
}

func TestNeighboursAtTheSameNameStay(t *testing.T) {
	ns, s := startZone(t, `@ 900 TXT "google-site-verification=x"
@ 900 TXT "say \"hi\"; \\ \007" "and more"
@ 900 MX 20 host.example.
mail 900 A 192.0.2.99
`)
	spf := txt("example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all")
	mx := mail.RecordChange{Record: mail.Record{Name: "example.com", Type: mail.TypeMX, TTL: 300, Values: []string{"10 host.example"}, Why: mail.ForMX}, Ours: []string{"10 host.example"}}
	a := mail.RecordChange{Record: mail.Record{Name: "mail.example.com", Type: mail.TypeA, TTL: 300, Values: []string{"192.0.2.1", "192.0.2.99"}, Why: mail.ForHost}, Ours: []string{"192.0.2.1"}}
	backup := mail.RecordChange{Record: mail.Record{Name: "example.com", Type: mail.TypeMX, TTL: 900, Values: []string{"30 backup.elsewhere.example"}}} // somebody else's
	for _, c := range []mail.RecordChange{spf, mx, a, backup} {
		checkHanded(t, one(t, s, c), mail.Published, "")
	}
	theirs := []string{`900 "google-site-verification=x"`, `900 "say \"hi\"; \\ \007" "and more"`}
	checkLook(t, ns.Addr(), "example.com", wire.TypeTXT, append([]string{`900 "v=spf1 ip4:192.0.2.1 ~all"`}, theirs...)...)
	checkLook(t, ns.Addr(), "example.com", wire.TypeMX, "900 20 host.example.", "900 30 backup.elsewhere.example.", "900 10 host.example.")
	checkLook(t, ns.Addr(), "mail.example.com", wire.TypeA, "900 192.0.2.1", "900 192.0.2.99")
	if o := one(t, s, a); !slices.Equal(o.Foreign, []string{"192.0.2.99"}) {
		t.Errorf("what stood before us is told: %+v", o)
	}

	// A new value takes the place of our old one.
	spf.Values, spf.Ours = []string{"v=spf1 ip4:192.0.2.2 ~all"}, []string{"v=spf1 ip4:192.0.2.1 ~all", "v=spf1 ip4:192.0.2.2 ~all"}
	checkHanded(t, one(t, s, spf), mail.Published, "")
	checkLook(t, ns.Addr(), "example.com", wire.TypeTXT, append([]string{`900 "v=spf1 ip4:192.0.2.2 ~all"`}, theirs...)...)

	// With another's behind it, too.
	mx.Values, mx.Ours = []string{"10 new.example"}, []string{"10 host.example", "10 new.example"}
	checkHanded(t, one(t, s, mx), mail.Published, "")

	for _, c := range []mail.RecordChange{spf, mx, a} {
		c.Remove = true
		checkHanded(t, one(t, s, c), mail.Published, "")
	}
	checkLook(t, ns.Addr(), "example.com", wire.TypeTXT, theirs...)
	checkLook(t, ns.Addr(), "example.com", wire.TypeMX, "900 20 host.example.", "900 30 backup.elsewhere.example.")
	checkLook(t, ns.Addr(), "mail.example.com", wire.TypeA, "900 192.0.2.99")
}

func TestLifetimeOfOurOwnFollowsTheChange(t *testing.T) {
	ns, s := startZone(t, `split 60 TXT "v=spf1 " "ip4:192.0.2.1 ~all"
`)
	c := txt("example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all")
	for _, ttl := range []uint32{300, 60, 3600} {
		c.TTL = ttl
		checkHanded(t, one(t, s, c), mail.Published, "")
		checkLook(t, ns.Addr(), c.Name, wire.TypeTXT, fmt.Sprintf(`%d "v=spf1 ip4:192.0.2.1 ~all"`, ttl))
	}
	// Ours is ours however its strings are cut, and stays cut so.
	c.Name = "split.example.com"
	checkHanded(t, one(t, s, c), mail.Published, "")
	checkLook(t, ns.Addr(), c.Name, wire.TypeTXT, `3600 "v=spf1 " "ip4:192.0.2.1 ~all"`)
	c.Remove = true
	checkHanded(t, one(t, s, c), mail.Published, "")
	checkLook(t, ns.Addr(), c.Name, wire.TypeTXT)
}

func TestAnotherPolicyIsAConflictAndStays(t *testing.T) {
	ns, s := startZone(t, `@ TXT "v=spf1 include:_spf.provider.example -all"
later MX 20 mx.provider.example.
_dmarc TXT "v=DMARC1; p=reject"
dkim._domainkey TXT "v=DKIM1; p="
same TXT "v=spf1 ip4:192.0.2.1/32 ~all"
@ MX 10 mx.provider.example.
mail A 192.0.2.99
`)
	then := serial(t, ns.Addr())
	for _, c := range []struct {
		change mail.RecordChange
		text   string
		merge  string
	}{
		{txt("example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all"), mail.CheckSPFDenies, "v=spf1 ip4:192.0.2.1 include:_spf.provider.example -all"},
		{txt("_dmarc.example.com", mail.ForDMARC, "v=DMARC1; p=none"), mail.CheckDMARCDiffers, "v=DMARC1; p=reject"},
		{txt("dkim._domainkey.example.com", mail.ForDKIM, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), mail.CheckDKIMRevoked, ""},
		{mail.RecordChange{Record: mail.Record{Name: "example.com", Type: mail.TypeMX, Values: []string{"10 host.example"}, Why: mail.ForMX}}, mail.CheckMXElsewhere, "10 host.example"},
		{mail.RecordChange{Record: mail.Record{Name: "later.example.com", Type: mail.TypeMX, Values: []string{"10 host.example"}, Why: mail.ForMX}}, mail.CheckMXElsewhere, "10 host.example"},
		{mail.RecordChange{Record: mail.Record{Name: "mail.example.com", Type: mail.TypeA, Values: []string{"192.0.2.1"}, Why: mail.ForHost}}, mail.CheckHostOther, "192.0.2.1"},
	} {
		o := one(t, s, c.change)
		checkHanded(t, o, mail.Conflict, "another record")
		if o.Verdict.Text != c.text || c.merge != "" && o.Verdict.Proposal != c.merge {
			t.Errorf("%+v", o.Verdict)
		}
		c.change.Remove = true
		checkHanded(t, one(t, s, c.change), mail.Published, "")
	}
	// One that means the same is as good as ours.
	o := one(t, s, txt("same.example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all"))
	checkHanded(t, o, mail.Published, "")
	if !slices.Equal(o.Foreign, []string{"v=spf1 ip4:192.0.2.1/32 ~all"}) {
		t.Errorf("%+v", o)
	}
	if now := serial(t, ns.Addr()); now != then {
		t.Errorf("the zone changed: %s", now)
	}
}

// A wildcard answers for names that do not exist; prerequisites do not see it.
func TestWildcardsAreNobodysRecords(t *testing.T) {
	ns, s := startZone(t, `* TXT "v=spf1 -all"
* MX 5 wild.example.
*.sub CNAME www
real.sub CNAME www
`)
	spf := txt("shop.example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all")
	key := txt("dkim._domainkey.shop.example.com", mail.ForDKIM, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	mx := mail.RecordChange{Record: mail.Record{Name: "shop.example.com", Type: mail.TypeMX, TTL: 300, Values: []string{"10 host.example"}, Why: mail.ForMX}}
	below := txt("dkim._domainkey.sub.example.com", mail.ForDKIM, key.Values...)
	for _, c := range []mail.RecordChange{mx, spf, key, below} {
		checkHanded(t, one(t, s, c), mail.Published, "")
	}
	checkLook(t, ns.Addr(), "shop.example.com", wire.TypeTXT, `300 "v=spf1 ip4:192.0.2.1 ~all"`)
	checkLook(t, ns.Addr(), "shop.example.com", wire.TypeMX, "300 10 host.example.")
	checkLook(t, ns.Addr(), "other.example.com", wire.TypeMX, "60 5 wild.example.")
	checkLook(t, ns.Addr(), below.Name, wire.TypeTXT, `300 "`+key.Values[0]+`"`)

	alias := txt("real.sub.example.com", mail.ForSPF, "v=spf1 ip4:192.0.2.1 ~all")
	checkHanded(t, one(t, s, alias), mail.Refused, "is an alias of www.example.com")
	checkLook(t, ns.Addr(), "real.sub.example.com", wire.TypeCNAME, "60 www.example.com.")
}

func TestServerThatRefuses(t *testing.T) {
	ns := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{
		{Name: "example.com", Records: exampleZone},
		{Name: "fixed.example", Records: exampleZone, Fixed: true},
		{Name: "example.net", Records: exampleZone + "sub NS ns.elsewhere.example.\n"},
	}})
	good := serverAt(t, ns.Addr())
	checkHanded(t, one(t, good, txt("fixed.example", mail.ForSPF, "v=spf1 -all")), mail.Refused, "refuses changes of fixed.example")
	checkHanded(t, one(t, good, txt("example.org", mail.ForSPF, "v=spf1 -all")), mail.NoZone, "no zone of example.org")
	checkHanded(t, one(t, good, txt("a.sub.example.net", mail.ForSPF, "v=spf1 -all")), mail.NoZone, "no zone of a.sub.example.net")
	checkHanded(t, one(t, good, txt("a.example.com", "", strings.Repeat("x", 65530))), mail.Refused, "does not fit")
	bad := mail.RecordChange{Record: mail.Record{Name: "a.example.com", Type: mail.TypeA, Values: []string{"no address"}}}
	checkHanded(t, one(t, good, bad), mail.Refused, "no value of A")

	for _, c := range []struct{ name, algorithm, secret, reason string }{
		{"other.key", "", nameserver.KeySecret, "does not know the key other.key"},
		{nameserver.KeyName, "", "YW5vdGhlciBzZWNyZXQsIGFsc28gbG9uZyBlbm91Z2g=", "has another secret for the key " + nameserver.KeyName},
		{nameserver.KeyName, "hmac-sha512", nameserver.KeySecret, "does not know the key"},
	} {
		key, err := dns.ParseKey(c.name, c.algorithm, c.secret)
		if err != nil {
			t.Fatal(err)
		}
		s := &dns.Server{Addr: ns.Addr().String(), Key: key}
		checkHanded(t, one(t, s, txt("example.com", mail.ForSPF, "v=spf1 -all")), mail.Refused, c.reason)
	}
	ns.Admit(false)
	shut := one(t, good, txt("example.com", mail.ForSPF, "v=spf1 -all"))
	checkHanded(t, shut, mail.Refused, "REFUSED")
	if _, err := good.Serial(t.Context(), "example.com"); err == nil {
		t.Error("a server that refuses has no such zone")
	}
	ns.Admit(true)
	unsigned := &dns.Server{Addr: ns.Addr().String()}
	checkHanded(t, one(t, unsigned, txt("example.com", mail.ForSPF, "v=spf1 -all")), mail.Refused, "REFUSED")
	early := serverAt(t, ns.Addr())
	early.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	checkHanded(t, one(t, early, txt("example.com", mail.ForSPF, "v=spf1 -all")), mail.Refused, "clocks")
	checkLook(t, ns.Addr(), "example.com", wire.TypeTXT)
}

func TestLongKeyIsTaken(t *testing.T) {
	ns, _ := startZone(t, "")
	key, err := dns.ParseKey(nameserver.LongKeyName+".", "HMAC-SHA512.", nameserver.LongKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Addr: ns.Addr().String(), Key: key}
	checkHanded(t, one(t, s, txt("example.com", mail.ForSPF, "v=spf1 -all")), mail.Published, "")
}

func TestServerThatIsDownAndComesBack(t *testing.T) {
	ns, s := startZone(t, "")
	changes := []mail.RecordChange{txt("example.com", mail.ForSPF, "v=spf1 -all"), txt("_dmarc.example.com", mail.ForDMARC, "v=DMARC1; p=none")}
	ns.Stop()
	for _, o := range s.HandOver(t.Context(), changes) {
		checkHanded(t, o, mail.Pending, "does not answer")
	}
	ns.Restart()
	for range 2 {
		for _, o := range s.HandOver(t.Context(), changes) {
			checkHanded(t, o, mail.Published, "")
		}
	}
	// What was put outlives the server.
	ns.Stop()
	ns.Restart()
	checkLook(t, ns.Addr(), "example.com", wire.TypeTXT, `300 "v=spf1 -all"`)
}

func TestServersThatAnswerBadly(t *testing.T) {
	rcode := func(code int) wire.HandlerFunc {
		return func(w wire.ResponseWriter, m *wire.Msg) {
			a := new(wire.Msg)
			a.SetRcode(m, code)
			a.Authoritative = true
			_ = w.WriteMsg(a)
		}
	}
	by := func(question, update int) wire.HandlerFunc {
		return func(w wire.ResponseWriter, m *wire.Msg) {
			if m.Opcode == wire.OpcodeUpdate {
				rcode(update)(w, m)
				return
			}
			rcode(question)(w, m)
		}
	}
	for name, c := range map[string]struct {
		h      wire.HandlerFunc
		want   mail.Handed
		reason string
	}{
		"servfail":      {rcode(wire.RcodeServerFailure), mail.Pending, "fails for"},
		"refused":       {rcode(wire.RcodeRefused), mail.Refused, "does not answer for example.com"},
		"fails then":    {by(wire.RcodeRefused, wire.RcodeServerFailure), mail.Pending, "fails for"},
		"no such zone":  {by(wire.RcodeRefused, wire.RcodeNotAuth), mail.NoZone, "no zone"},
		"zone, no asks": {by(wire.RcodeRefused, wire.RcodeSuccess), mail.Pending, "not signed"},
		"yes, unsigned": {rcode(wire.RcodeSuccess), mail.Pending, "not signed"},
		"silent":        {func(wire.ResponseWriter, *wire.Msg) {}, mail.Pending, "does not answer"},
		"hangs up":      {func(w wire.ResponseWriter, _ *wire.Msg) { _ = w.Close() }, mail.Pending, "does not answer"},
		"nonsense":      {func(w wire.ResponseWriter, _ *wire.Msg) { _, _ = w.Write([]byte("HTTP/1.1 400 Bad Request")) }, mail.Pending, "does not answer"},
		"an echo":       {func(w wire.ResponseWriter, m *wire.Msg) { _ = w.WriteMsg(m) }, mail.Pending, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serverAt(t, handle(t, c.h))
			s.Timeout = time.Second
			checkHanded(t, one(t, s, txt("example.com", mail.ForSPF, "v=spf1 -all")), c.want, c.reason)
		})
	}
}

func TestHandOverEndsWithItsContext(t *testing.T) {
	s := serverAt(t, handle(t, func(wire.ResponseWriter, *wire.Msg) {}))
	s.Timeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var changes []mail.RecordChange
	for i := range 50 {
		changes = append(changes, txt(fmt.Sprintf("h%d.example.com", i), mail.ForSPF, "v=spf1 -all"))
	}
	for _, o := range s.HandOver(ctx, changes) {
		checkHanded(t, o, mail.Pending, "")
	}
}

// Several that put their own value at one name at once all have it at the end.
func TestRacesLoseNothing(t *testing.T) {
	ns, s := startZone(t, "")
	const writers = 4
	var wg sync.WaitGroup
	var want []string
	for i := range writers {
		value := fmt.Sprintf("writer %d", i)
		want = append(want, fmt.Sprintf("300 %q", value))
		wg.Go(func() {
			for range 50 { // the outbox tries again
				o := s.HandOver(t.Context(), []mail.RecordChange{txt("race.example.com", "", value)})[0]
				if o.Handed == mail.Published {
					return
				}
				if o.Handed != mail.Pending {
					t.Errorf("%+v", o)
					return
				}
			}
			t.Error("never published")
		})
	}
	wg.Wait()
	checkLook(t, ns.Addr(), "race.example.com", wire.TypeTXT, want...)
}

func TestKeysAreParsedAndDoNotPrint(t *testing.T) {
	for _, c := range [][3]string{
		{"", "", nameserver.KeySecret}, {"a b", "", nameserver.KeySecret}, {"a..b", "", nameserver.KeySecret}, {"a", "hmac-md5", nameserver.KeySecret},
		{"a", "", "short"}, {"a", "", "c2hvcnQ="}, {"a", "", ""}, {"a\nb", "", nameserver.KeySecret}, {strings.Repeat("a", 64), "", nameserver.KeySecret},
	} {
		if k, err := dns.ParseKey(c[0], c[1], c[2]); err == nil || !k.IsZero() {
			t.Errorf("%q: %v", c, k)
		}
	}
	k, err := dns.ParseKey("Key.Example.", "", nameserver.KeySecret)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %s %#v", k, k, k); got != "key.example key.example dns.Key(key.example)" {
		t.Errorf("printed as %s", got)
	}
}
