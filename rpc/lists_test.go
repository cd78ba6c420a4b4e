package rpc

import (
	"strings"
	"testing"

	"maildomain/module"
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

// The list of domains leads to each domain's own lists, for whoever owns it, and what is
// made there is the domain's.
func TestListOfDomainsLeadsToTheirOwnLists(t *testing.T) {
	buttons := map[string]string{}
	for _, m := range metadata(t).Metadata {
		if m.Name != "emaildomain" {
			continue
		}
		for _, b := range m.Btns {
			buttons[b.Name] = b.Func
		}
	}
	for _, list := range []string{"whitelist", "blacklist"} {
		if buttons[list] != list {
			t.Errorf("the button %s calls %q", list, buttons[list])
		}
	}
	m := table(t)
	for _, d := range []string{"a.example", "b.example"} {
		m.must(t, "emaildomain.edit", "name", d, "sok", "ok")
	}
	for _, list := range []string{"whitelist", "blacklist"} {
		sender := list + "@x.example"
		if f := m.form(t, "user", "en", list+".edit", "plid", "a.example"); f.Values["domainname"] != "a.example" {
			t.Errorf("the form of a new entry: %v", f.Values)
		}
		if _, err := m.ask("user", "en", list+".edit", "plid", "a.example", "sender", sender, "sok", "ok"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.ask("user", "en", list+".edit", "elid", "a.example|"+sender, "plid", "a.example", "note", "changed", "sok", "ok"); err != nil {
			t.Fatal(err)
		}
		for domain, want := range map[string]int64{"a.example": 1, "b.example": 0} {
			for _, by := range []string{"elid", "plid"} {
				r, err := m.ask("user", "en", list, by, domain)
				if l, ok := r.(wire.List); err != nil || !ok || l.PElems != want || want > 0 && (l.Elems[0]["sender"] != sender || l.Elems[0]["note"] != "changed") {
					t.Errorf("%s of %s: %+v, %v", list, domain, r, err)
				}
			}
		}
		if _, err := m.ask("user", "en", list+".delete", "plid", "a.example", "elid", "a.example|"+sender); err != nil {
			t.Error(err)
		}
		if _, err := m.ask("user", "en", list+".edit", "sender", sender, "sok", "ok"); err == nil {
			t.Error("a user adds to the list of the server")
		}
	}
}

// The form of the settings says of each filter whether it answers, in the language of the
// session.
func TestSettingsSayWhichFilterAnswers(t *testing.T) {
	m := table(t)
	for _, set := range [][]string{{"clamd", "127.0.0.1:1"}, {"spamd", "off"}, {"postgrey", "off"}} {
		if _, err := m.ask("admin", "en", "mailparam", set[0], set[1], "sok", "ok"); err != nil {
			t.Fatal(err)
		}
	}
	states := map[string]bool{}
	for _, asked := range []bool{false, true} {
		if asked { // nobody listens there
			if err := m.module.AskFilters(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, lang := range []string{"en", "ru"} {
			f := m.form(t, "admin", lang, "mailparam")
			states[f.Values["clamd_state"]] = true
			if f.Values["clamd_state"] == "" || f.Values["spamd_state"] == "" || f.Values["spamd_state"] != f.Values["postgrey_state"] || f.Values["spamd_state"] == f.Values["clamd_state"] {
				t.Errorf("%s, asked %v: %v", lang, asked, f.Values)
			}
		}
	}
	if len(states) != 4 {
		t.Errorf("what is said of clamd: %v", states)
	}
	for _, lang := range []string{"en", "ru"} {
		for _, name := range []string{"clamd", "spamd", "postgrey"} {
			if text, ok := message(lang, "emaildomain", "note_filter_"+name); !ok || !strings.Contains(text, name) {
				t.Errorf("%s: the note says %q of %s", lang, text, name)
			}
			for _, s := range []module.FilterState{module.FilterOff, module.FilterUnasked, module.FilterAnswers, module.FilterDown, module.FilterSlow, module.FilterNonsense} {
				if _, ok := message(lang, "mailparam", "filter_"+string(s)); !ok {
					t.Errorf("%s: no word for %s", lang, s)
				}
			}
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
