package tests

import (
	"strings"
	"testing"
	"unicode"

	"maildomain/tests/world"
)

// hostile are texts that no field may take (never-again: the test alphabet).
var hostile = []string{
	"a\nb", "a\rb", "a\x01b", "a:b", "a|b", "a/b", "a,b", "a;b", "a#b", "a$b", "a{b", "a}b", `a"b`, "a'b", `a\b`, "a`b",
	"a b", "a\tb", "a*b", "a^b", "a!b", "@@", "../..", "${run{id}}", ":include:/etc/passwd", "\xff\xfe", strings.Repeat("a", 64<<10),
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "taken.example", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "back.example", "defaction", "redirdomain", "redirval", "ring.example", "sok", "ok")
	w.Must(t, "user3", "emaildomain.edit", "name", "three.example", "sok", "ok")

	type wrong struct {
		want, user string
		params     []string // beside name=new.example and sok=ok
	}
	cases := []wrong{
		{"value(name)", "user1", []string{"name", ""}},
		{"value(name)", "user1", []string{"name", "example"}},
		{"value(name)", "user1", []string{"name", "192.0.2.1"}},
		{"value(name)", "user1", []string{"name", "co.uk"}},
		{"value(name)", "user1", []string{"name", "mail.panel.example"}},
		{"value(name)", "user1", []string{"name", "sub.three.example"}},
		{"exists(name)", "user1", []string{"name", "taken.example"}},
		{"exists(name)", "user1", []string{"name", "TAKEN.Example."}},
		{"exists(name)", "user2", []string{"name", "taken.example"}},
		{"value(owner)", "admin", []string{"owner", "nobody"}},
		{"value(owner)", "user1", []string{"owner", "user2"}},
		{"value(owner)", "reseller1", []string{"owner", "user3"}},
		{"value(ipsrc)", "user1", []string{"ipsrc", "some"}},
		{"value(ip)", "user1", []string{"ipsrc", "manual"}},
		{"value(ip)", "user1", []string{"ip", "127.0.0.13"}},
		{"value(ip)", "user2", []string{"ip", "127.0.0.12"}},
		{"value(ip)", "user1", []string{"ip", "nonsense"}},
		{"value(defaction)", "user1", []string{"defaction", "bounce"}},
		{"value(redirval)", "user1", []string{"defaction", "redirect"}},
		{"value(redirval)", "user1", []string{"defaction", "redirect", "redirval", "me"}},
		{"value(redirval)", "user1", []string{"defaction", "redirdomain"}},
		{"value(redirval)", "user1", []string{"defaction", "redirdomain", "redirval", "new.example"}},
		{"value(redirval)", "user1", []string{"name", "ring.example", "defaction", "redirdomain", "redirval", "back.example"}},
		{"value(greylist)", "user1", []string{"greylist", "yes"}},
		{"value(spamassassin)", "user1", []string{"spamassassin", "1"}},
		{"value(avcheck)", "user1", []string{"avcheck", "true"}},
		{"value(dkim)", "user1", []string{"dkim", "maybe"}},
		{"value(dkim_selector)", "user1", []string{"dkim_selector", "-x"}},
		{"value(dkim_selector)", "user1", []string{"dkim_selector", strings.Repeat("x", 64)}},
		{"value(dkim_keylen)", "user1", []string{"dkim_keylen", "4096"}},
		{"value(dmarc)", "user1", []string{"dmarc", "oN"}},
		{"value(secure)", "user1", []string{"secure", "ja"}},
		{"limit(ssl)", "user3", []string{"secure", "on"}},
		{"value(secure_alias)", "user1", []string{"secure_alias", "mail.other.example"}},
		{"value(secure_alias)", "user1", []string{"secure_alias", "not_a_name"}},
		{"value(ssl_name)", "user1", []string{"ssl_name", "../x"}},
		{"value(email)", "user1", []string{"email", "nobody"}},
	}
	for _, h := range hostile {
		cases = append(cases,
			wrong{"value(name)", "user1", []string{"name", h}},
			wrong{"value(redirval)", "user1", []string{"defaction", "redirect", "redirval", h + "@example.net"}},
			wrong{"value(redirval)", "user1", []string{"defaction", "redirdomain", "redirval", h + ".example"}},
			wrong{"value(ip)", "user1", []string{"ip", h}},
			wrong{"value(defaction)", "user1", []string{"defaction", h}},
			wrong{"value(dkim_selector)", "user1", []string{"dkim_selector", h + "!"}},
			wrong{"value(ssl_name)", "user1", []string{"ssl_name", h + "!"}},
			wrong{"value(email)", "user1", []string{"email", h + "@example.net"}},
		)
	}
	for _, c := range cases {
		params := append([]string{"name", "new.example", "sok", "ok"}, c.params...)
		en := w.Refused(t, c.want, c.user, "emaildomain.edit", append(params, "lang", "en")...)
		ru := w.Refused(t, c.want, c.user, "emaildomain.edit", append(params, "lang", "ru")...)
		if en.Msg == "" || strings.Contains(en.Msg, "__") {
			t.Errorf("%s %.100q: English says %q", c.want, c.params, en.Msg)
		}
		if !strings.ContainsFunc(ru.Msg, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }) || strings.Contains(ru.Msg, "__") {
			t.Errorf("%s %.100q: Russian says %q", c.want, c.params, ru.Msg)
		}
	}
	if l := w.Must(t, "admin", "emaildomain"); l.Total != 3 {
		t.Errorf("%d domains exist after nothing but refusals, want 3", l.Total)
	}
}

func TestPlanLimitsTheNumberOfDomains(t *testing.T) {
	w := world.Start(t, world.Options{})
	for _, n := range []string{"one.example", "two.example", "three.example"} {
		w.Must(t, "user3", "emaildomain.edit", "name", n, "sok", "ok")
	}
	w.Refused(t, "limit(emaildomains)", "user3", "emaildomain.edit", "name", "four.example", "sok", "ok")
	w.Refused(t, "limit(emaildomains)", "admin", "emaildomain.edit", "name", "four.example", "owner", "user3", "sok", "ok")
	w.Must(t, "user3", "emaildomain.delete", "elid", "two.example")
	w.Must(t, "user3", "emaildomain.edit", "name", "four.example", "sok", "ok")
}
