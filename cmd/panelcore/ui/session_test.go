package ui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
)

// firstCookie is the session's cookie as a login sets it.
func firstCookie(t *testing.T, p *paneltest.Panel, header http.Header) *http.Cookie {
	t.Helper()
	h := newPerson(t, p)
	h.header = header
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got := h.post("/login", "username", "user1", "password", paneltest.Password)
	for _, c := range (&http.Response{Header: got.header}).Cookies() {
		if strings.HasSuffix(c.Name, "panel") {
			return c
		}
	}
	t.Fatalf("no cookie: %d %s", got.status, got.body)
	return nil
}

func TestSessionCookieIsOutOfReach(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	c := firstCookie(t, p, http.Header{})
	if c.Name != "panel" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || c.MaxAge != 0 {
		t.Errorf("over HTTP: %+v", c)
	}
	c = firstCookie(t, p, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}})
	if c.Name != "__Host-panel" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("over TLS, at the proxy: %+v", c)
	}
}

func TestEveryPageIsGuarded(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	for _, path := range []string{"/login", "/f/shelf", "/f/nosuch", "/other", "/assets/app.js", "/assets/none"} {
		got := h.get(path)
		policy := got.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: no %s in %q", path, directive, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s: %q", path, name, got.header.Get(name))
			}
		}
		if !strings.HasPrefix(path, "/assets/") {
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: may be kept: %q", path, got.header.Get("Cache-Control"))
			}
			lacks(t, path, got.body, "style=", "<style", "onclick", "onload", "javascript:", "http://", "https://")
		}
	}
}

func TestWithoutASessionThereIsOnlyTheLogin(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := newPerson(t, p)
	for _, path := range []string{"/", "/f/shelf", "/f/shelf.edit?elid=1", "/progress?_id=x"} {
		if got := h.get(path); !strings.HasPrefix(got.path, "/login") {
			t.Errorf("%s: %s", path, got.path)
		}
	}
	for _, path := range []string{"/f/shelf.delete", "/logout", "/return"} {
		if got := h.post(path, "elid", "1"); !strings.HasPrefix(got.path, "/login") || p.Count(t, "call shelf.delete") != 0 {
			t.Errorf("%s: %s", path, got.path)
		}
	}
	// After the login the page that was wanted is shown, if it is one of the panel's.
	for next, want := range map[string]string{"/f/shelf?p_num=2": "/f/shelf?p_num=2", "//evil.example": "/f/shelf", "https://evil.example": "/f/shelf", `/\evil.example`: "/f/shelf"} {
		if got := newPerson(t, p).post("/login", "username", "user1", "password", paneltest.Password, "_next", next); got.path != want {
			t.Errorf("after a login for %s: %s, want %s", next, got.path, want)
		}
	}
}

func TestForgedRequestsDoNothing(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	other := logIn(t, p, "user1")
	for what, pairs := range map[string][]string{
		"no token":                        nil,
		"an empty token":                  {"_csrf", ""},
		"the token of another session":    {"_csrf", other.token()},
		"a token in the address, no form": {},
	} {
		path := "/f/shelf.delete"
		if strings.Contains(what, "address") {
			path += "?_csrf=" + h.token()
		}
		if got := h.post(path, append(pairs, "elid", "1")...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", what, got.status)
		}
	}
	right := h.token()
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		h.header = http.Header{name: {value}}
		if got := h.post("/f/shelf.delete", "_csrf", right, "elid", "1"); got.status != http.StatusForbidden {
			t.Errorf("%s %s: %d", name, value, got.status)
		}
		if got := h.post("/login", "username", "user2", "password", paneltest.Password); got.status != http.StatusForbidden {
			t.Errorf("login with %s %s: %d", name, value, got.status)
		}
	}
	if n := p.Count(t, "call shelf.delete"); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestSessionEnds(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	p.Clock.Advance(59 * time.Minute)
	if got := h.get("/f/shelf"); got.path != "/f/shelf" {
		t.Error("ended while it was used:", got.path)
	}
	p.Clock.Advance(time.Hour)
	if got := h.get("/f/shelf"); !strings.HasPrefix(got.path, "/login") {
		t.Error("not ended after an hour:", got.path)
	}
	h = logIn(t, p, "user1")
	id := h.session().Value
	if got := h.send("/logout"); !strings.HasPrefix(got.path, "/login") || h.session() != nil {
		t.Error("not logged out:", got.path)
	}
	if got := p.Call(t, "out", "text", "func", "shelf", "auth", id); !strings.HasPrefix(got, "ERROR auth(session)") {
		t.Error("the session lives:", got)
	}
	// A request of a script on the page is told to load the login, not given its text.
	h.header = http.Header{"Hx-Request": {"true"}}
	if got := h.get("/f/shelf"); !strings.HasPrefix(got.header.Get("HX-Redirect"), "/login") || got.body != "" {
		t.Errorf("%v %s", got.header, got.body)
	}
}

func TestGuessingIsBounded(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	try := func(address, user, password string) int {
		t.Helper()
		h := newPerson(t, p)
		h.header = http.Header{"X-Forwarded-For": {address}}
		return h.post("/login", "username", user, "password", password).status
	}
	const home = "192.0.2.200"
	if got := try(home, "user1", paneltest.Password); got != http.StatusOK {
		t.Fatal(got)
	}
	// Ten wrong ones for a name, from wherever.
	for i := range 10 {
		if got := try("192.0.2."+string(rune('1'+i%9)), "user1", "wrong"); got != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	if got := try("192.0.2.100", "user1", paneltest.Password); got != http.StatusTooManyRequests {
		t.Error("the eleventh guess was looked at:", got)
	}
	if got := try(home, "user1", paneltest.Password); got != http.StatusOK {
		t.Error("the user is locked out where they have logged in before:", got)
	}
	if got := try("192.0.2.100", "user2", paneltest.Password); got != http.StatusOK {
		t.Error("another user is locked out:", got)
	}
	// Thirty from an address, for whatever names; scripts are no way round.
	for i := range 30 {
		try("192.0.2.77", "nobody"+string(rune('a'+i)), "wrong")
	}
	if got := try("192.0.2.77", "user3", paneltest.Password); got != http.StatusTooManyRequests {
		t.Error("guesses from one address go on:", got)
	}
	body, _ := p.Do(t, paneltest.Form("out", "text", "func", "shelf", "authinfo", "user3:"+paneltest.Password), http.Header{"X-Forwarded-For": {"192.0.2.77"}})
	if !strings.HasPrefix(body, "ERROR auth(attempts)") {
		t.Error("a script guesses on:", body)
	}
	p.Clock.Advance(10 * time.Minute)
	for _, address := range []string{"192.0.2.100", "192.0.2.77"} {
		if got := try(address, "user1", paneltest.Password); got != http.StatusOK {
			t.Error("locked out for longer than ten minutes:", got)
		}
	}
}

func TestLogInAsAnotherAndBack(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "reseller1")
	h.send("/f/shelf.filter", "_narrow", "1", "f_colour", "red", "_list", "shelf")
	before := h.session().Value
	got := h.send("/f/su", "elid", "user1", "_list", "user")
	contains(t, "as user1", got.body, "You work as <b>user1</b>", "logged in as reseller1", "Return to reseller1")
	if h.session().Value == before {
		t.Error("the session has the same id though it is another's")
	}
	if got := p.Call(t, "out", "text", "func", "shelf", "auth", before); !strings.HasPrefix(got, "ERROR auth(session)") {
		t.Error("the session before lives on")
	}
	if got := h.get("/f/user"); got.status != http.StatusForbidden {
		t.Error("a user sees what a reseller sees:", got.status)
	}
	got = h.send("/return")
	lacks(t, "back", got.body, "You work as")
	contains(t, "back", h.get("/f/user").body, "user2")
	contains(t, "the filter is kept", h.get("/f/shelf").body, "Colour: <b>red</b>")
	if got := h.send("/f/su", "elid", "admin", "_list", "user"); !strings.Contains(got.body, "There is no such user") {
		t.Error("a reseller becomes an administrator:", got.body)
	}
}

// TestLogSaysWhoDidWhat: a line a call, as for scripts, and no value of a parameter.
func TestLogSaysWhoDidWhat(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "reseller1")
	h.send("/f/su", "elid", "user1")
	h.send("/f/shelf.edit", "name", "visible-nowhere", "kind", "wood", "colour", "red", "secret", "hunter2hunter2")
	newPerson(t, p).post("/login", "username", "user1", "password", "hunter2hunter2")
	log := p.Log.String()
	for _, line := range []string{
		`"func":"auth","user":"reseller1","remote":"127.0.0.1","result":"auth"`, `"func":"shelf.edit","user":"user1","su_by":"reseller1","remote":"127.0.0.1","result":"ok"`, `"message":"login refused"`,
	} {
		contains(t, "log", log, line)
	}
	lacks(t, "log", log, "hunter2", "visible-nowhere", paneltest.Password)
}
