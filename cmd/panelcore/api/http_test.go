package api_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

func send(t *testing.T, method, address, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestGetAndPostAreOne(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	const form = "application/x-www-form-urlencoded"
	login := url.Values{"authinfo": {"user1:" + paneltest.Password}}.Encode()
	for _, c := range []struct{ method, query, contentType, body string }{
		{"GET", "func=thing.quick&out=text&" + login, "", ""},
		{"POST", "", form, "func=thing.quick&out=text&" + login},
		{"POST", "func=thing.quick&" + login, form + "; charset=utf-8", "out=text"},
		{"POST", "func=thing.quick&out=text&" + login, "", ""},
		{"POST", "func=thing.busy&out=text&" + login, form, "func=thing.quick"}, // the body comes first
	} {
		if resp, got := send(t, c.method, p.URL+"?"+c.query, c.contentType, c.body); resp.StatusCode != 200 || got != "OK\n" {
			t.Errorf("%s %s %s: %s %q", c.method, c.query, c.body, resp.Status, got)
		}
	}
}

func TestWhatIsNoRequest(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, c := range []struct {
		name, method, address, contentType, body string
		want                                     int
	}{
		{"broken escape", "GET", p.URL + "?func=%zz", "", "", 400},
		{"broken escape in a body", "POST", p.URL, "application/x-www-form-urlencoded", "func=%zz", 400},
		{"JSON", "POST", p.URL, "application/json", `{"func":"thing"}`, 400},
		{"upload", "POST", p.URL, "multipart/form-data; boundary=x", "--x--", 400},
		{"too long", "POST", p.URL, "application/x-www-form-urlencoded", "a=" + strings.Repeat("x", 1<<20), 413},
		{"PUT", "PUT", p.URL, "", "", 405},
		{"another path", "GET", strings.TrimSuffix(p.URL, "ispmgr") + "other", "", "", 404},
	} {
		resp, body := send(t, c.method, c.address, c.contentType, c.body)
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s %s", c.name, resp.Status, body)
		}
	}
}

func TestUnknownFormIsAnErrorInXML(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	got := p.Call(t, "func", "thing", "out", "yaml")
	if !strings.Contains(got, `<error type="value" object="out" `) || !strings.Contains(got, `<param name="value">yaml</param>`) {
		t.Error(got)
	}
}

func TestHeadersOfAnAnswer(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	resp, _ := send(t, "GET", p.URL+"?func=thing", "", "")
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Panel-Result": "error",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(resp.Header["Set-Cookie"]) != 0 {
		t.Error("a cookie is set")
	}
}

func TestLanguageOfTexts(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	if got := p.As(t, "admin", "user.edit", "elid", "user1", "language", "ru", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	const en, ru = "ERROR value(name): the name __value__ is not good\n", "ERROR value(name): имя __value__ не годится\n"
	for _, c := range []struct{ user, lang, su, want string }{
		{"user1", "", "", ru}, {"user1", "en", "", en}, {"user1", "de", "", ru}, {"user2", "", "", en}, {"user2", "ru", "", ru},
		{"admin", "", "user1", en}, // who reads it is the administrator
	} {
		pairs := []string{"sok", "ok"}
		if c.lang != "" {
			pairs = append(pairs, "lang", c.lang)
		}
		if c.su != "" {
			pairs = append(pairs, "su", c.su)
		}
		if got := p.As(t, c.user, "thing.edit", pairs...); got != c.want {
			t.Errorf("%s %s %s: %s", c.user, c.lang, c.su, got)
		}
	}
}

// TestLogHoldsNoSecrets: whatever a client sends, in whatever way, its values are
// not in the log and its secrets not in the answer.
func TestLogHoldsNoSecrets(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id, _ := login(t, p, "user1")
	answers := id // the one place where it may stand
	for _, query := range []url.Values{
		paneltest.Form("func", "thing", "authinfo", "user1:"+paneltest.Password),
		paneltest.Form("func", "thing", "authinfo", "user1:SECRET"),
		paneltest.Form("func", "auth", "username", "user1", "password", "SECRET"),
		paneltest.Form("func", "thing", "auth", id),
		paneltest.Form("func", "thing.edit", "auth", id, "pin", "SECRET", "passwd", "SECRET", "confirm", "SECRET", "sok", "ok", "name", "x"),
		paneltest.Form("func", "nosuch", "auth", id, "passwd", "SECRET", "PassWord", "SECRET"),
		paneltest.Form("func", "thing", "authinfo", "user1:SECRET", "out", "SECRET-format"),
	} {
		_, got := send(t, "GET", p.URL+"?"+query.Encode(), "", "")
		answers += strings.ReplaceAll(got, "SECRET-format", "")
	}
	send(t, "GET", p.URL+"?authinfo=SECRET%zz", "", "")
	p.Stop(t) // the line of a call is written after its answer
	if !strings.Contains(p.Log.String(), `"func":"nosuch"`) {
		t.Error("the calls do not stand in the log")
	}
	for _, secret := range []string{"SECRET", paneltest.Password, "demo%3Apassword"} {
		if strings.Contains(p.Log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
		if strings.Contains(answers, secret) {
			t.Errorf("an answer holds %s:\n%s", secret, answers)
		}
	}
	if strings.Contains(p.Log.String(), id) || strings.Count(answers, id) != 1 {
		t.Error("the session's id stands in the log or in an answer")
	}
}

func TestEachCallIsOneLineInTheLog(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	p.As(t, "admin", "thing.quick", "su", "user1")
	p.As(t, "user1", "thing.busy")
	p.Stop(t) // the line is written after the answer
	var calls []string
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, `"message":"call"`) {
			calls = append(calls, line)
		}
	}
	if len(calls) != 2 {
		t.Fatal(calls)
	}
	for i, want := range []string{
		`"func":"thing.quick","user":"user1","su_by":"admin","remote":"127.0.0.1","result":"ok","request_id":"`,
		`"func":"thing.busy","user":"user1","remote":"127.0.0.1","result":"error","error":"busy(func)","request_id":"`,
	} {
		if !strings.Contains(calls[i], want) || !strings.Contains(calls[i], `"ms":`) {
			t.Errorf("got %s, want %s", calls[i], want)
		}
	}
}
