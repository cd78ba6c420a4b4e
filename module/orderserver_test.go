package module

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	"maildomain/module/mail"
)

// The mail server's own certificate is ordered and renewed as a domain's is.
func TestServersOwnCertificateIsOrdered(t *testing.T) {
	o := newOrdering(t)
	o.people.params.ServerIPs = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	if err := o.Prepare(context.Background(), mail.StoredName("mx.host.example")); err != nil {
		t.Fatal(err)
	}
	o.set(t, "acme_challenge", "dns-01")
	if err := o.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("letsencrypt")}); err != nil {
		t.Fatal(err)
	}
	o.order(t)
	first := o.has(t, mail.ServerCertificate, "mx.host.example")
	o.ordered(t, 1)
	o.resolver.Stop() // it remembers the last proof for a minute, and no minute goes by here
	o.resolver.Restart()
	o.pass(first.Renew.Sub(o.db.Now()) + 1)
	o.order(t)
	second := o.certificate(t, mail.ServerCertificate)
	if bytes.Equal(first.Chain, second.Chain) || second.Source != mail.LetsEncrypt {
		t.Errorf("not renewed\n%s", o.log)
	}
	o.ordered(t, 2)
}

// A server that got another name gets a certificate for that: it replaces none.
func TestServersOwnCertificateIsOrderedForItsNewName(t *testing.T) {
	o := newOrdering(t)
	o.people.params.ServerIPs = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	if err := o.Prepare(context.Background(), mail.StoredName("mx.host.example")); err != nil {
		t.Fatal(err)
	}
	o.set(t, "acme_challenge", "dns-01")
	for i, host := range []string{"mx.host.example", "new.host.example"} {
		o.set(t, "mail_host", host)
		if err := o.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("letsencrypt")}); err != nil {
			t.Fatal(err)
		}
		o.order(t)
		o.has(t, mail.ServerCertificate, host)
		o.ordered(t, i+1)
	}
}
