package mail

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var values = cmpopts.EquateComparable(Name{}, Address{}, LocalPart{}, Target{}, Selector{}, netip.Addr{})

// settled is a domain with every setting away from its default.
func settled(t testing.TB) Domain {
	return Domain{
		Name: mustName(t, "shop.example"), Owner: "user1", Active: true, IP: netip.MustParseAddr("192.0.2.1"),
		Defaction: ForwardAll, Redirval: mustTarget(t, ForwardAll, "me@other.example"),
		Greylist: true, Spamassassin: true, Avcheck: true,
		DKIM: true, DKIMSelector: Selector{"s1"}, DKIMKeylen: 1024, DMARC: true,
		Secure: true, SecureAlias: []Name{mustName(t, "imap.shop.example")}, SSLName: LetsEncrypt,
		Email:   Address{LocalPart{"tls"}, mustName(t, "other.example")},
		Created: time.UnixMilli(1), Changed: time.UnixMilli(2),
	}
}

func mustTarget(t testing.TB, a DefaultAction, s string) Target {
	t.Helper()
	to, err := ParseTarget(a, s)
	if err != nil {
		t.Fatalf("ParseTarget(%s, %q): %v", a, s, err)
	}
	return to
}

// facts are an owner of two addresses and no limits.
func facts() Facts {
	return Facts{
		Actor: LevelUser,
		Owner: User{Name: "user1", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}},
	}
}

func noSSL(f Facts) Facts {
	f.Owner.Limits = map[string]int64{"ssl": 0}
	return f
}

// set makes an edit of pairs of parameter and value.
func set(t testing.TB, pairs ...string) DomainEdit {
	t.Helper()
	var e DomainEdit
	v := reflect.ValueOf(&e).Elem()
	for i := 0; i < len(pairs); i += 2 {
		known := false
		for j := range v.NumField() {
			if v.Type().Field(j).Tag.Get("form") != pairs[i] {
				continue
			}
			known = true
			switch to := v.Field(j).Addr().Interface().(type) {
			case *string:
				*to = pairs[i+1]
			case **string:
				*to = &pairs[i+1]
			case **bool:
				on := pairs[i+1] == "on"
				*to = &on
			}
		}
		if !known {
			t.Fatalf("an edit has no field %s", pairs[i])
		}
	}
	return e
}

func TestNewDomainHasTheDefaultsOfTheForm(t *testing.T) {
	d := NewDomain(mustName(t, "пример.рф"), "user1")
	want := map[string]string{
		"name": "xn--e1afmkfd.xn--p1ai", "name_idn": "пример.рф", "owner": "user1", "active": "on", "ipsrc": "auto", "ip": "",
		"defaction": "error", "redirval": "", "greylist": "off", "spamassassin": "off", "avcheck": "off",
		"dkim": "off", "dkim_selector": "dkim", "dkim_keylen": "2048", "dmarc": "off",
		"secure": "off", "secure_alias": "mail.xn--e1afmkfd.xn--p1ai", "ssl_name": "selfsigned", "ssl_challenge": "auto", "email": "admin@xn--e1afmkfd.xn--p1ai", "sendany": "off", "dkim_ed25519": "off",
	}
	if diff := cmp.Diff(want, d.Values()); diff != "" {
		t.Error(diff)
	}
	if err := (DomainEdit{}).Apply(&d, facts()); err != nil {
		t.Errorf("nothing sent: %v", err)
	}
	if diff := cmp.Diff(want, d.Values()); diff != "" {
		t.Errorf("nothing sent, but changed:\n%s", diff)
	}
}

// Every setting that a domain starts with must be one that it could be given.
func TestDefaultsOfTheLongestNameAreNames(t *testing.T) {
	label := strings.Repeat("a", 63)
	d := NewDomain(mustName(t, label+"."+label+"."+label+"."+strings.Repeat("b", 61)), "user1")
	if _, ok := parseAliases(JoinNames(d.SecureAlias)); !ok {
		t.Errorf("the certificate alias %q is no name", d.SecureAlias)
	}
	checkError(t, "DKIM of a name without room for a selector", set(t, "dkim", "on").Apply(&d, facts()), Invalid, "dkim_selector", "value_dkim_selector")
}

func TestSettingsOfTheForm(t *testing.T) {
	fresh := NewDomain(mustName(t, "shop.example"), "user1")
	for _, c := range []struct {
		what  string
		from  *Domain // nil: the settled one
		f     Facts
		send  []string
		want  map[string]string // values that are other than before
		field string            // of the error
		text  string
		kind  Kind
	}{
		{what: "automatic address", send: []string{"ipsrc", "auto"}, want: map[string]string{"ipsrc": "auto", "ip": ""}},
		{what: "automatic address, one chosen", send: []string{"ipsrc", "auto", "ip", "192.0.2.2"}, want: map[string]string{"ipsrc": "auto", "ip": ""}},
		{what: "address auto", send: []string{"ip", "auto"}, want: map[string]string{"ipsrc": "auto", "ip": ""}},
		{what: "address empty", send: []string{"ip", ""}, want: map[string]string{"ipsrc": "auto", "ip": ""}},
		{what: "address alone", send: []string{"ip", "192.0.2.2"}, want: map[string]string{"ip": "192.0.2.2"}},
		{what: "address alone, new domain", from: &fresh, send: []string{"ip", "192.0.2.2"}, want: map[string]string{"ipsrc": "manual", "ip": "192.0.2.2"}},
		{what: "manual address", send: []string{"ipsrc", "manual", "ip", "2001:DB8:0:0::2"}, want: map[string]string{"ip": "2001:db8::2"}},
		{what: "mapped address", send: []string{"ip", "::ffff:192.0.2.2"}, want: map[string]string{"ip": "192.0.2.2"}},
		{what: "manual, and stays", send: []string{"ipsrc", "manual"}, want: map[string]string{}},
		{what: "its own address, which the owner lost", f: Facts{}, send: []string{"ipsrc", "manual", "ip", "192.0.2.1"}, want: map[string]string{}},
		{what: "manual without address", from: &fresh, send: []string{"ipsrc", "manual"}, field: "ip", text: "value_ip_required"},
		{what: "manual with empty address", send: []string{"ipsrc", "manual", "ip", ""}, field: "ip", text: "value_ip_required"},
		{what: "unknown source", send: []string{"ipsrc", "Manual"}, field: "ipsrc", text: "value_ipsrc"},
		{what: "no address", send: []string{"ip", "192.0.2"}, field: "ip", text: "value_ip"},
		{what: "network", send: []string{"ip", "192.0.2.0/24"}, field: "ip", text: "value_ip"},
		{what: "octal", send: []string{"ip", "192.0.02.2"}, field: "ip", text: "value_ip"},
		{what: "zone", send: []string{"ip", "fe80::1%eth0"}, field: "ip", text: "value_ip"},
		{what: "manual and auto", send: []string{"ipsrc", "manual", "ip", "auto"}, field: "ip", text: "value_ip"},
		{what: "another's address", send: []string{"ip", "192.0.2.3"}, field: "ip", text: "value_ip_foreign"},

		{what: "refuse", send: []string{"defaction", "error"}, want: map[string]string{"defaction": "error", "redirval": ""}},
		{what: "ignore, target sent all the same", send: []string{"defaction", "ignore", "redirval", "|/bin/sh"}, want: map[string]string{"defaction": "ignore", "redirval": ""}},
		{what: "forward", from: &fresh, send: []string{"defaction", "redirect", "redirval", "Me@Пример.рф"}, want: map[string]string{"defaction": "redirect", "redirval": "me@xn--e1afmkfd.xn--p1ai"}},
		{what: "forward within", from: &fresh, send: []string{"defaction", "redirect", "redirval", "box@shop.example"}, want: map[string]string{"defaction": "redirect", "redirval": "box@shop.example"}},
		{what: "other address", send: []string{"redirval", "you@other.example"}, want: map[string]string{"redirval": "you@other.example"}},
		{what: "forward again, no address", send: []string{"defaction", "redirect"}, want: map[string]string{}},
		{what: "forward to domain", send: []string{"defaction", "redirdomain", "redirval", "Пример.рф."}, want: map[string]string{"defaction": "redirdomain", "redirval": "xn--e1afmkfd.xn--p1ai"}},
		{what: "forward to domain by its other word", send: []string{"defaction", "domain", "redirval", "other.example"}, want: map[string]string{"defaction": "redirdomain", "redirval": "other.example"}},
		{what: "target of no forward", from: &fresh, send: []string{"redirval", "me@other.example"}, want: map[string]string{}},
		{what: "unknown action", send: []string{"defaction", "discard"}, field: "defaction", text: "value_defaction"},
		{what: "empty action", send: []string{"defaction", ""}, field: "defaction", text: "value_defaction"},
		{what: "forward to nowhere", from: &fresh, send: []string{"defaction", "redirect"}, field: "redirval", text: "value_redirval_required"},
		{what: "forward to empty", send: []string{"redirval", ""}, field: "redirval", text: "value_redirval_required"},
		{what: "another forward, target left out", send: []string{"defaction", "redirdomain"}, field: "redirval", text: "value_redirval_required"},
		{what: "forward to no address", send: []string{"redirval", "other.example"}, field: "redirval", text: "value_redirval_address"},
		{what: "forward to two addresses", send: []string{"redirval", "a@b.example,c@d.example"}, field: "redirval", text: "value_redirval_address"},
		{what: "forward to a program", send: []string{"redirval", "|/bin/sh"}, field: "redirval", text: "value_redirval_address"},
		{what: "forward to no domain", send: []string{"defaction", "redirdomain", "redirval", "a@b.example"}, field: "redirval", text: "value_redirval_domain"},
		{what: "forward to itself", send: []string{"defaction", "redirdomain", "redirval", "SHOP.example."}, field: "redirval", text: "value_redirval_self"},

		{what: "filters off", send: []string{"greylist", "off", "spamassassin", "off", "avcheck", "off"}, want: map[string]string{"greylist": "off", "spamassassin": "off", "avcheck": "off"}},
		{what: "filters on", from: &fresh, send: []string{"greylist", "on", "spamassassin", "on", "avcheck", "on"}, want: map[string]string{"greylist": "on", "spamassassin": "on", "avcheck": "on"}},
		{what: "signing off", send: []string{"dkim", "off", "dmarc", "off"}, want: map[string]string{"dkim": "off", "dmarc": "off"}},
		{what: "signing on", from: &fresh, send: []string{"dkim", "on", "dmarc", "on", "dkim_selector", "S1.Mail", "dkim_keylen", "1024"}, want: map[string]string{"dkim": "on", "dmarc": "on", "dkim_selector": "s1.mail", "dkim_keylen": "1024"}},
		{what: "selector and length empty", send: []string{"dkim_selector", "", "dkim_keylen", ""}, want: map[string]string{}},
		{what: "longer key", send: []string{"dkim_keylen", "2048"}, want: map[string]string{"dkim_keylen": "2048"}},
		{what: "no selector", send: []string{"dkim_selector", "a_b"}, field: "dkim_selector", text: "value_dkim_selector"},
		{what: "no selector, signing off", from: &fresh, send: []string{"dkim_selector", "a b"}, field: "dkim_selector", text: "value_dkim_selector"},
		{what: "odd key length", send: []string{"dkim_keylen", "512"}, field: "dkim_keylen", text: "value_dkim_keylen"},
		{what: "key length with blank", send: []string{"dkim_keylen", " 2048"}, field: "dkim_keylen", text: "value_dkim_keylen"},

		{what: "certificate", from: &fresh, send: []string{"secure", "on", "ssl_name", "letsencrypt", "secure_alias", "imap.shop.example Shop.Example.", "email", "Me@other.example"}, want: map[string]string{"secure": "on", "ssl_name": "letsencrypt", "secure_alias": "imap.shop.example shop.example", "email": "me@other.example"}},
		{what: "certificate of the panel's", send: []string{"ssl_name", "wild_2024.shop-1"}, want: map[string]string{"ssl_name": "wild_2024.shop-1"}},
		{what: "certificate off", send: []string{"secure", "off"}, want: map[string]string{"secure": "off"}},
		{what: "certificate fields empty", send: []string{"secure_alias", "  ", "ssl_name", "", "email", ""}, want: map[string]string{}},
		{what: "certificate beyond the plan", from: &fresh, f: noSSL(facts()), send: []string{"secure", "on"}, field: "ssl", text: "limit_ssl", kind: Limit},
		{what: "certificate that the plan lost stays", f: noSSL(facts()), send: []string{"secure", "on"}, want: map[string]string{}},
		{what: "certificate off beyond the plan", f: noSSL(facts()), send: []string{"secure", "off"}, want: map[string]string{"secure": "off"}},
		{what: "no alias", send: []string{"secure_alias", "imap.shop.example,mail.shop.example"}, field: "secure_alias", text: "value_secure_alias"},
		{what: "wildcard alias", send: []string{"secure_alias", "*.shop.example"}, field: "secure_alias", text: "value_secure_alias"},
		{what: "foreign alias", send: []string{"secure_alias", "imap.shop.example mail.bank.example"}, field: "secure_alias", text: "value_secure_alias_outside"},
		{what: "foreign alias that ends alike", send: []string{"secure_alias", "myshop.example"}, field: "secure_alias", text: "value_secure_alias_outside"},
		{what: "foreign alias by a reseller", f: Facts{Actor: LevelReseller}, send: []string{"secure_alias", "mail.bank.example"}, field: "secure_alias", text: "value_secure_alias_outside"},
		{what: "foreign alias by the administrator", f: Facts{Actor: LevelAdmin}, send: []string{"secure_alias", "mail.host.example"}, want: map[string]string{"secure_alias": "mail.host.example"}},
		{what: "path for a certificate", send: []string{"ssl_name", "../../etc/passwd"}, field: "ssl_name", text: "value_ssl_name"},
		{what: "option for a certificate", send: []string{"ssl_name", "-x"}, field: "ssl_name", text: "value_ssl_name"},
		{what: "line break in a certificate", send: []string{"ssl_name", "x\n"}, field: "ssl_name", text: "value_ssl_name"},
		{what: "long certificate name", send: []string{"ssl_name", strings.Repeat("a", 129)}, field: "ssl_name", text: "value_ssl_name"},
		{what: "no contact", send: []string{"email", "postmaster"}, field: "email", text: "value_email"},

		{what: "two wrong fields: the form's first", send: []string{"email", "x", "ipsrc", "x", "defaction", "x"}, field: "ipsrc", text: "value_ipsrc"},
		{what: "name and owner are the caller's", send: []string{"name", "other.example", "owner", "user2"}, want: map[string]string{}},
	} {
		d := settled(t)
		if c.from != nil {
			d = *c.from
		}
		if c.f.Owner.Name == "" && c.f.Actor == "" && c.what != "its own address, which the owner lost" {
			c.f = facts()
		}
		if c.kind == "" {
			c.kind = Invalid
		}
		before := d.Values()
		err := set(t, c.send...).Apply(&d, c.f)
		checkError(t, c.what, err, c.kind, c.field, c.text)
		if c.text != "" {
			continue
		}
		got := map[string]string{}
		for k, v := range d.Values() {
			if before[k] != v {
				got[k] = v
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s changed (-want +got):\n%s", c.what, diff)
		}
	}
}
