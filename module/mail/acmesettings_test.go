package mail

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSettingsOfAuthorities(t *testing.T) {
	key := strings.Repeat("A-_9", 11)
	for _, c := range []struct {
		field, value string
		want         string // what Values or Secrets say then
	}{
		{"acme_directory", "", LetsEncryptDirectory},
		{"acme_directory", " https://acme.example.net/dir ", "https://acme.example.net/dir"},
		{"acme_directory", "https://acme.example.net:14000/dir?a=b", "https://acme.example.net:14000/dir?a=b"},
		{"acme_directory", "https://[2001:db8::1]/dir", "https://[2001:db8::1]/dir"},
		{"acme_directory", "https://127.0.0.1:14000/dir", "https://127.0.0.1:14000/dir"},
		{"acme_directory", "https://[::1]:14000/dir", "https://[::1]:14000/dir"},
		{"acme_contact", "", ""},
		{"acme_contact", "Me@Пример.рф", "me@xn--e1afmkfd.xn--p1ai"},
		{"acme_eab_kid", "", ""},
		{"acme_challenge", "auto", "auto"},
		{"acme_challenge", "dns-01", "dns-01"},
		{"acme_webroot", "", ""},
		{"acme_webroot", "/var/www/html", "/var/www/html"},
		{"acme_eab_key", key, ""}, // without a name there is none
	} {
		s := DefaultSettings()
		if err := SettingsEditOf(map[string]string{c.field: c.value}).Apply(&s); err != nil {
			t.Errorf("%s=%q: %v", c.field, c.value, err)
			continue
		}
		got, shown := s.Values()[c.field]
		if c.field == "acme_eab_key" {
			if shown {
				t.Error("the key stands among the values")
			}
			got = s.Secrets()[c.field]
		}
		if got != c.want {
			t.Errorf("%s=%q is kept as %q, want %q", c.field, c.value, got, c.want)
		}
	}
}

func TestSettingsOfAuthoritiesThatAreRefused(t *testing.T) {
	for field, values := range map[string][]string{
		"acme_directory": slices.Concat(hostile, []string{
			"http://acme.example.net/dir", "http://localhost/dir", "http://127.0.0.1:14000/dir", "http://[::1]:14000/dir", "http://127.0.0.1.example.net/", "http://localhost.example.net/", "http://127.0.0.1@example.net/", "https://",
			"https:///dir", "https://me:secret@example.net/", "https://example.net/#a", "https://example.net/#", "ftp://127.0.0.1/", "//example.net/dir",
			"example.net", "https:example.net", "https://example.net:/", "https://example.net:0/", "https://example.net:70000/", "https://example.net:x/",
			"https://[fe80::1%25eth0]/", "https://a b/", "https://пример.рф/", "file:///etc/passwd", "https://example.net/" + strings.Repeat("a", 1024),
		}),
		"acme_contact":   {"me", "me@", "@example.com", "mailto:me@example.com", "a@b.example,c@d.example", "me@example.com\nx"},
		"acme_challenge": {"", "AUTO", "tls-alpn-01", "http-01 "},
		"acme_webroot": {
			"var/www", "./www", "/", "//www", "/var/www/", "/var/../etc", "/var/./www", "/var//www", "/var/www\n", "/var/\x00", "/вар", "/" + strings.Repeat("a", 1024), "~/www",
		},
		"acme_eab_kid": {"a b", "a\nb", "ключ", strings.Repeat("a", 257)},
	} {
		for _, v := range values {
			if v == "" && field != "acme_challenge" || strings.TrimSpace(v) == "" && field == "acme_directory" {
				continue // the default
			}
			s := DefaultSettings()
			err := SettingsEditOf(map[string]string{field: v}).Apply(&s)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Invalid || e.Field != field || e.Text == "" {
				t.Errorf("%s=%q: %v", field, v, err)
			}
		}
	}
}

func TestNameOfABindingNeedsItsKey(t *testing.T) {
	s := DefaultSettings()
	apply := func(want string, values map[string]string) {
		t.Helper()
		before := s
		err := SettingsEditOf(values).Apply(&s)
		e, _ := errors.AsType[*Error](err)
		if want == "" && err != nil || want != "" && (e == nil || e.Field != want || e.Value != "") {
			t.Errorf("%v: %v, want %q", values, err, want)
		}
		if err != nil {
			s = before
		}
	}
	holds := func(kid, key string) {
		t.Helper()
		if s.ACME.EABKid != kid || s.ACME.EABKey != key {
			t.Errorf("the binding is %q with %q, want %q with %q", s.ACME.EABKid, s.ACME.EABKey, kid, key)
		}
	}
	apply("acme_eab_key", map[string]string{"acme_eab_kid": "kid-1"})
	apply("acme_eab_key", map[string]string{"acme_eab_kid": "kid-1", "acme_eab_key": ""})
	apply("acme_eab_key", map[string]string{"acme_eab_kid": "kid-1", "acme_eab_key": "no+base/64url"})
	apply("acme_eab_key", map[string]string{"acme_eab_kid": "kid-1", "acme_eab_key": "===="})
	holds("", "")
	apply("", map[string]string{"acme_eab_kid": "kid-1", "acme_eab_key": " c2VjcmV0MQ== "})
	holds("kid-1", "c2VjcmV0MQ")
	apply("", map[string]string{"acme_eab_kid": "kid-1", "acme_eab_key": ""})
	holds("kid-1", "c2VjcmV0MQ")
	apply("acme_eab_key", map[string]string{"acme_eab_kid": "kid-2"})
	holds("kid-1", "c2VjcmV0MQ")
	apply("", map[string]string{"acme_eab_kid": "kid-2", "acme_eab_key": "c2VjcmV0Mg"})
	holds("kid-2", "c2VjcmV0Mg")
	back := DefaultSettings()
	kept := s.Values()
	for name, secret := range s.Secrets() {
		kept[name] = secret
	}
	if err := SettingsEditOf(kept).Apply(&back); err != nil || back != s {
		t.Errorf("what is kept comes back as %+v, %v", back, err)
	}
	apply("", map[string]string{"acme_eab_kid": ""})
	holds("", "")
}
