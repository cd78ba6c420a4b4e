package ui_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestMain(m *testing.M) { paneltest.Main(m) }

// A person has a browser without script.
type person struct {
	t      *testing.T
	base   string
	client *http.Client
	header http.Header // of every request
}

func newPerson(t *testing.T, p *paneltest.Panel) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, base: p.Pages, client: &http.Client{Jar: jar}, header: http.Header{}}
}

// logIn returns a person who has logged in.
func logIn(t *testing.T, p *paneltest.Panel, user string) *person {
	t.Helper()
	h := newPerson(t, p)
	if got := h.post("/login", "username", user, "password", paneltest.Password); !strings.Contains(got.body, `id="nav"`) {
		t.Fatalf("%s has not logged in: %s", user, got.body)
	}
	return h
}

// A page is what came of a request, after redirects.
type page struct {
	status int
	path   string
	header http.Header
	body   string
}

func (h *person) do(req *http.Request) page {
	h.t.Helper()
	for name, values := range h.header {
		req.Header[name] = values
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Request.URL.RequestURI(), resp.Header, string(b)}
}

func (h *person) get(path string) page {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.base+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(req)
}

// post sends a form, given as names and values in turn, as it is.
func (h *person) post(path string, pairs ...string) page {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.base+path, strings.NewReader(paneltest.Form(pairs...).Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(req)
}

var token = regexp.MustCompile(`name="_csrf" value="([0-9a-f]+)"`)

// token is the one against forged requests of the person's session.
func (h *person) token() string {
	h.t.Helper()
	m := token.FindStringSubmatch(h.get("/f/shelf").body)
	if m == nil {
		h.t.Fatal("no token on the page")
	}
	return m[1]
}

// send posts a form with the token.
func (h *person) send(path string, pairs ...string) page {
	h.t.Helper()
	return h.post(path, append([]string{"_csrf", h.token()}, pairs...)...)
}

func (h *person) session() *http.Cookie {
	u, err := url.Parse(h.base)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range h.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "panel") {
			return c
		}
	}
	return nil
}

func contains(t *testing.T, what, body string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(body, w) {
			t.Errorf("%s: %q is not there:\n%s", what, w, body)
		}
	}
}

func lacks(t *testing.T, what, body string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(body, w) {
			t.Errorf("%s: %q is there", what, w)
		}
	}
}
