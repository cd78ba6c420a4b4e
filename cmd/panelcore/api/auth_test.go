package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
)

// login opens a session and returns its id and level.
func login(t *testing.T, p *paneltest.Panel, user string) (id, level string) {
	t.Helper()
	return sessionOf(t, p.Call(t, "func", "auth", "out", "json", "username", user, "password", paneltest.Password))
}

func sessionOf(t *testing.T, answer string) (id, level string) {
	t.Helper()
	var a struct {
		Doc struct {
			Auth struct {
				ID    string `json:"$id"`
				Level string `json:"$level"`
			}
		}
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Doc.Auth.ID == "" {
		t.Fatalf("no session: %v: %s", err, answer)
	}
	return a.Doc.Auth.ID, a.Doc.Auth.Level
}

// who calls thing.session with credentials and returns user, su_by and level, or
// the error.
func who(t *testing.T, p *paneltest.Panel, pairs ...string) string {
	t.Helper()
	got := p.Call(t, append([]string{"func", "thing.session", "out", "text"}, pairs...)...)
	if strings.HasPrefix(got, "ERROR ") {
		e, _, _ := strings.Cut(strings.TrimPrefix(got, "ERROR "), ":")
		return e
	}
	value := map[string]string{}
	for line := range strings.Lines(got) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		value[name] = v
	}
	return value["user"] + " " + value["su_by"] + " " + value["level"]
}

func TestSession(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id, level := login(t, p, "reseller1")
	if len(id) < 26 || level != "reseller" {
		t.Errorf("id %s, level %s", id, level)
	}
	if other, _ := login(t, p, "reseller1"); other == id {
		t.Error("two sessions have one id")
	}
	if got := who(t, p, "auth", id); got != "reseller1  reseller" {
		t.Error(got)
	}
	for _, bad := range []string{"x", id[:len(id)-1], id + "A", strings.ToLower(id)} {
		if got := who(t, p, "auth", bad); got != "auth(session)" {
			t.Errorf("session %s: %s", bad, got)
		}
	}
	if got := p.Call(t, "auth", id, "func", "logoff", "out", "text"); got != "OK\n" {
		t.Error(got)
	}
	if got := who(t, p, "auth", id); got != "auth(session)" {
		t.Error("after the end:", got)
	}
}

func TestSessionEndsAnHourAfterItsLastUse(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id, _ := login(t, p, "user1")
	for range 3 {
		p.Clock.Advance(time.Hour - 1)
		if got := who(t, p, "auth", id); got != "user1  user" {
			t.Fatal(got)
		}
	}
	p.Clock.Advance(time.Hour)
	if got := who(t, p, "auth", id); got != "auth(session)" {
		t.Error(got)
	}
}

func TestWrongCredentials(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	if got := p.As(t, "admin", "user.edit", "elid", "user2", "active", "off", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"none", nil, "auth"},
		{"wrong password", []string{"authinfo", "user1:wrong"}, "auth(badpassword)"},
		{"no password", []string{"authinfo", "user1"}, "auth(badpassword)"},
		{"password cut at its colon", []string{"authinfo", "user1:demo"}, "auth(badpassword)"},
		{"unknown user", []string{"authinfo", "nobody:" + paneltest.Password}, "auth(badpassword)"},
		{"other case", []string{"authinfo", "User1:" + paneltest.Password}, "auth(badpassword)"},
		{"inactive user", []string{"authinfo", "user2:" + paneltest.Password}, "auth(badpassword)"},
		{"session as password", []string{"auth", paneltest.Password}, "auth(session)"},
		{"a session beats a password", []string{"auth", "x", "authinfo", "user1:" + paneltest.Password}, "auth(session)"},
		{"user name and password at another function", []string{"username", "user1", "password", paneltest.Password}, "auth"},
	} {
		if got := who(t, p, c.pairs...); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	got := p.Call(t, "func", "auth", "username", "user1", "password", "wrong", "out", "text", "lang", "ru")
	if got != "ERROR auth(badpassword): неверное имя пользователя или пароль\n" {
		t.Error(got)
	}
	if n := p.Count(t, "call"); n != 0 {
		t.Errorf("%d calls reached the module", n)
	}
}

func TestLoginAsAnotherUser(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	if got := p.As(t, "admin", "user.edit", "name", "idle", "parent", "reseller1", "active", "off", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	for _, c := range []struct{ real, as, want string }{
		{"admin", "user3", "user3 admin user"},
		{"admin", "reseller1", "reseller1 admin reseller"},
		{"admin", "admin", "admin  admin"},
		{"admin", "nobody", "missed(su)"},
		{"admin", "idle", "missed(su)"},
		{"reseller1", "user1", "user1 reseller1 user"},
		{"reseller1", "reseller1", "reseller1  reseller"},
		{"reseller1", "user3", "missed(su)"}, // as if there were none
		{"reseller1", "nobody", "missed(su)"},
		{"reseller1", "admin", "missed(su)"},
		{"user1", "user1", "user1  user"},
		{"user1", "user2", "access(su)"},
		{"user1", "nobody", "access(su)"},
	} {
		if got := who(t, p, "authinfo", c.real+":"+paneltest.Password, "su", c.as); got != c.want {
			t.Errorf("%s as %s: got %s, want %s", c.real, c.as, got, c.want)
		}
		got := p.Call(t, "authinfo", c.real+":"+paneltest.Password, "func", "su", "elid", c.as, "out", "json")
		if !strings.Contains(got, `"auth":`) {
			if !strings.Contains(got, `"$type":"`+strings.TrimSuffix(c.want, "(su)")+`"`) {
				t.Errorf("session of %s as %s: %s, want %s", c.real, c.as, got, c.want)
			}
			continue
		}
		id, _ := sessionOf(t, got)
		if got := who(t, p, "auth", id); got != c.want {
			t.Errorf("session of %s as %s: got %s, want %s", c.real, c.as, got, c.want)
		}
	}
}

func TestLoginAsAnotherUserFromSuchASession(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id, _ := sessionOf(t, p.Call(t, "authinfo", "reseller1:"+paneltest.Password, "func", "su", "elid", "user1", "out", "json"))
	for as, want := range map[string]string{
		"user2": "user2 reseller1 user", "reseller1": "reseller1  reseller", "user3": "missed(su)",
	} {
		if got := who(t, p, "auth", id, "su", as); got != want {
			t.Errorf("as %s: got %s, want %s", as, got, want)
		}
	}
	// A right that is taken away ends the session.
	if got := p.As(t, "admin", "user.edit", "elid", "user1", "parent", "admin", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	if got := who(t, p, "auth", id); got != "auth(session)" {
		t.Error("the user has another parent now:", got)
	}
}

func TestAnotherPasswordEndsSessionsAndIsAskedForAtOnce(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id, _ := login(t, p, "user1")
	if got := who(t, p, "authinfo", "user1:"+paneltest.Password); got != "user1  user" {
		t.Fatal(got)
	}
	if got := p.As(t, "admin", "user.edit", "elid", "user1", "passwd", "another password", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	for _, c := range []struct{ name, value, want string }{
		{"auth", id, "auth(session)"},
		{"authinfo", "user1:" + paneltest.Password, "auth(badpassword)"}, // though it was checked within the minute
		{"authinfo", "user1:another password", "user1  user"},
	} {
		if got := who(t, p, c.name, c.value); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func TestUserThatIsDeletedOrDeactivatedIsOut(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for user, change := range map[string][]string{
		"user1": {"user.edit", "elid", "user1", "active", "off", "sok", "ok"},
		"user2": {"user.delete", "elid", "user2"},
	} {
		id, _ := login(t, p, user)
		who(t, p, "authinfo", user+":"+paneltest.Password)
		if got := p.As(t, "admin", change[0], change[1:]...); got != "OK\n" {
			t.Fatal(got)
		}
		if got := who(t, p, "auth", id); got != "auth(session)" {
			t.Errorf("%s: session: %s", user, got)
		}
		if got := who(t, p, "authinfo", user+":"+paneltest.Password); got != "auth(badpassword)" {
			t.Errorf("%s: password: %s", user, got)
		}
	}
}

func TestLevelsOfFunctions(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, c := range []struct{ user, function, want string }{
		{"user1", "thing.quick", "OK"}, {"user1", "thing.sell", "ERROR access(func)"}, {"user1", "thing.admin", "ERROR access(func)"},
		{"reseller1", "thing.quick", "OK"}, {"reseller1", "thing.sell", "OK"}, {"reseller1", "thing.admin", "ERROR access(func)"},
		{"admin", "thing.quick", "OK"}, {"admin", "thing.sell", "OK"}, {"admin", "thing.admin", "OK"},
		{"user1", "user", "ERROR access(func)"}, {"reseller1", "user.edit", "ERROR access(func)"}, {"reseller1", "param", "ERROR access(func)"},
	} {
		if got := p.As(t, c.user, c.function); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %s", c.user, c.function, got)
		}
	}
	// Whose level counts is that of the user the call runs as.
	if got := p.As(t, "admin", "thing.admin", "su", "user1"); !strings.HasPrefix(got, "ERROR access(func)") {
		t.Error(got)
	}
}
