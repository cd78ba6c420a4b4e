package rpc

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/rpc/wire"
)

// table is the table over a module of its own; user1 is reseller1's.
func table(t *testing.T) *Methods { return tableWith(t, func(*module.Panel) {}) }

// tableWith is table with a panel that is otherwise than that.
func tableWith(t *testing.T, otherwise func(*module.Panel)) *Methods {
	t.Helper()
	dir := t.TempDir()
	tree, err := files.OpenTree(dir, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(dir, files.Debian.State, "maildomain.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	user := mail.User{Name: "user1", Level: mail.LevelUser, Parent: "reseller1", Active: true}
	panel := module.Panel{
		User:    func(_ context.Context, name string) (mail.User, bool, error) { return user, name == user.Name, nil },
		UsersOf: func(context.Context, string) ([]mail.User, error) { return []mail.User{user}, nil },
		Params:  func(context.Context) (mail.Params, error) { return mail.Params{MailHost: "mx.host.example"}, nil },
	}
	otherwise(&panel)
	return NewMethods(module.New(db, tree, panel, zerolog.Nop()))
}

// ask calls a function as a level in a language; parameters are name, value, …
func (m *Methods) ask(level, lang, function string, pairs ...string) (any, error) {
	p := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i]] = pairs[i+1]
	}
	user := map[string]string{"user": "user1", "reseller": "reseller1", "admin": "admin"}[level]
	return m.Call(context.Background(), wire.Call{Func: function, Params: p, Session: wire.Session{User: user, Level: level, Lang: lang}})
}

func (m *Methods) must(t *testing.T, function string, pairs ...string) any {
	t.Helper()
	r, err := m.ask("user", "en", function, pairs...)
	if err != nil {
		t.Fatalf("%s %q: %v", function, pairs, err)
	}
	return r
}

func (m *Methods) form(t *testing.T, level, lang, function string, pairs ...string) wire.Form {
	t.Helper()
	r, err := m.ask(level, lang, function, pairs...)
	f, ok := r.(wire.Form)
	if err != nil || !ok {
		t.Fatalf("%s as %s %q: %#v, %v", function, level, pairs, r, err)
	}
	return f
}

func aMailbox(t *testing.T, m *Methods) {
	t.Helper()
	m.must(t, "emaildomain.edit", "name", "пример.example", "sok", "ok")
	m.must(t, "email.edit", "plid", "пример.example", "name", "info", "passwd", "correct horse", "confirm", "correct horse",
		"maxsize", "7", "aliases", "sales", "forward", "a@b.example", "note", "ж", "limit_ssl", "", "nonsense", "x", "sok", "ok")
}

func TestFormOfAMailboxOpensForEveryone(t *testing.T) {
	m := table(t)
	aMailbox(t, m)
	for _, level := range []string{"user", "reseller", "admin"} {
		for _, lang := range []string{"en", "ru", "xx"} {
			f := m.form(t, level, lang, "email.edit", "elid", "info@Пример.example")
			want := map[string]string{
				"name": "info", "domainname": "пример.example", "active": "on", "maxsize": "7", "aliases": "sales", "forward": "a@b.example",
				"dontsave": "off", "greylist": "on", "spamassassin": "on", "note": "ж", "passwd": "", "confirm": "",
			}
			if diff := cmp.Diff(want, f.Values); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", level, lang, diff)
			}
			if slices.Contains(f.Hidden, "dontsave") {
				t.Errorf("%s: hidden are %q", level, f.Hidden)
			}
			f = m.form(t, level, lang, "email.edit", "elid", "info@пример.example", "sv_field", "forward", "forward", "", "passwd", "typed", "maxsize", "nonsense")
			if f.Values["forward"] != "" || f.Values["passwd"] != "" || f.Values["maxsize"] != "nonsense" || f.Values["aliases"] != "sales" || !slices.Contains(f.Hidden, "dontsave") {
				t.Errorf("%s, typed: %v, hidden %q", level, f.Values, f.Hidden)
			}
			f = m.form(t, level, lang, "email.edit", "plid", "пример.example")
			if f.Values["domainname"] != "пример.example" || f.Values["name"] != "" || f.Values["aliases"] != "" || f.Values["maxsize"] != "0" {
				t.Errorf("%s, a new one: %v", level, f.Values)
			}
			if _, has := f.Values["active"]; has {
				t.Errorf("%s: a new one is active already", level)
			}
			f = m.form(t, level, lang, "email.edit")
			if f.Values["domainname"] != "" {
				t.Errorf("%s, of no domain yet: %v", level, f.Values)
			}
		}
	}
}

func TestChangeOfAMailboxChangesOnlyWhatWasSent(t *testing.T) {
	m := table(t)
	aMailbox(t, m)
	open := func() map[string]string {
		t.Helper()
		return m.form(t, "user", "en", "email.edit", "elid", "info@пример.example").Values
	}
	want := open()
	for _, c := range [][2]string{{"maxsize", "9"}, {"aliases", "sales help"}, {"note", ""}, {"forward", "c@d.example"}, {"dontsave", "on"}, {"greylist", "off"}, {"nonsense", "x"}, {"active", "off"}} {
		m.must(t, "email.edit", "elid", "info@пример.example", c[0], c[1], "sok", "ok")
		if c[0] != "nonsense" && c[0] != "active" { // suspend is a call of its own
			want[c[0]] = c[1]
		}
		if c[0] == "aliases" {
			want["aliases"] = "help sales"
		}
		if diff := cmp.Diff(want, open()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c[0], diff)
		}
	}
	_, err := m.ask("user", "en", "email.edit", "elid", "info@пример.example", "dontsave", "yes", "sok", "ok")
	if e, ok := errors.AsType[*mail.Error](err); !ok || e.Field != "dontsave" {
		t.Errorf("a flag that is none: %v", err)
	}
}

func TestListOfMailboxesShowsWhatTheLevelMaySee(t *testing.T) {
	m := table(t)
	aMailbox(t, m)
	for _, level := range []string{"user", "reseller", "admin"} {
		for _, of := range [][]string{nil, {"elid", "пример.example"}, {"plid", "XN--E1AFMKFD.example"}, {"f_name", "INFO@пр"}, {"f_active", "on"}, {"p_sort", "used", "p_order", "desc"}} {
			r, err := m.ask(level, "ru", "email", of...)
			l, ok := r.(wire.List)
			if err != nil || !ok || l.PElems != 1 || len(l.Elems) != 1 {
				t.Fatalf("%s %q: %#v, %v", level, of, r, err)
			}
			row := l.Elems[0]
			if row["name"] != "info@xn--e1afmkfd.example" || row["name_idn"] != "info@пример.example" || row["used"] != "0" || (row["owner"] == "") != (level == "user") {
				t.Errorf("%s: %v", level, row)
			}
			for name, v := range row {
				if strings.HasPrefix(name, "passw") || strings.Contains(v, "argon2") {
					t.Errorf("shown: %s %q", name, v)
				}
			}
		}
	}
	for _, wrong := range [][2]string{{"p_sort", "password"}, {"f_active", "x"}, {"f_name", strings.Repeat("x", 2000)}, {"elid", "none.example"}} {
		if _, err := m.ask("user", "en", "email", wrong[0], wrong[1]); err == nil {
			t.Errorf("%s is no error", wrong[0])
		}
	}
}

func TestListOfTheDeletedOpens(t *testing.T) {
	m := table(t)
	aMailbox(t, m)
	m.must(t, "email.delete", "elid", "info@пример.example")
	m.must(t, "emaildomain.delete", "elid", "пример.example")
	for _, level := range []string{"user", "reseller", "admin"} {
		r, err := m.ask(level, "en", "emaildomain.deleted")
		l, ok := r.(wire.List)
		if err != nil || !ok || l.PElems != 2 || l.PSort != "at" || l.POrder != "desc" || l.Elems[0]["object"] != "xn--e1afmkfd.example" || l.Elems[1]["mailboxes"] != "1" {
			t.Errorf("%s: %#v, %v", level, r, err)
		}
		r, err = m.ask(level, "en", "emaildomain.deleted", "f_name", "info@", "p_sort", "used", "p_cnt", "1")
		l, ok = r.(wire.List)
		if err != nil || !ok || l.PElems != 1 || !slices.Equal(l.Filters, []wire.Filter{{Name: "f_name", Value: "info@"}}) {
			t.Errorf("%s, filtered: %#v, %v", level, r, err)
		}
	}
}

func TestSettingsOfTheModuleAreTheAdministrators(t *testing.T) {
	m := table(t)
	for _, lang := range []string{"en", "ru"} {
		f := m.form(t, "admin", lang, "mailparam")
		if f.Values["keep_deleted"] != "7" {
			t.Errorf("%v", f.Values)
		}
		f = m.form(t, "admin", lang, "mailparam", "sv_field", "keep_deleted", "keep_deleted", "nonsense", "unknown", "x")
		if f.Values["keep_deleted"] != "nonsense" {
			t.Errorf("typed: %v", f.Values)
		}
	}
	before := m.form(t, "admin", "en", "mailparam").Values
	if _, err := m.ask("admin", "en", "mailparam", "keep_deleted", "3", "unknown", "x", "sok", "ok"); err != nil {
		t.Fatal(err)
	}
	before["keep_deleted"] = "3"
	if diff := cmp.Diff(before, m.form(t, "admin", "en", "mailparam").Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, level := range []string{"user", "reseller"} {
		_, err := m.ask(level, "en", "mailparam")
		if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Access {
			t.Errorf("%s: %v", level, err)
		}
	}
}
