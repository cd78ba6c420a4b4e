package paneltest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// client keeps enough connections for the tests with many callers.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Form makes a form of names and values in turn.
func Form(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

// Call posts a form, given as names and values in turn, and returns the answer.
func (p *Panel) Call(t testing.TB, pairs ...string) string {
	t.Helper()
	body, _ := p.Do(t, Form(pairs...), nil)
	return body
}

// As calls a function with the text form as a demonstration user.
func (p *Panel) As(t testing.TB, user, function string, pairs ...string) string {
	t.Helper()
	return p.Call(t, append([]string{"out", "text", "authinfo", user + ":" + Password, "func", function}, pairs...)...)
}

// Do posts a form with headers. The answer is one of the panel, with status 200.
// It may be called on any goroutine of the test.
func (p *Panel) Do(t testing.TB, form url.Values, header http.Header) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.URL, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return "", nil
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return "", nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("status %s, %v: %s", resp.Status, err, b)
	}
	return string(b), resp.Header
}
