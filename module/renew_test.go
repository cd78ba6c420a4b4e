package module

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/rs/zerolog"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/authority"
)

func TestCertificateIsRenewedBeforeItEnds(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	if left := first.Expire.Sub(first.Renew); left < 27*24*time.Hour || left > 33*24*time.Hour {
		t.Errorf("it is to be renewed %s before its end", left)
	}
	o.pass(first.Renew.Sub(o.db.Now()) - time.Hour)
	o.order(t)
	o.ordered(t, 1)
	o.pass(2 * time.Hour)
	o.order(t)
	second := o.certificate(t, "a.example")
	o.ordered(t, 2)
	if bytes.Equal(first.Chain, second.Chain) || !bytes.Equal(first.Key, second.Key) || second.Source != mail.LetsEncrypt {
		t.Error("no other certificate, or another key")
	}
	// The authority's clock stands where it stood, so that by ours this one is old too:
	// it is not ordered again all the same.
	o.order(t)
	o.pass(soonestRenewal / 2)
	o.order(t)
	o.ordered(t, 2)
}

// Nobody was here for weeks: each certificate is ordered once.
func TestCertificatesThatEndedMeanwhileAreOrderedOnce(t *testing.T) {
	o := newOrdering(t, "b.example", "c.example")
	names := []string{"a.example", "b.example", "c.example"}
	for _, n := range names {
		o.letsencrypt(t, n)
	}
	o.order(t)
	o.pass(70 * 24 * time.Hour)
	o.again(t, &world{dir: o.dirCopy(t)})
	o.order(t)
	for _, n := range names {
		if row := o.row(t, n); row != nil {
			t.Errorf("%+v", *row)
		}
	}
	o.ordered(t, 2*len(names))
}

// The authority is asked as often as it wants to be, and what it says holds (RFC 9773).
func TestAuthorityHasACertificateRenewedEarly(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	c := o.has(t, "a.example", "mail.a.example")
	if wait := c.Ask.Sub(o.db.Now()); c.Ask.IsZero() || wait > 24*time.Hour {
		t.Fatalf("asked again at %v", c.Ask)
	}
	asked := 0
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "renewalInfo") {
			asked++
			w.Header().Set("Retry-After", "21600")
			now := time.Now().UTC()
			_, _ = fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q}}`, now.Add(-2*time.Hour).Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339))
			return
		}
		next.ServeHTTP(w, r)
	})
	o.order(t)
	if asked != 0 {
		t.Error("asked too early")
	}
	o.pass(c.Ask.Sub(o.db.Now()))
	o.order(t)
	if asked == 0 {
		t.Fatalf("not asked\n%s", o.log)
	}
	o.ordered(t, 2)
	if again := o.certificate(t, "a.example"); bytes.Equal(again.Chain, c.Chain) {
		t.Error("it was not renewed")
	}
}

// An authority that is down when it is asked changes nothing, and is asked again later.
func TestWhatTheAuthoritySaidLastHoldsWhileItIsDown(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	c := o.has(t, "a.example", "mail.a.example")
	o.ca.Stand(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "down", http.StatusBadGateway)
	})
	o.pass(c.Ask.Sub(o.db.Now()))
	o.order(t)
	now := o.certificate(t, "a.example")
	if !now.Renew.Equal(c.Renew) || !now.Ask.After(o.now) {
		t.Errorf("renew %v, was %v; ask %v", now.Renew, c.Renew, now.Ask)
	}
	asked := o.ca.Asked("dir")
	o.order(t)
	if o.ca.Asked("dir") != asked {
		t.Error("asked again at once")
	}
}

func TestCertificateIsOrderedAnewByHand(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	done, err := o.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	all(t, done, err)
	if c := o.certificate(t, "a.example"); !bytes.Equal(c.Chain, first.Chain) {
		t.Error("what is served changed before there is another")
	}
	o.order(t)
	second := o.has(t, "a.example", "mail.a.example")
	if bytes.Equal(first.Chain, second.Chain) {
		t.Error("no other certificate")
	}
	o.ordered(t, 2)
}

// Another authority cannot know what the first one issued.
func TestCertificateIsRenewedAtAnotherAuthority(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	o.ca = authority.Start(t, authority.Options{Resolver: o.resolver.Addr(), HTTP: o.web.port()})
	o.orders.roots = o.ca.Roots
	o.set(t, "acme_directory", o.ca.URL())
	o.pass(first.Renew.Sub(o.db.Now()) + time.Hour)
	o.order(t)
	if c, row := o.certificate(t, "a.example"), o.row(t, "a.example"); bytes.Equal(c.Chain, first.Chain) || row != nil {
		t.Errorf("not renewed: %+v\n%s", row, o.log)
	}
	o.ordered(t, 1)
}

func TestSelfSignedCertificateIsMadeAnewInTime(t *testing.T) {
	w := newWorld(t)
	if _, err := w.AddDomain(t.Context(), as("user1"), dnsEdit("name", "a.example", "secure", "on")); err != nil {
		t.Fatal(err)
	}
	read := func() (c store.CertificateRow) {
		t.Helper()
		err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			c, _, err = tx.Certificate(ctx, "a.example")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	orders := func() {
		t.Helper()
		if err := w.Orders(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := read()
	w.pass(first.Expire.Sub(w.db.Now()) - 31*24*time.Hour)
	orders()
	if c := read(); !bytes.Equal(c.Chain, first.Chain) {
		t.Error("made anew too early")
	}
	if at, err := w.Due(t.Context()); err != nil || at.Sub(w.now) > 25*time.Hour || at.IsZero() {
		t.Errorf("due at %v, %v", at, err)
	}
	w.pass(25 * time.Hour)
	orders()
	c := read()
	if bytes.Equal(c.Chain, first.Chain) || !bytes.Equal(c.Key, first.Key) || c.Expire.Sub(w.db.Now()) < 700*24*time.Hour {
		t.Errorf("it ends at %v, the same key: %v", c.Expire, bytes.Equal(c.Key, first.Key))
	}
}

// The mail server's own is made anew too while one of an authority is ordered in vain.
func TestSelfSignedCertificateIsMadeAnewWhileAnotherIsOrdered(t *testing.T) {
	o := newOrdering(t)
	if err := o.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("selfsigned"), Renew: true}); err != nil {
		t.Fatal(err)
	}
	o.ca.Stand(authority.Down)
	if err := o.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("letsencrypt")}); err != nil {
		t.Fatal(err)
	}
	first := o.certificate(t, mail.ServerCertificate)
	o.pass(first.Expire.Sub(o.db.Now()) - 29*24*time.Hour)
	o.order(t)
	if c := o.certificate(t, mail.ServerCertificate); bytes.Equal(c.Chain, first.Chain) || c.Source != mail.SelfSigned {
		t.Error("it ends")
	}
	if o.row(t, mail.ServerCertificate) == nil {
		t.Error("the order is gone")
	}
	if at, err := o.Due(t.Context()); err != nil || !at.After(o.now) {
		t.Errorf("due at %v, %v", at, err)
	}
}

// What cannot be made anew is tried again later, by whichever process: it is not woken
// for that without end.
func TestSelfSignedCertificateThatCannotBeMadeAnewIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	key, err := mail.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c, err := mail.SelfSignWith(key, nil, w.tick(), w.tick().Add(time.Hour)) // it has no names
	if err != nil {
		t.Fatal(err)
	}
	c.Name = mail.ServerCertificate
	err = w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.PutCertificate(ctx, store.CertificateRow{Certificate: c, Source: mail.SelfSigned})
	})
	if err != nil {
		t.Fatal(err)
	}
	if at, err := w.Due(t.Context()); err != nil || at.After(w.now) || at.IsZero() {
		t.Errorf("due at %v, %v", at, err)
	}
	if err := w.Orders(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, err := w.Due(t.Context()); err != nil || at.Sub(w.now) < time.Hour {
		t.Errorf("due at %v, %v", at, err)
	}
}

// An order by hand is not filled by what another domain has had all the time.
func TestOrderByHandIsNotFilledByACertificateThatIsNotNewer(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example", "secure_alias", "mail.sub.a.example")
	o.letsencrypt(t, "sub.a.example", "secure_alias", "mail.sub.a.example")
	o.order(t)
	first := o.has(t, "sub.a.example", "mail.sub.a.example")
	o.ordered(t, 1)
	done, err := o.EditSSL(t.Context(), as("user1"), []string{"sub.a.example"}, mail.DomainEdit{}, true)
	all(t, done, err)
	change(t, o.world, as("user1"), "sub.a.example", dnsEdit("ssl_challenge", "http-01"))
	if o.row(t, "sub.a.example") == nil {
		t.Fatal("the order is gone")
	}
	o.order(t)
	if second := o.has(t, "sub.a.example", "mail.sub.a.example"); bytes.Equal(first.Chain, second.Chain) {
		t.Error("it is the same")
	}
	o.ordered(t, 2)
}

// Two domains that want the same names have one order.
func TestDomainsWithTheSameNamesHaveOneOrder(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example", "secure_alias", "mail.sub.a.example")
	o.letsencrypt(t, "sub.a.example", "secure_alias", "mail.sub.a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.sub.a.example")
	second := o.has(t, "sub.a.example", "mail.sub.a.example")
	if !bytes.Equal(first.Chain, second.Chain) || !bytes.Equal(first.Key, second.Key) {
		t.Error("they show two certificates")
	}
	o.ordered(t, 1)
	if n := o.ca.Asked("order-plz"); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// during has something done while the authority is asked for a path first.
func (o *ordering) during(path string, do func()) {
	done := false
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, path) && !done {
			done = true
			do()
		}
		next.ServeHTTP(w, r)
	})
}

func TestNamesThatChangeDuringAnOrder(t *testing.T) {
	for _, path := range []string{"/order-plz", "/chalZ/", "/finalize-order/", "/certZ/"} {
		t.Run(path[1:6], func(t *testing.T) {
			o := newOrdering(t)
			o.letsencrypt(t, "a.example")
			o.during(path, func() {
				if _, err := o.EditDomain(context.Background(), as("user1"), "a.example", dnsEdit("secure_alias", "imap.a.example mail.a.example")); err != nil {
					t.Error(err)
				}
			})
			o.order(t)
			o.pass(2 * time.Hour)
			o.order(t)
			o.has(t, "a.example", "imap.a.example", "mail.a.example")
			o.ordered(t, 2)
		})
	}
}

func TestDomainThatIsDeletedDuringAnOrder(t *testing.T) {
	for _, path := range []string{"/order-plz", "/chalZ/", "/finalize-order/", "/certZ/"} {
		t.Run(path[1:6], func(t *testing.T) {
			o := newOrdering(t)
			o.set(t, "acme_challenge", "dns-01")
			o.letsencrypt(t, "a.example")
			o.during(path, func() {
				done, err := o.DeleteDomains(context.Background(), as("user1"), []string{"a.example"})
				if err != nil || done[0].Err != nil {
					t.Error(done, err)
				}
			})
			o.order(t)
			o.order(t)
			if row, c := o.row(t, "a.example"), o.certificate(t, "a.example"); row != nil || len(c.Chain) > 0 {
				t.Errorf("left: %+v, %s", row, c.Source)
			}
			o.clean(t)
			pending(t, o.world)
			for _, n := range []string{"_acme-challenge.mail.a.example", "mail.a.example"} {
				for _, typ := range []uint16{wire.TypeTXT, wire.TypeA} {
					o.hasRecords(t, n, typ)
				}
			}
			if n := o.ca.Asked("order-plz"); n != 1 {
				t.Errorf("%d orders", n)
			}
		})
	}
}

// Where no panel is, its settings as they were last are enough for what can be done
// without it.
func TestWhatIsDueIsDoneWithoutThePanel(t *testing.T) {
	o := newOrdering(t)
	follow(t, o.world)
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.certificate(t, "a.example")
	at, err := o.Due(t.Context())
	if err != nil || !at.Equal(first.Ask) {
		t.Errorf("due at %v, %v; to be asked at %v", at, err, first.Ask)
	}
	o.pass(70 * 24 * time.Hour)
	m := New(o.db, o.Module.tree, Panel{}, zerolog.New(o.log))
	m.WithoutPanel()
	m.dial, m.orders.roots = o.dial, o.ca.Roots
	if err := m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := o.certificate(t, "a.example"); bytes.Equal(c.Chain, first.Chain) {
		t.Errorf("not renewed\n%s", o.log)
	}
	o.ordered(t, 2)
	o.clean(t)
}

// What only the panel can do is no failure while it is not there: it is done when it is.
func TestOrderThatNeedsThePanelWaitsForIt(t *testing.T) {
	o := newOrdering(t)
	follow(t, o.world)
	o.set(t, "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example")
	m := New(o.db, o.Module.tree, Panel{}, zerolog.New(o.log))
	m.WithoutPanel()
	m.dial, m.orders.roots = o.dial, o.ca.Roots
	for range 3 {
		o.pass(2 * awayRest)
		if err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		row := o.row(t, "a.example")
		if row == nil || row.Failures != 0 || row.Kind != "" || row.Due.Sub(o.now) > awayRest || !row.Due.After(o.now) {
			t.Fatalf("%+v", row)
		}
	}
	o.pass(awayRest)
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	o.ordered(t, 1)
}

// A module ends, and says when it wants to be called: at the first thing that is due.
func TestPanelIsToldWhenSomethingIsDue(t *testing.T) {
	o := newOrdering(t)
	var told []time.Time
	o.panel.Wake = func(_ context.Context, at time.Time) { told = append(told, at) }
	leave := func() time.Time {
		t.Helper()
		if err := o.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		return told[len(told)-1]
	}
	if at := leave(); !at.IsZero() {
		t.Errorf("nothing is due, and it wants to be called at %v", at)
	}
	o.letsencrypt(t, "a.example")
	if at := leave(); at.IsZero() || at.After(o.now) {
		t.Errorf("an order is due, and it wants to be called at %v", at)
	}
	o.order(t)
	c := o.certificate(t, "a.example")
	if at := leave(); !at.Equal(c.Ask) {
		t.Errorf("called at %v, want %v", at, c.Ask)
	}
	group(t, o.DeleteDomains, as("user1"), "a.example")
	if at := leave(); at.Sub(o.now) < 6*24*time.Hour || at.Sub(o.now) > 8*24*time.Hour {
		t.Errorf("what was deleted is kept for a week, and it wants to be called at %v", at)
	}
	o.pass(8 * 24 * time.Hour)
	if err := o.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := leave(); !at.IsZero() {
		t.Errorf("everything is done, and it wants to be called at %v", at)
	}
}

// A module that was called a moment ago may see that an order is due before the panel
// has registered: that is no failure.
func TestOrderWaitsForThePanelToConnect(t *testing.T) {
	o := newOrdering(t)
	o.set(t, "acme_challenge", "http-01")
	follow(t, o.world)
	o.letsencrypt(t, "a.example")
	take := o.panel.HTTP01
	o.people.fault = errNoPanel
	o.panel.HTTP01 = func(context.Context, bool, string, string) error { return errNoPanel }
	o.order(t)
	row := o.row(t, "a.example")
	if row == nil || row.Failures != 0 || row.Kind != "" || row.Due.Sub(o.now) > awayRest || !row.Due.After(o.now) {
		t.Fatalf("%+v", row)
	}
	o.people.fault, o.panel.HTTP01 = nil, take
	o.pass(awayRest)
	o.order(t)
	o.has(t, "a.example", "mail.a.example")
	o.ordered(t, 1)
}
