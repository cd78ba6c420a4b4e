package module

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/authority"
	"maildomain/tests/nameserver"
)

// delegation leads the proof of a name into another zone.
const delegation = "a.example\n_acme-challenge.mail CNAME mail.a.proofs.b.example.\n"

func TestProofIsPutWhereAnAliasLeads(t *testing.T) {
	o := newOrdering(t, delegation, "b.example")
	o.set(t, "acme_challenge", "dns-01")
	seen := ""
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/chalZ/") {
			seen = strings.Join(o.records(t, "mail.a.proofs.b.example", wire.TypeTXT), " ")
		}
		next.ServeHTTP(w, r)
	})
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	if seen == "" {
		t.Error("the record did not stand there")
	}
	o.hasRecords(t, "mail.a.proofs.b.example", wire.TypeTXT)
}

// Anybody can have an alias lead anywhere: into a neighbour's zone nothing is written.
func TestProofIsNotPutIntoANeighboursDomain(t *testing.T) {
	o := newOrdering(t, delegation, "b.example")
	o.set(t, "acme_challenge", "dns-01")
	add(t, o.world, as("user2"), "b.example")
	serial := o.serial(t, "b.example")
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.waits(t, "a.example", "not_here", "acme_dns_foreign")
	if now := o.serial(t, "b.example"); now != serial {
		t.Error("the neighbour's zone was changed")
	}
	if n := o.ca.Asked("order-plz"); n != 0 {
		t.Errorf("%d orders for nothing", n)
	}
}

// What certainly fails is not even ordered: every order counts.
func TestNothingIsOrderedThatCannotBeProved(t *testing.T) {
	for what, c := range map[string]struct {
		zone    string
		set     []string
		prepare func(*testing.T, *ordering)
		kind    acme.Kind
		text    string
		args    map[string]string
	}{
		"leads elsewhere": {"a.example\nmail A 192.0.2.80\n", []string{"dns", "none"}, nil, acme.NotHere, "acme_neither",
			map[string]string{"why_http": "acme_elsewhere", "address": "192.0.2.80", "why_dns": "acme_dns_hand", "name": "mail.a.example"}},
		"leads nowhere":                   {"a.example", []string{"dns", "none", "acme_challenge", "http-01"}, nil, acme.NotHere, "acme_reach_nowhere", map[string]string{"name": "mail.a.example"}},
		"web server shows something else": {"a.example", []string{"acme_challenge", "http-01"}, func(_ *testing.T, o *ordering) { o.web.show(false) }, acme.NotHere, "acme_reach_other", nil},
		"nobody shows proofs":             {"a.example", []string{"acme_challenge", "http-01"}, func(_ *testing.T, o *ordering) { o.panel.HTTP01 = nil }, acme.NotHere, "acme_http_none", nil},
		"no such directory":               {"a.example", []string{"acme_challenge", "http-01", "acme_webroot", "/nonexistent/web"}, nil, acme.NotHere, "acme_webroot", map[string]string{"path": "/nonexistent/web"}},
		"zone of somebody else": {"a.example", []string{"acme_challenge", "dns-01"}, func(t *testing.T, o *ordering) {
			other := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{{Name: "other.example", Records: "@ NS ns\nns A 192.0.2.53\n"}}})
			o.set(t, "dns_server", other.Addr().String())
		}, acme.NotHere, "acme_dns_zone", map[string]string{"record": "_acme-challenge.mail.a.example"}},
		"key is wrong":        {"a.example", []string{"acme_challenge", "dns-01", "dns_secret", "d3Jvbmcgc2VjcmV0"}, nil, acme.NotHere, "acme_dns_refused", nil},
		"aliases without end": {"a.example\n_acme-challenge.mail CNAME _acme-challenge.mail\n", []string{"acme_challenge", "dns-01"}, nil, acme.NotHere, "acme_lookup", nil},
		"CAA forbids":         {"a.example\n@ CAA 0 issue \"other.test\"\n", nil, nil, acme.Forbidden, "acme_caa", map[string]string{"at": "a.example"}},
		"CAA forbids the way": {"a.example\n@ CAA 0 issue \"authority.test; validationmethods=dns-01\"\n", []string{"acme_challenge", "http-01"}, nil, acme.Forbidden, "acme_caa", nil},
	} {
		t.Run(what, func(t *testing.T) {
			o := newOrdering(t, c.zone)
			name := "a.example"
			o.set(t, append([]string{"dns", "server"}, c.set...)...)
			if c.prepare != nil {
				c.prepare(t, o)
			}
			o.letsencrypt(t, name)
			before := o.db.Now()
			o.order(t)
			row := o.waits(t, name, string(c.kind), c.text)
			for k, v := range c.args {
				if row.Args[k] != v {
					t.Errorf("%s is %q, want %q", k, row.Args[k], v)
				}
			}
			if row.Failures != 1 || row.Due.Sub(before) < time.Hour || row.Due.Sub(before) > 2*time.Hour {
				t.Errorf("after %d failures it is tried again at %s", row.Failures, row.Due)
			}
			if n := o.ca.Asked("order-plz"); n != 0 {
				t.Errorf("%d orders for nothing", n)
			}
			if n := o.counts(t, "mail."+name); n.Orders+n.Issued+n.Failures != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// While a domain's records are handed over, nobody else sends anything about them.
func TestRecordIsTriedInTheLaneOfItsDomain(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	n := mail.StoredName("a.example")
	set, err := o.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := wish{order: *o.row(t, "a.example"), set: set}
	o.lanes.of(n) <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := o.tryRecord(ctx, &w, n, "_acme-challenge.mail.a.example"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait: %v", err)
	}
	<-o.lanes.of(n)
	if err := o.tryRecord(t.Context(), &w, n, "_acme-challenge.mail.a.example"); err != nil {
		t.Error(err)
	}
}

// With the choice left, DNS is the way where the web server is elsewhere, or CAA says so.
func TestWayThatWorksIsTaken(t *testing.T) {
	for what, c := range map[string]struct {
		zone    string
		prepare func(*testing.T, *ordering)
		want    mail.Challenge
	}{
		"both":                    {"a.example", nil, mail.ChallengeHTTP},
		"web is elsewhere":        {"a.example\nmail A 192.0.2.80\n", nil, mail.ChallengeDNS},
		"web shows something":     {"a.example", func(_ *testing.T, o *ordering) { o.web.show(false) }, mail.ChallengeDNS},
		"CAA wants DNS":           {"a.example\n@ CAA 0 issue \"authority.test; validationmethods=dns-01\"\n", nil, mail.ChallengeDNS},
		"records entered by hand": {"a.example\nmail A 127.0.0.1\n", func(t *testing.T, o *ordering) { o.set(t, "dns", "none") }, mail.ChallengeHTTP},
	} {
		t.Run(what, func(t *testing.T) {
			o := newOrdering(t, c.zone)
			if c.prepare != nil {
				c.prepare(t, o)
			}
			by := mail.Challenge("")
			o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasPrefix(r.URL.Path, "/chalZ/") {
					by = o.row(t, "a.example").Challenge
				}
				next.ServeHTTP(w, r)
			})
			o.letsencrypt(t, "a.example")
			o.order(t)
			o.has(t, "a.example", "mail.a.example")
			if by != c.want {
				t.Errorf("proved by %s, want %s", by, c.want)
			}
		})
	}
}

func TestProofIsShownFromADirectory(t *testing.T) {
	o := newOrdering(t)
	dir := t.TempDir()
	o.set(t, "acme_webroot", dir, "acme_challenge", "http-01")
	o.panel.HTTP01 = nil
	files := http.FileServer(http.Dir(dir))
	o.web.server.Config.Handler = files
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	if left, err := filepath.Glob(filepath.Join(dir, ".well-known", "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// refuse has the authority answer new orders so.
func (o *ordering) refuse(status int, retryAfter, typ, detail string) {
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path != "/order-plz" {
			next.ServeHTTP(w, r)
			return
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q,"status":%d}`, typ, detail, status)
	})
}

func TestAuthorityThatTakesNoMoreIsAskedWhenItSays(t *testing.T) {
	o := newOrdering(t)
	o.refuse(429, "108000", "rateLimited", "too many certificates already issued for a.example: see https://authority.test/limits/#per-account")
	o.letsencrypt(t, "a.example")
	now := o.db.Now()
	o.order(t)
	row := o.waits(t, "a.example", "rate_limited", "acme_rate_limited")
	if wait := row.Due.Sub(now); wait < 30*time.Hour || wait > 31*time.Hour {
		t.Errorf("asked again after %s", wait)
	}
	asked := o.ca.Asked("order-plz")
	done, err := o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	if err == nil && len(done) > 0 {
		err = done[0].Err
	}
	e, is := errors.AsType[*mail.Error](err)
	if !is || e.Text != "busy_ssl_renew" || e.Args["at"] != row.Due.UTC().Format("2006-01-02 15:04 UTC") {
		t.Errorf("ordered by hand: %v", err)
	}
	for _, e := range []mail.DomainEdit{
		dnsEdit("email", "me@a.example"), dnsEdit("ssl_challenge", "http-01"), dnsEdit("secure_alias", "imap.a.example"), dnsEdit("secure_alias", "mail.a.example"),
		dnsEdit("ssl_name", "selfsigned"), dnsEdit("ssl_name", "letsencrypt"), dnsEdit("secure", "off"), dnsEdit("secure", "on"),
	} {
		done, err := o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, e, false)
		all(t, done, err)
		o.order(t)
	}
	if row := o.waits(t, "a.example", "rate_limited", "acme_rate_limited"); row.Detail == "" || row.Due.Sub(now) < 30*time.Hour {
		t.Errorf("%+v", row)
	}
	done, err = o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	if e, is := errors.AsType[*mail.Error](errors.Join(err, done[0].Err)); !is || e.Text != "busy_ssl_renew" {
		t.Errorf("ordered by hand: %v, %v", done, err)
	}
	o.pass(29 * time.Hour)
	o.order(t)
	if n := o.ca.Asked("order-plz"); n != asked {
		t.Errorf("asked %d times before it was time", n-asked)
	}
	o.ca.Stand(nil)
	o.pass(2 * time.Hour)
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	if n := o.counts(t, "mail.a.example"); n.Orders != 1 || n.Failures != 0 || n.Issued != 1 {
		t.Errorf("%+v", n)
	}
}

// A limit of the account is met by one order, not by each.
func TestLimitOfTheAccountHoldsEveryOrder(t *testing.T) {
	o := newOrdering(t, "b.example", "c.example", "d.example", "e.example", "f.example", "g.example")
	o.refuse(429, "7200", "rateLimited", "too many new orders from this account")
	names := []string{"a.example", "b.example", "c.example", "d.example", "e.example", "f.example", "g.example"}
	for _, n := range names {
		o.letsencrypt(t, n)
	}
	o.order(t)
	if n := o.ca.Asked("order-plz"); n > ordersAtOnce {
		t.Errorf("asked %d times", n)
	}
	for _, n := range names {
		o.waits(t, n, "rate_limited", "acme_rate_limited")
	}
	o.ca.Stand(nil)
	o.pass(3 * time.Hour)
	o.order(t)
	for _, n := range names {
		o.has(t, n, "mail."+n)
	}
}

// Each order waits as after a failure of its own, whoever met the fault of the authority.
func TestOrderThatIsNewDoesNotWaitForADayWithAnOldOne(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.letsencrypt(t, "a.example")
	o.letsencrypt(t, "b.example")
	old := *o.row(t, "a.example")
	old.Failures = 6
	o.putOrder(t, old)
	w := wish{order: old}
	if err := o.unfilled(t.Context(), w, &acme.Problem{Kind: acme.Unreachable, Text: "acme_unreachable"}); err != nil {
		t.Fatal(err)
	}
	now := o.now
	if row := o.waits(t, "a.example", "unreachable", "acme_unreachable"); row.Due.Sub(now) < 23*time.Hour {
		t.Errorf("due at %v", row.Due)
	}
	if row := o.waits(t, "b.example", "unreachable", "acme_unreachable"); row.Due.Sub(now) > time.Hour || row.Failures != 0 {
		t.Errorf("due at %v after %d", row.Due, row.Failures)
	}
}

func (o *ordering) putOrder(t *testing.T, row store.OrderRow) {
	t.Helper()
	if err := o.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.PutOrder(ctx, row) }); err != nil {
		t.Fatal(err)
	}
}

// An order may be slow by the servers of whose it is: that is nobody else's.
func TestSlowOrderPutsOffNoOtherOne(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.letsencrypt(t, "a.example")
	o.letsencrypt(t, "b.example")
	if err := o.unfilled(t.Context(), wish{order: *o.row(t, "a.example")}, errSlow); err != nil {
		t.Fatal(err)
	}
	o.waits(t, "a.example", "slow", "acme_slow")
	if row := o.row(t, "b.example"); row.Due.After(o.now) || row.Kind != "" {
		t.Errorf("%+v", row)
	}
}

func TestSlowOrdersOfOneOwnerLeaveRoomForOthers(t *testing.T) {
	slow := []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	o := newOrdering(t, append(slow[1:], "z.example")...)
	goOn := make(chan struct{})
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if body, err := io.ReadAll(r.Body); err == nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			if r.URL.Path == "/order-plz" && !strings.Contains(payload(body), "mail.z.example") {
				<-goOn
			}
		}
		next.ServeHTTP(w, r)
	})
	for _, n := range slow {
		o.letsencrypt(t, n)
	}
	if _, err := o.AddDomain(t.Context(), as("user2"), dnsEdit("name", "z.example", "secure", "on", "ssl_name", "letsencrypt")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- o.Orders(t.Context()) }()
	for end := time.Now().Add(25 * time.Second); o.row(t, "z.example") != nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if row := o.row(t, "z.example"); row != nil {
		t.Errorf("it waits: %+v", *row)
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, n := range append(slow, "z.example") {
		o.has(t, n, "mail."+n)
	}
}

// While somebody's order takes long, certificates of others are renewed all the same.
func TestSlowOrderHoldsUpNobodysRenewal(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	goOn, asked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if body, err := io.ReadAll(r.Body); err == nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			if r.URL.Path == "/order-plz" && strings.Contains(payload(body), "mail.b.example") {
				once.Do(func() { close(asked) })
				<-goOn
			}
		}
		next.ServeHTTP(w, r)
	})
	o.letsencrypt(t, "b.example")
	ended := make(chan error, 1)
	go func() { ended <- o.Orders(t.Context()) }()
	<-asked
	o.pass(first.Renew.Sub(o.db.Now()) + time.Hour)
	renewed := func() bool { return !bytes.Equal(o.certificate(t, "a.example").Chain, first.Chain) }
	for end := time.Now().Add(25 * time.Second); !renewed() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if !renewed() {
		t.Error("it waits for the other one")
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// payload is what a request to an authority says (RFC 7515 section 7.2.1).
func payload(body []byte) string {
	var signed struct{ Payload string }
	_ = json.Unmarshal(body, &signed) // else it says nothing
	text, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	return string(text)
}

func TestAuthorityThatIsDownForADay(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.ca.Stand(authority.Down)
	o.letsencrypt(t, "a.example")
	o.letsencrypt(t, "b.example")
	tries := 0
	for range 24 * 4 {
		before := o.ca.Asked("dir")
		o.order(t)
		tries += o.ca.Asked("dir") - before
		o.pass(15 * time.Minute)
	}
	if tries < 4 || tries > 12 {
		t.Errorf("asked %d times in a day", tries)
	}
	o.waits(t, "a.example", "unreachable", "acme_unreachable")
	o.ca.Stand(nil)
	o.pass(24 * time.Hour)
	o.order(t)
	for _, n := range []string{"a.example", "b.example"} {
		o.has(t, n, "mail."+n)
	}
	if n := o.counts(t, "mail.a.example"); n.Failures != 0 {
		t.Errorf("%+v: nobody counted a failure", n)
	}
	o.ordered(t, 2)
}

// What the authority finds wrong is mended and works an hour later, with a new order:
// the old one is invalid.
func TestProofThatTheAuthorityDoesNotFindIsTriedAgainLater(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/chalZ/") {
			o.web.show(false) // we saw it, and the authority does not
		}
		next.ServeHTTP(w, r)
	})
	o.order(t)
	row := o.waits(t, "a.example", "unproven", "acme_unauthorized")
	if row.URL != "" || len(row.Key) > 0 || row.Detail == "" || row.Challenge != mail.ChallengeHTTP {
		t.Errorf("%+v", row)
	}
	if n := o.counts(t, "mail.a.example"); n.Orders != 1 || n.Failures != 1 || n.Issued != 0 {
		t.Errorf("%+v", n)
	}
	o.ca.Stand(nil)
	o.web.show(true)
	o.order(t)
	o.ordered(t, 1)
	o.pass(2 * time.Hour)
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	o.ordered(t, 2)
}

// A name that is mistyped takes nothing from the others.
func TestNameThatLeadsNowhereCostsNoOtherNameItsCertificate(t *testing.T) {
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\npop A 127.0.0.1\n")
	o.set(t, "dns", "none", "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	stays := func() {
		t.Helper()
		if c := o.certificate(t, "a.example"); !bytes.Equal(c.Chain, first.Chain) || o.sni(t, "mail.a.example") != "a.example" {
			t.Error("mail.a.example is shown another")
		}
	}
	change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", "mail.a.example imap.a.example"))
	o.order(t)
	o.waits(t, "a.example", "not_here", "acme_reach_nowhere")
	stays()
	change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", "mail.a.example"))
	stays()
	o.has(t, "a.example", "mail.a.example")
	o.ordered(t, 1)
	change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", "mail.a.example pop.a.example"))
	stays()
	o.order(t)
	o.has(t, "a.example", "mail.a.example", "pop.a.example")
	o.ordered(t, 2)
	for _, n := range []string{"mail.a.example", "pop.a.example"} {
		if at := o.sni(t, n); at != "a.example" {
			t.Errorf("%s is shown that of %q", n, at)
		}
	}
}

// What is begun at the authority goes on, by whichever way it is to be proved now.
func TestOrderGoesOnThoughItIsProvedInAnotherWay(t *testing.T) {
	o := newOrdering(t)
	o.set(t, "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example")
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/chalZ/") {
			authority.Down(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
	o.order(t)
	first := o.waits(t, "a.example", "unreachable", "acme_unreachable")
	o.ca.Stand(nil)
	change(t, o.world, as("user1"), "a.example", dnsEdit("email", "me@a.example"))
	if row := o.row(t, "a.example"); !row.Since.Equal(first.Since) {
		t.Error("the address has another order made")
	}
	change(t, o.world, as("user1"), "a.example", dnsEdit("ssl_challenge", "dns-01"))
	if row := o.row(t, "a.example"); row.URL != first.URL || row.URL == "" || row.Challenge != "" {
		t.Errorf("%+v", row)
	}
	puts := o.web.puts
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	o.ordered(t, 1)
	if o.web.puts != puts {
		t.Error("proved as before")
	}
}

// Who changes names without end uses up what the authority allows the whole server.
func TestOrdersOfOneDomainAreFewInAnHour(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	for i := range mostBegun + 2 {
		if i == mostBegun {
			change(t, o.world, as("user1"), "a.example", dnsEdit("secure", "off"))
			change(t, o.world, as("user1"), "a.example", dnsEdit("secure", "on"))
		}
		change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", fmt.Sprintf("mail%d.a.example", i)))
		o.order(t)
	}
	row := o.waits(t, "a.example", "rate_limited", "acme_often")
	if wait := row.Due.Sub(o.now); wait > time.Hour || row.Failures != 0 {
		t.Errorf("it waits for %s, after %d failures", wait, row.Failures)
	}
	if n := o.ca.Asked("order-plz"); n != mostBegun {
		t.Errorf("%d orders", n)
	}
	done, err := o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	if e, is := errors.AsType[*mail.Error](errors.Join(err, done[0].Err)); !is || e.Text != "busy_ssl_renew" {
		t.Errorf("ordered by hand: %v, %v", done, err)
	}
	o.pass(time.Hour)
	o.order(t)
	o.has(t, "a.example", fmt.Sprintf("mail%d.a.example", mostBegun+1))
}

// Four failures in an hour, and who orders by hand is told to wait: the fifth would use
// the limit up.
func TestLimitIsNotUsedUpByHand(t *testing.T) {
	o := newOrdering(t)
	o.set(t, "acme_challenge", "dns-01")
	o.letsencrypt(t, "a.example")
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(400)
			_, _ = fmt.Fprint(w, `{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not for you","status":400}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	for i := range 6 {
		o.order(t)
		done, err := o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
		if err == nil && len(done) > 0 {
			err = done[0].Err
		}
		e, is := errors.AsType[*mail.Error](err)
		if told := is && e.Text == "busy_ssl_renew"; told != (i >= mostFailures-1) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := o.counts(t, "mail.a.example"); n.Failures != mostFailures {
		t.Errorf("%+v", n)
	}
}

func TestAccountIsTiedToACustomer(t *testing.T) {
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	o := newOrdering(t)
	o.ca = authority.Start(t, authority.Options{Resolver: netip.AddrPort{}, EAB: key})
	o.orders.roots = o.ca.Roots
	o.set(t, "acme_directory", o.ca.URL(), "acme_challenge", "dns-01")
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.waits(t, "a.example", "bad_account", "acme_eab_required")
	// What the administrator mends is tried at once.
	o.set(t, "acme_eab_kid", "customer", "acme_eab_key", strings.Repeat("A", len(key)))
	o.order(t)
	o.waits(t, "a.example", "bad_account", "acme_eab")
	o.set(t, "acme_contact", "me@a.example")
	o.order(t)
	if row := o.waits(t, "a.example", "bad_account", "acme_eab"); row.Failures != 3 {
		t.Errorf("%+v", row)
	}
	o.set(t, "dkim_selector", "other")
	if row := o.row(t, "a.example"); !row.Due.After(o.now) {
		t.Error("tried again for a setting that has nothing to do with it")
	}
	o.set(t, "acme_eab_key", key)
	o.order(t)
	if o.account(t) == "" {
		t.Errorf("no account\n%s", o.log)
	}
}

func TestOrdersAreTriedAgainWithTheSettingsThatTheyFailedFor(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.set(t, "acme_webroot", "/nonexistent/web", "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.waits(t, "a.example", "not_here", "acme_webroot")
	o.set(t, "acme_webroot", "")
	o.order(t)
	o.has(t, "a.example", "mail.a.example")

	// What the authority has counted waits on; and what it wants to be asked later is, at
	// that authority.
	o.refuse(429, "108000", "rateLimited", "too many certificates already issued")
	o.letsencrypt(t, "b.example")
	o.order(t)
	o.waits(t, "b.example", "rate_limited", "acme_rate_limited")
	asked, first := o.ca.Asked("order-plz"), o.ca
	o.ca.Stand(nil)
	o.set(t, "acme_challenge", "dns-01")
	o.order(t)
	o.set(t, "acme_directory", "https://127.0.0.1:1/dir")
	o.order(t)
	o.waits(t, "b.example", "unreachable", "acme_unreachable")
	o.set(t, "acme_directory", first.URL())
	o.order(t)
	o.waits(t, "b.example", "rate_limited", "acme_rate_limited")
	if n := o.ca.Asked("order-plz"); n != asked {
		t.Errorf("asked %d times before it was time", n-asked)
	}
	o.ca = authority.Start(t, authority.Options{Resolver: o.resolver.Addr(), HTTP: o.web.port()})
	o.orders.roots = o.ca.Roots
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(400)
			_, _ = fmt.Fprint(w, `{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not for you","status":400}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	o.set(t, "acme_directory", o.ca.URL())
	o.order(t)
	o.waits(t, "b.example", "refused", "acme_rejected")
	o.set(t, "acme_challenge", "auto")
	for _, at := range []string{first.URL(), o.ca.URL()} {
		o.set(t, "acme_directory", at)
		o.order(t)
	}
	o.set(t, "acme_directory", first.URL())
	o.set(t, "acme_directory", o.ca.URL())
	o.order(t)
	o.ordered(t, 1)
	if row := o.row(t, "b.example"); row.Due.Sub(o.now) > afterFailure {
		t.Errorf("it waits until %v", row.Due)
	}
	o.ca.Stand(nil)
	o.pass(afterFailure)
	o.order(t)
	o.has(t, "b.example", "mail.b.example")
}

// An account that the authority has closed is given up, and with the next tries another
// takes its place.
func TestAccountThatWasClosedIsReplaced(t *testing.T) {
	o := newOrdering(t, "b.example")
	o.letsencrypt(t, "a.example")
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	was := o.account(t)
	id := was[strings.LastIndexByte(was, '/')+1:]
	closed := o.ca.Store.GetAccountByID(id)
	closed.Status = "deactivated"
	if err := o.ca.Store.UpdateAccountByID(id, closed); err != nil {
		t.Fatal(err)
	}
	o.letsencrypt(t, "b.example")
	for range 2 {
		o.order(t)
		o.waits(t, "b.example", "bad_account", "acme_account")
		o.pass(25 * time.Hour)
	}
	o.order(t)
	o.has(t, "b.example", "mail.b.example")
	if now := o.account(t); now == was || now == "" {
		t.Errorf("the account is %q still", now)
	}
}

// A private key that the authority does not take, as one that is known to others, is not
// tried again.
func TestKeyThatTheAuthorityDoesNotTakeIsReplaced(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	was := o.certificate(t, "a.example").Key
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Replay-Nonce", "bm9uY2U")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"type":"urn:ietf:params:acme:error:badCSR","detail":"public key is forbidden","status":400}`)
	})
	o.order(t)
	row := o.waits(t, "a.example", "refused", "acme_key")
	if row.URL != "" || len(row.Key) == 0 || bytes.Equal(row.Key, was) {
		t.Errorf("the next key: %+v", row)
	}
	o.ca.Stand(nil)
	o.pass(2 * time.Hour)
	o.order(t)
	if c := o.has(t, "a.example", "mail.a.example"); !bytes.Equal(c.Key, row.Key) {
		t.Error("it is of another key than that which was made for it")
	}
	o.ordered(t, 2)
}
