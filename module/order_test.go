package module

import (
	"bytes"
	"testing"

	wire "github.com/miekg/dns"
)

func TestCertificateIsOrderedOverHTTP(t *testing.T) {
	o := newOrdering(t)
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example")
	before := o.certificate(t, "a.example")
	if row := o.row(t, "a.example"); row == nil || before.Source != "selfsigned" {
		t.Fatalf("%+v, %s", row, before.Source)
	}
	if !o.Ordering(t.Context()) {
		t.Error("the module would end before it has ordered")
	}
	o.order(t)
	c := o.has(t, "a.example", "imap.a.example", "mail.a.example")
	o.ordered(t, 1)
	if !bytes.Equal(c.Key, before.Key) {
		t.Error("the key is another: the servers would see two files change")
	}
	if n := o.counts(t, "mail.a.example", "imap.a.example"); n.Orders != 1 || n.Issued != 1 || n.Failures != 0 || n.Near != 1 || n.Domain.String() != "a.example" {
		t.Errorf("%+v", n)
	}
	if o.Ordering(t.Context()) {
		t.Error("and now it would never end")
	}
	asked := o.ca.Asked("order-plz")
	o.order(t)
	if o.ca.Asked("order-plz") != asked {
		t.Error("ordered again")
	}
}

func TestCertificateIsOrderedByDNS(t *testing.T) {
	o := newOrdering(t)
	o.panel.HTTP01 = nil
	o.letsencrypt(t, "a.example", "secure_alias", "mail.a.example imap.a.example")
	o.order(t)
	o.has(t, "a.example", "imap.a.example", "mail.a.example")
	o.ordered(t, 1)
	for _, n := range []string{"_acme-challenge.mail.a.example", "_acme-challenge.imap.a.example"} {
		o.hasRecords(t, n, wire.TypeTXT)
	}
	for _, r := range recordRows(t, o.world, "a.example") {
		if r.Why == "acme" {
			t.Errorf("left: %+v", r)
		}
	}
}
