package core_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestUsersAreMadeChangedAndDeleted(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	admin := func(function string, pairs ...string) string { return p.As(t, "admin", function, pairs...) }
	for _, c := range []struct {
		name     string
		function string
		pairs    []string
		want     string
	}{
		{"make", "user.edit", []string{"name", "bob", "parent", "reseller1", "passwd", "long enough", "ips", "127.0.0.12 127.0.0.11", "limit_things", "7", "language", "ru", "sok", "ok"}, "OK\n"},
		{"show", "user.edit", []string{"elid", "bob"}, "name=bob\nlevel=user\nparent=reseller1\npasswd=\nactive=on\nlanguage=ru\nips=\"127.0.0.12 127.0.0.11\"\nlimit_emaildomains=\nlimit_emails=\nlimit_email_quota=\nlimit_ssl=\nuid=65534\ngid=65534\nhome=\nlimit_things=7\n"},
		{"make again", "user.edit", []string{"name", "bob", "sok", "ok"}, "ERROR exists(name)"},
		{"change a little", "user.edit", []string{"elid", "bob", "uid", "1001", "limit_things", "", "sok", "ok"}, "OK\n"},
		{"the rest is as it was", "user.edit", []string{"elid", "bob"}, "name=bob\nlevel=user\nparent=reseller1\npasswd=\nactive=on\nlanguage=ru\nips=\"127.0.0.12 127.0.0.11\"\nlimit_emaildomains=\nlimit_emails=\nlimit_email_quota=\nlimit_ssl=\nuid=1001\ngid=65534\nhome=\n"},
		{"the name stays", "user.edit", []string{"elid", "bob", "name", "rob", "sok", "ok"}, "OK\n"},
		{"no such user", "user.edit", []string{"elid", "rob", "sok", "ok"}, "ERROR missed(elid)"},
		{"bad name", "user.edit", []string{"name", "Bob:x", "sok", "ok"}, "ERROR value(name)"},
		{"no name", "user.edit", []string{"sok", "ok"}, "ERROR value(name)"},
		{"bad level", "user.edit", []string{"name", "x", "level", "god", "sok", "ok"}, "ERROR value(level)"},
		{"bad flag", "user.edit", []string{"name", "x", "active", "maybe", "sok", "ok"}, "ERROR value(active)"},
		{"bad language", "user.edit", []string{"name", "x", "language", "de", "sok", "ok"}, "ERROR value(language)"},
		{"short password", "user.edit", []string{"name", "x", "passwd", "1234567", "sok", "ok"}, "ERROR value(passwd)"},
		{"foreign address", "user.edit", []string{"name", "x", "ips", "192.0.2.1", "sok", "ok"}, "ERROR value(ips)"},
		{"limits of the form", "user.edit", []string{"elid", "bob", "limit_emaildomains", "3", "limit_emails", "-1", "limit_email_quota", "100", "limit_ssl", "0", "sok", "ok"}, "OK\n"},
		{"their values", "user.edit", []string{"elid", "bob"}, "name=bob\nlevel=user\nparent=reseller1\npasswd=\nactive=on\nlanguage=ru\nips=\"127.0.0.12 127.0.0.11\"\nlimit_emaildomains=3\nlimit_emails=\nlimit_email_quota=100\nlimit_ssl=0\nuid=1001\ngid=65534\nhome=\n"},
		{"no limit of them", "user.edit", []string{"elid", "bob", "limit_emaildomains", "", "limit_email_quota", "", "limit_ssl", "", "sok", "ok"}, "OK\n"},
		{"a limit below nothing", "user.edit", []string{"elid", "bob", "limit_ssl", "-2", "sok", "ok"}, "ERROR value(limit_ssl)"},
		{"bad limit", "user.edit", []string{"name", "x", "limit_things", "many", "sok", "ok"}, "ERROR value(limit_things)"},
		{"bad id", "user.edit", []string{"name", "x", "uid", "-1", "sok", "ok"}, "ERROR value(uid)"},
		{"parent is a user", "user.edit", []string{"name", "x", "parent", "user1", "sok", "ok"}, "ERROR value(parent)"},
		{"no such parent", "user.edit", []string{"name", "x", "parent", "nobody", "sok", "ok"}, "ERROR value(parent)"},
		{"reseller below a reseller", "user.edit", []string{"name", "x", "level", "reseller", "parent", "reseller1", "sok", "ok"}, "ERROR value(parent)"},
		{"level of one with users", "user.edit", []string{"elid", "reseller1", "level", "user", "sok", "ok"}, "ERROR value(level)"},
		{"last administrator off", "user.edit", []string{"elid", "admin", "active", "off", "sok", "ok"}, "ERROR value(active)"},
		{"last administrator down", "user.edit", []string{"elid", "admin", "level", "user", "sok", "ok"}, "ERROR value("},
		{"nothing was made", "user.edit", []string{"elid", "x"}, "ERROR missed(elid)"},
		{"delete with users", "user.delete", []string{"elid", "reseller1"}, "ERROR value(elid): reseller1: "},
		{"delete the last administrator", "user.delete", []string{"elid", "admin"}, "ERROR value(elid): admin: "},
		{"delete none", "user.delete", nil, "ERROR missed(elid)"},
		{"delete some", "user.delete", []string{"elid", "bob, nosuch, user3"}, "ERROR missed(elid): nosuch: there is no such user\n"},
		{"they are gone", "user", nil, "name=admin "},
	} {
		got := admin(c.function, c.pairs...)
		if !strings.HasPrefix(got, c.want) || strings.HasSuffix(c.want, "\n") && got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := admin("user"); strings.Contains(got, "bob") || strings.Contains(got, "user3") || strings.Count(got, "\n") != 4 {
		t.Error(got)
	}
}

func TestUserListPages(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	for _, c := range []struct{ count, num, want string }{
		{"2", "1", "admin reseller1"}, {"2", "2", "user1 user2"}, {"2", "3", "user3"}, {"2", "99", "user3"}, {"-1", "x", "admin reseller1 user1 user2 user3"},
	} {
		var names []string
		for line := range strings.Lines(p.As(t, "admin", "user", "p_cnt", c.count, "p_num", c.num)) {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "name="), " ")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("page %s of %s: %s", c.num, c.count, got)
		}
	}
	if got := p.As(t, "reseller1", "user"); strings.Contains(got, "name=admin") || strings.Contains(got, "user3") || !strings.Contains(got, "user2") {
		t.Errorf("a reseller sees %s", got)
	}
}

func TestParametersAreChanged(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	if got := p.As(t, "admin", "param.edit", "server_ips", "127.0.0.11, 127.0.0.13\n::1", "unknown", "x", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	if got := p.As(t, "admin", "param"); !strings.Contains(got, `name=server_ips value="127.0.0.11 127.0.0.13 ::1"`) || strings.Contains(got, "unknown") {
		t.Error(got)
	}
	if got := p.As(t, "admin", "param.edit", "server_ips", "localhost", "sok", "ok"); !strings.HasPrefix(got, "ERROR value(server_ips): ") {
		t.Error(got)
	}
	if got := p.As(t, "admin", "user.edit", "elid", "user1", "ips", "::1", "sok", "ok"); got != "OK\n" {
		t.Error(got)
	}
}

// prepare opens a data directory as the program does at its start.
func prepare(t *testing.T, dir, password string, demo bool) (*core.Core, core.Demo) {
	t.Helper()
	c, err := core.Open(t.Context(), core.Options{Data: dir, Demo: demo, DemoPassword: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d, err := c.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

func TestDemonstrationPassword(t *testing.T) {
	dir := dataDir(t)
	in := func(c *core.Core, password string) bool {
		_, err := c.CheckPassword(t.Context(), "user2", password, "192.0.2.1")
		return err == nil
	}
	c, d := prepare(t, dir, "", true)
	if len(d.Password) < 20 || d.Set || len(d.Users) != 5 || !in(c, d.Password) || in(c, "") {
		t.Errorf("first start: %+v", d)
	}
	c.Close()

	c, again := prepare(t, dir, "", true)
	if again.Password != "" || again.Set || len(again.Users) != 5 || !in(c, d.Password) {
		t.Errorf("second start: %+v", again)
	}
	c.Close()

	c, given := prepare(t, dir, "given", true)
	if given.Password != "" || !given.Set || !in(c, "given") || in(c, d.Password) {
		t.Errorf("start with a password: %+v", given)
	}
	c.Close()

	c, plain := prepare(t, dir, "other", false)
	if plain.Set || in(c, "other") || !in(c, "given") {
		t.Errorf("a password for a panel that is no demonstration: %+v", plain)
	}
}

func TestDemonstrationTouchesNoUsersOfAPanelThatHasSome(t *testing.T) {
	dir := dataDir(t)
	c, d := prepare(t, dir, "", false)
	if d.Password != "" || len(d.Users) != 0 {
		t.Errorf("%+v", d)
	}
	// With no users at all, the control socket makes the first.
	by, err := c.LocalUser("admin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), by, core.Request{Func: "user.edit", Lang: "en", Params: map[string]string{"name": "root", "level": "admin", "sok": "ok"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.LocalUser("admin"); err == nil {
		t.Error("a user that is not there is still let in")
	}
	c.Close()
	c, d = prepare(t, dir, "password", true)
	if d.Set && len(d.Users) > 0 {
		t.Errorf("%+v", d)
	}
	if _, err := c.LocalUser("user1"); err == nil {
		t.Error("demonstration users were made")
	}
}

func TestDatabaseOfANewerCoreIsRefused(t *testing.T) {
	dir := dataDir(t)
	c, _ := prepare(t, dir, "", false)
	c.Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, "panelcore.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := open(t, dir); err == nil || !strings.Contains(err.Error(), "made by a newer panelcore") {
		t.Error(err)
	}
}

func TestDataDirectoryMayHaveAnyName(t *testing.T) {
	dir := filepath.Join(dataDir(t), "a b?c#d%41[e]*:\\")
	if err := os.MkdirAll(filepath.Join(dir, "modules.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.d", "toy.json"), []byte(`{"name": "toy", "socket": "s"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _ := prepare(t, dir, "", false)
	by, err := c.LocalUser("admin")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Call(t.Context(), by, core.Request{Func: "module"}); err != nil || len(a.Elems) != 1 {
		t.Error("the module was not found:", a, err)
	}
	c.Close()
	if _, err := os.Stat(filepath.Join(dir, "panelcore.db")); err != nil {
		t.Error(err)
	}
}

func TestDatabaseIsForTheOwnerOnly(t *testing.T) {
	dir := dataDir(t)
	c, _ := prepare(t, dir, "", true)
	defer c.Close()
	for _, name := range []string{"panelcore.db", "panelcore.db-wal", "panelcore.db-shm"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, fi.Mode())
		}
	}
}
