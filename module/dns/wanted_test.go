package dns_test

import (
	"net/netip"
	"sync"
	"testing"

	"maildomain/module/mail"
)

var longKey = sync.OnceValues(func() (mail.DKIMKey, error) { return mail.NewRSAKey(2048) })

func mustName(t *testing.T, s string) mail.Name {
	t.Helper()
	n, err := mail.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wanted is a domain with a key of 2048 bits, whose record needs two strings.
func wanted(t *testing.T, domain string) mail.Publication {
	t.Helper()
	d := mustName(t, domain)
	policy, err := mail.DMARCTemplate("v=DMARC1; p=none; rua=mailto:dmarc@__domain__", d, mail.Address{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := longKey()
	if err != nil {
		t.Fatal(err)
	}
	sel, _ := mail.ParseSelector("dkim")
	return mail.Publication{
		Domain: d, MailHost: mustName(t, "mx."+domain), DMARC: &policy,
		Servers: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Keys:    []mail.PublishedKey{{Selector: sel, Record: k.Record()}},
		Names:   []mail.Name{mustName(t, "mail."+domain)},
	}
}

func wantedRecords(t *testing.T, domain string) []mail.Record {
	t.Helper()
	rs, err := wanted(t, domain).Records()
	if err != nil {
		t.Fatal(err)
	}
	return rs
}
