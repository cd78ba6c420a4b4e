package mail

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestHostileCharactersAreNoPartOfASetting(t *testing.T) {
	good := map[string]string{
		"ipsrc": "manual", "ip": "192.0.2.2", "defaction": "redirect", "redirval": "box@other.example", "dkim_selector": "sel",
		"dkim_keylen": "2048", "secure_alias": "mail.shop.example", "ssl_name": "cert", "email": "box@other.example",
	}
	for field, value := range good {
		for _, h := range hostile {
			for _, s := range append(everywhere(value, h), strings.Repeat(h, 64<<10/len(h))) {
				d := settled(t)
				if err := set(t, field, s).Apply(&d, facts()); err == nil {
					checkStored(t, field, s, d)
				} else if e, ok := err.(*Error); !ok || e.Kind != Invalid || e.Field != field && field != "ipsrc" || e.Value == "" && strings.TrimSpace(s) != "" {
					t.Errorf("%s=%q: %v", field, s, err)
				}
			}
		}
	}
}

// checkStored holds every value of d against the alphabets of their kinds.
func checkStored(t *testing.T, field, sent string, d Domain) {
	t.Helper()
	for k, v := range d.Values() {
		alphabet := safeName + "_@+=:ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		switch k {
		case "name_idn":
			continue
		case "secure_alias":
			alphabet = safeName + " "
		case "redirval", "email":
			alphabet = safeLocal + "@"
		}
		if strings.Trim(v, alphabet) != "" {
			t.Errorf("%s=%q made %s=%q", field, sent, k, v)
		}
	}
}

// What a form shows can be saved again, and changes nothing.
func TestValuesOfADomainApplyToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDomain(drawName(t, "name"), "user1")
		edit := drawEdit(t, d.Name)
		if err := edit.Apply(&d, facts()); err != nil {
			t.Fatalf("%+v: %v", edit.sent(), err)
		}
		v := d.Values()
		again := d
		var e DomainEdit
		e.Owner = nil
		e.IPSrc, e.IP = ptr(v["ipsrc"]), ptr(v["ip"])
		e.Defaction, e.Redirval = ptr(v["defaction"]), ptr(v["redirval"])
		e.DKIMSelector, e.DKIMKeylen = ptr(v["dkim_selector"]), ptr(v["dkim_keylen"])
		e.SecureAlias, e.SSLName, e.Email = ptr(v["secure_alias"]), ptr(v["ssl_name"]), ptr(v["email"])
		e.Greylist, e.Spamassassin, e.Avcheck = ptr(v["greylist"] == "on"), ptr(v["spamassassin"] == "on"), ptr(v["avcheck"] == "on")
		e.DKIM, e.DMARC, e.Secure = ptr(v["dkim"] == "on"), ptr(v["dmarc"] == "on"), ptr(v["secure"] == "on")
		if err := e.Apply(&again, facts()); err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		if diff := cmp.Diff(d, again, values); diff != "" {
			t.Error(diff)
		}
		// A field that is not sent stays as it was.
		part := drawPart(t, edit)
		was := d.Values()
		if err := part.Apply(&again, facts()); err != nil {
			t.Fatalf("%+v over %v: %v", part.sent(), was, err)
		}
		for k, v := range again.Values() {
			_, sent := part.sent()[k]
			if !sent && v != was[k] && k != "ipsrc" {
				t.Errorf("%+v changed %s from %q to %q", part.sent(), k, was[k], v)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

// sent are the parameters that an edit has.
func (e DomainEdit) sent() map[string]any {
	sent := map[string]any{}
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			sent[v.Type().Field(i).Tag.Get("form")] = f.Elem().Interface()
		}
	}
	return sent
}

// drawEdit draws an edit of n that is right in every field.
func drawEdit(t *rapid.T, n Name) DomainEdit {
	word := func(name string, of ...string) *string { return ptr(rapid.SampledFrom(of).Draw(t, name)) }
	flag := func(name string) *bool { return ptr(rapid.Bool().Draw(t, name)) }
	e := DomainEdit{
		IP:        word("ip", "", "auto", "192.0.2.1", "192.0.2.2", "2001:db8::2"),
		Defaction: word("defaction", "error", "ignore", "redirect", "redirdomain", "domain"),
		Greylist:  flag("greylist"), Spamassassin: flag("spamassassin"), Avcheck: flag("avcheck"),
		DKIM: flag("dkim"), DMARC: flag("dmarc"), Secure: flag("secure"),
		DKIMSelector: word("dkim_selector", "", "dkim", "A.b-c"), DKIMKeylen: word("dkim_keylen", "", "1024", "2048"),
		SecureAlias: word("secure_alias", "", n.String(), "IMAP."+n.Unicode()+"  mail."+n.String()),
		SSLName:     word("ssl_name", "", "selfsigned", "letsencrypt", "Cert_1"),
		Email:       word("email", "", "a@b.example", "A+b@Пример.рф"),
	}
	target := "Me@пример.рф"
	if a, _ := parseAction(*e.Defaction); a == ForwardDomain {
		target = "target.example"
	}
	e.Redirval = &target
	return e
}

// drawPart draws an edit with some of the fields of e; action and target stay
// together, for one is wrong without the other.
func drawPart(t *rapid.T, e DomainEdit) DomainEdit {
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("form")
		if name != "name" && name != "redirval" && rapid.Bool().Draw(t, "leave "+name) {
			v.Field(i).SetZero()
		}
	}
	if e.Defaction == nil {
		e.Redirval = nil
	}
	return e
}
