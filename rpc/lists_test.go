package rpc

import (
	"strings"
	"testing"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// listSenders fills the lists of a domain that stands.
func listSenders(t *testing.T, m *Methods) {
	t.Helper()
	m.must(t, "whitelist.edit", "plid", "пример.example", "sender", "friend@x.example, good.example", "note", "ж", "sok", "ok")
	m.must(t, "blacklist.edit", "domainname", "пример.example", "sender", "2001:db8::/32", "limit_ssl", "", "nonsense", "x", "sok", "ok")
}

func TestListsOfSendersShowWhatWasEntered(t *testing.T) {
	m := table(t)
	m.must(t, "emaildomain.edit", "name", "пример.example", "sok", "ok")
	listSenders(t, m)
	for _, lang := range []string{"en", "ru"} {
		r, err := m.ask("user", lang, "whitelist", "f_name", "X.example")
		l, ok := r.(wire.List)
		if err != nil || !ok || l.PElems != 1 || len(l.Elems) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		e := l.Elems[0]
		if e["id"] != "xn--e1afmkfd.example|friend@x.example" || e["sender"] != "friend@x.example" || e["domainname"] != "пример.example" || e["note"] != "ж" || e["kind_text"] == "" {
			t.Errorf("%s: %v", lang, e)
		}
	}
	for _, of := range []string{"", "пример.example"} {
		r, err := m.ask("user", "en", "whitelist", "elid", of, "p_sort", "sender", "p_order", "desc")
		if l, ok := r.(wire.List); err != nil || !ok || l.PElems != 2 || l.Elems[0]["sender"] != "good.example" {
			t.Errorf("of %q: %+v, %v", of, r, err)
		}
	}
	m.must(t, "whitelist.delete", "elid", "xn--e1afmkfd.example|friend@x.example, пример.example|good.example")
	if r, err := m.ask("user", "en", "whitelist"); err != nil || r.(wire.List).PElems != 0 {
		t.Errorf("after deleting: %+v, %v", r, err)
	}
	for _, wrong := range [][]string{{"p_sort", "kind"}, {"f_name", strings.Repeat("x", longestFilter+1)}, {"elid", "nowhere.example"}} {
		if _, err := m.ask("user", "en", "blacklist", wrong...); err == nil {
			t.Errorf("taken: %q", wrong)
		}
	}
}

// A field whose filter is not installed is not offered, and what is sent for it is kept.
func TestFiltersThatAreNotThereAreNotOffered(t *testing.T) {
	at, _ := mail.ParseFilterAddr("127.0.0.1:1")
	for _, c := range []struct {
		f    mail.Filters
		want string
	}{
		{mail.Filters{}, "avcheck greylist spamassassin"},
		{mail.Filters{Postgrey: at}, "avcheck spamassassin"},
		{mail.Filters{Spamd: at, Clamd: at}, "greylist"},
		{mail.Filters{Postgrey: at, Spamd: at, Clamd: at}, ""},
	} {
		if got := strings.Join(notInstalled(c.f), " "); got != c.want {
			t.Errorf("not offered: %q, want %q", got, c.want)
		}
	}
	m := table(t)
	m.must(t, "emaildomain.edit", "name", "a.example", "greylist", "on", "sok", "ok")
	f := m.form(t, "user", "en", "emaildomain.edit", "elid", "a.example")
	if f.Values["greylist"] != "on" || !strings.Contains(strings.Join(f.Hidden, " "), "greylist") {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	if _, err := m.ask("admin", "en", "mailparam", "postgrey", "127.0.0.1:10023", "sok", "ok"); err != nil {
		t.Fatal(err)
	}
	f = m.form(t, "user", "en", "emaildomain.edit", "elid", "a.example")
	if strings.Contains(strings.Join(f.Hidden, " "), "greylist") {
		t.Errorf("hidden %q", f.Hidden)
	}
}
