package core_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
)

// asModule calls a method of the core as the module of the panel, and returns the
// result or the error.
func asModule(t testing.TB, p *paneltest.Panel, method string, v any) (result, failure string) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Doc struct{ Error, Result any } }
	answer := p.Call(t, "out", "sjson", "authinfo", "admin:"+paneltest.Password, "func", "thing.ask", "method", method, "params", string(b))
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if a.Doc.Error != nil {
		return "", fmt.Sprint(a.Doc.Error)
	}
	return fmt.Sprint(a.Doc.Result), ""
}

func putToken(t testing.TB, p *paneltest.Panel, token string) string {
	t.Helper()
	_, failure := asModule(t, p, wire.CoreHTTP01, wire.HTTP01{Op: wire.HTTP01Put, Token: token, KeyAuth: token + ".print"})
	return failure
}

// fetch returns the status and the body of what the panel's server answers to a
// request line with exactly that method and target.
func fetch(t testing.TB, p *paneltest.Panel, method, target string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.Pages, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: mail.example.com\r\nConnection: close\r\n\r\n", method, target)
	return response(t, conn, method)
}

func TestChallengeIsAnsweredAtItsPathOnly(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	const at, token = "/.well-known/acme-challenge/", "Abc_-xyz019"
	if failure := putToken(t, p, token); failure != "" {
		t.Fatal(failure)
	}
	resp, body := fetch(t, p, "GET", at+token)
	if resp.StatusCode != http.StatusOK || body != token+".print" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%s %v %q", resp.Status, resp.Header, body)
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || len(resp.Cookies()) > 0 {
		t.Error(resp.Header)
	}
	if resp, body := fetch(t, p, "HEAD", at+token); resp.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s %q", resp.Status, body)
	}
	if resp, _ := fetch(t, p, "POST", at+token); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	for _, target := range []string{
		at, at + "nosuch", at + strings.ToLower(token), at + strings.ToUpper(token), at + token + "/", at + token + "x", at + token[1:],
		at + "../" + token, at + "../../login", at + "./" + token, at + "/" + token, at + token + "/..", at + "%2e%2e/%2e%2e/login", at + "%2E%2E%2flogin",
		at + "%41bc_-xyz019", at + token + "%00", at + token + "%0d%0aX:y", at + token + ";a", at + token + "%20", at + strings.Repeat("A", 64<<10),
		at + "..%2f..%2fetc%2fpasswd", at + "*", at + "<script>", "/.well-known/acme-challenge", "/.well-known/" + token, "/.well-known/acme%2dchallenge/" + token,
		"/.WELL-KNOWN/acme-challenge/" + token,
	} {
		resp, body := fetch(t, p, "GET", target)
		if resp.StatusCode != http.StatusNotFound || strings.Contains(body, ".print") || strings.Contains(body, "<script>") {
			t.Errorf("%.100s: %s %.200q", target, resp.Status, body)
		}
	}
	if resp, _ := fetch(t, p, "GET", "/login"); resp.StatusCode != http.StatusOK {
		t.Errorf("the pages: %s", resp.Status)
	}
	if log := p.Log.String(); strings.Contains(log, "AAAAAAAA") {
		t.Error("what was asked for stands in the log")
	}
}

func TestChallengeEnds(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	answered := func(token string) bool {
		resp, body := fetch(t, p, "GET", "/.well-known/acme-challenge/"+token)
		return resp.StatusCode == http.StatusOK && body == token+".print"
	}
	for _, token := range []string{"removed", "old", "renewed"} {
		if failure := putToken(t, p, token); failure != "" {
			t.Fatal(failure)
		}
	}
	for range 2 { // repeating it is harmless
		if result, failure := asModule(t, p, wire.CoreHTTP01, wire.HTTP01{Op: wire.HTTP01Remove, Token: "removed"}); result != "{}" {
			t.Error(result, failure)
		}
	}
	if answered("removed") || !answered("old") {
		t.Error("removing took the wrong one")
	}
	p.Clock.Advance(59 * time.Minute)
	// A module that has ended when idle is still answered for.
	if got := p.As(t, "user1", "thing.exit"); got != "OK\n" {
		t.Fatal(got)
	}
	if !answered("old") {
		t.Error("what a module put went with its connection")
	}
	if failure := putToken(t, p, "renewed"); failure != "" {
		t.Fatal(failure)
	}
	p.Clock.Advance(time.Minute)
	if answered("old") || !answered("renewed") {
		t.Error("an hour after the last put it ends")
	}
}

func TestWrongChallengesAreRefused(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	long := strings.Repeat("A", 128)
	for _, w := range []wire.HTTP01{
		{Op: "put"},
		{Op: "get", Token: "a", KeyAuth: "a.b"},
		{Op: "put", Token: "a", KeyAuth: ""},
		{Op: "put", Token: "a", KeyAuth: "b.c"},
		{Op: "put", Token: "a", KeyAuth: "a."},
		{Op: "put", Token: "a", KeyAuth: "a.b.c"},
		{Op: "put", Token: "a", KeyAuth: "a.<script>"},
		{Op: "put", Token: "a", KeyAuth: "a.é"},
		{Op: "put", Token: "a", KeyAuth: "a.b\n"},
		{Op: "put", Token: "a\n", KeyAuth: "a\n.b"},
		{Op: "put", Token: "../a", KeyAuth: "../a.b"},
		{Op: "put", Token: "a.b", KeyAuth: "a.b.c"},
		{Op: "put", Token: long + "A", KeyAuth: long + "A.b"},
		{Op: "put", Token: "a", KeyAuth: "a." + strings.Repeat("b", 255)},
		{Op: "remove", Token: "a/b"},
	} {
		if _, failure := asModule(t, p, wire.CoreHTTP01, w); !strings.Contains(failure, "-32602") {
			t.Errorf("%+v: %s", w, failure)
		}
	}
	if _, failure := asModule(t, p, wire.CoreHTTP01, wire.HTTP01{Op: "put", Token: long, KeyAuth: long + "." + strings.Repeat("b", 127)}); failure != "" {
		t.Errorf("the longest: %s", failure)
	}
}

func response(t testing.TB, conn net.Conn, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
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
