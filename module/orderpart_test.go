package module

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// partly holds that a domain shows a certificate of the authority for these names, and
// that the order for the others stands and says why they wait.
func (o *ordering) partly(t *testing.T, name string, want []string, lacks ...string) store.CertificateRow {
	t.Helper()
	row := o.waits(t, name, "not_here", "acme_reach_nowhere")
	if row.URL != "" || len(row.Key) > 0 || len(row.Part) > 0 {
		t.Errorf("something is begun: %+v", row)
	}
	c := o.certificate(t, name)
	_, chain, err := mail.ParseCertificate(c.Chain, c.Key, time.Now())
	if err != nil {
		t.Fatalf("%v\n%s", err, o.log)
	}
	var lacking []string
	for _, n := range c.Lacks {
		lacking = append(lacking, n.String())
		if at := o.sni(t, n.String()); at != "" {
			t.Errorf("%s is shown that of %s", n, at)
		}
	}
	if slices.Sort(chain.Names); c.Source != mail.LetsEncrypt || !slices.Equal(chain.Names, want) || !slices.Equal(lacking, lacks) {
		t.Errorf("%s for %q, without %q; want %q, without %q", c.Source, chain.Names, lacking, want, lacks)
	}
	for _, n := range want {
		if at := o.sni(t, n); at != name {
			t.Errorf("%s is shown that of %q", n, at)
		}
	}
	return c
}

// Names that cannot be proved wait alone, and the authority is not asked for the same again.
func TestNamesThatCanBeProvedDoNotWaitForTheOthers(t *testing.T) {
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\n")
	o.set(t, "dns", "none")
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example pop.a.example")
	o.order(t)
	first := o.certificate(t, "a.example")
	if row := o.row(t, "a.example"); row == nil || row.Text != "acme_neither" || row.Failures != 1 {
		t.Fatalf("%+v\n%s", row, o.log)
	}
	for range 10 {
		o.pass(24 * time.Hour)
		o.order(t)
	}
	if c := o.certificate(t, "a.example"); !bytes.Equal(c.Chain, first.Chain) {
		t.Error("ordered again for the same names")
	}
	o.ordered(t, 1)
	o.set(t, "acme_challenge", "http-01")
	o.pass(24 * time.Hour)
	o.order(t)
	o.partly(t, "a.example", []string{"mail.a.example"}, "imap.a.example", "pop.a.example")
	o.ordered(t, 1)

	o.edited(t, "a.example", nil, []string{"imap.a.example. 60 IN A 127.0.0.1"})
	o.resolver.Stop() // it remembers for a while that there was none
	o.resolver.Restart()
	o.pass(24 * time.Hour)
	o.order(t)
	o.partly(t, "a.example", []string{"imap.a.example", "mail.a.example"}, "pop.a.example")
	o.ordered(t, 2)

	change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", "mail.a.example imap.a.example"))
	o.has(t, "a.example", "imap.a.example", "mail.a.example")
	o.order(t)
	o.ordered(t, 2)
}

// A name that leads nowhere keeps no good certificate from being renewed.
func TestNameThatLeadsNowhereKeepsNoOtherNameFromBeingRenewed(t *testing.T) {
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\n")
	o.set(t, "dns", "none", "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example")
	o.order(t)
	first := o.has(t, "a.example", "mail.a.example")
	change(t, o.world, as("user1"), "a.example", dnsEdit("secure_alias", "mail.a.example imap.a.example"))
	for o.db.Now().Before(first.Renew.Add(-48 * time.Hour)) {
		o.order(t)
		if c := o.partly(t, "a.example", []string{"mail.a.example"}, "imap.a.example"); !bytes.Equal(c.Chain, first.Chain) {
			t.Fatal("renewed too early")
		}
		o.pass(10 * 24 * time.Hour)
	}
	o.ordered(t, 1)
	o.pass(first.Renew.Sub(o.db.Now()) + 25*time.Hour)
	o.order(t)
	c := o.partly(t, "a.example", []string{"mail.a.example"}, "imap.a.example")
	if bytes.Equal(c.Chain, first.Chain) || !bytes.Equal(c.Key, first.Key) {
		t.Error("not renewed, or with another key")
	}
	o.ordered(t, 2)
	o.order(t)
	o.ordered(t, 2)
}

// A name whose record is lost for a while does not lose its certificate with that: only
// what would end takes the others with it.
func TestNameThatIsLostIsServedUntilTheCertificateEnds(t *testing.T) {
	const imap = "imap.a.example. 60 IN A 127.0.0.1"
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\nimap 60 A 127.0.0.1\n")
	o.set(t, "dns", "none", "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example")
	o.order(t)
	first := o.has(t, "a.example", "imap.a.example", "mail.a.example")
	o.edited(t, "a.example", []string{imap}, nil)
	o.pass(first.Renew.Sub(o.db.Now()) + time.Hour)
	for o.db.Now().Before(first.Expire.Add(-10 * 24 * time.Hour)) {
		o.order(t)
		o.waits(t, "a.example", "not_here", "acme_reach_nowhere")
		o.pass(24 * time.Hour)
	}
	if c := o.certificate(t, "a.example"); !bytes.Equal(c.Chain, first.Chain) || o.sni(t, "imap.a.example") != "a.example" {
		t.Error("the name that was lost is served no more")
	}
	o.ordered(t, 1)
	o.pass(first.Expire.Add(-8 * 24 * time.Hour).Sub(o.db.Now()))
	o.order(t)
	o.partly(t, "a.example", []string{"mail.a.example"}, "imap.a.example")
	o.ordered(t, 2)
}

// An order for some of the names goes on after a crash, and is not made again.
func TestOrderForSomeNamesSurvivesACrash(t *testing.T) {
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\n")
	o.set(t, "dns", "none", "acme_challenge", "http-01")
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example")
	o.crashAt(t, "/finalize-order/", true)
	if row := o.row(t, "a.example"); row == nil || len(row.Part) != 1 || row.URL == "" {
		t.Fatalf("%+v", row)
	}
	o.order(t)
	o.ordered(t, 1)
	c := o.certificate(t, "a.example")
	if c.Source != mail.LetsEncrypt || len(c.Lacks) != 1 || c.Lacks[0].String() != "imap.a.example" {
		t.Errorf("%s without %v\n%s", c.Source, c.Lacks, o.log)
	}
	if row := o.row(t, "a.example"); row == nil || row.URL != "" || len(row.Part) > 0 {
		t.Errorf("%+v", row)
	}
}

// What was begun for all names is given up when one of them is lost before it is proved.
func TestOrderBegunForANameThatIsLostGoesOnWithTheOthers(t *testing.T) {
	o := newOrdering(t, "a.example\nmail A 127.0.0.1\nimap 60 A 127.0.0.1\n")
	o.set(t, "dns", "none", "acme_challenge", "http-01")
	show := o.panel.HTTP01
	o.panel.HTTP01 = func(ctx context.Context, put bool, token, text string) error {
		if put && !strings.HasPrefix(token, "try-") {
			return errors.New("the panel has trouble")
		}
		return show(ctx, put, token, text)
	}
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example")
	o.order(t)
	if row := o.waits(t, "a.example", "not_here", "acme_panel"); row.URL == "" {
		t.Fatalf("nothing is begun: %+v", row)
	}
	o.panel.HTTP01 = show
	o.edited(t, "a.example", []string{"imap.a.example. 60 IN A 127.0.0.1"}, nil)
	o.pass(2 * time.Hour)
	o.order(t)
	o.partly(t, "a.example", []string{"mail.a.example"}, "imap.a.example")
	o.ordered(t, 2)
}

// What an owner brought, and is good for a name that would be lost, does not give way.
func TestGainOfAnOrderForSomeNames(t *testing.T) {
	now := time.Now()
	ns := func(ss ...string) (ns []mail.Name) {
		for _, s := range ss {
			ns = append(ns, mail.StoredName(s))
		}
		return ns
	}
	certificate := func(source mail.SSLName, until time.Time, names ...string) store.CertificateRow {
		c, err := mail.SelfSign(ns(names...), now.Add(-60*24*time.Hour), until)
		if err != nil {
			t.Fatal(err)
		}
		return store.CertificateRow{Certificate: c, Source: source, Renew: until.Add(-30 * 24 * time.Hour)}
	}
	later, ends, over := now.Add(60*24*time.Hour), now.Add(24*time.Hour), now.Add(-time.Hour)
	for what, c := range map[string]struct {
		have store.CertificateRow
		want bool
	}{
		"none yet":                      {store.CertificateRow{}, true},
		"self-signed":                   {certificate(mail.SelfSigned, later, "mail.a.example", "imap.a.example"), true},
		"the same":                      {certificate(mail.LetsEncrypt, later, "mail.a.example"), false},
		"the same, to be renewed":       {certificate(mail.LetsEncrypt, now.Add(20*24*time.Hour), "mail.a.example"), true},
		"good for the lost one":         {certificate(mail.LetsEncrypt, now.Add(20*24*time.Hour), "mail.a.example", "imap.a.example"), false},
		"about to end":                  {certificate(mail.LetsEncrypt, ends, "mail.a.example", "imap.a.example"), true},
		"over":                          {certificate(mail.LetsEncrypt, over, "mail.a.example", "imap.a.example"), true},
		"the owner's, for both":         {certificate("mine", later, "mail.a.example", "imap.a.example"), false},
		"the owner's, for the lost one": {certificate("mine", later, "imap.a.example"), false},
		"put back, to be left alone": {func() store.CertificateRow {
			c := certificate(mail.LetsEncrypt, later, "mail.a.example")
			c.Renew = time.Time{}
			return c
		}(), false},
		"for another name": {certificate(mail.LetsEncrypt, later, "pop.a.example"), true},
	} {
		w := wish{order: store.OrderRow{Names: ns("imap.a.example", "mail.a.example")}, have: c.have}
		if got := w.gains(ns("mail.a.example"), now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
