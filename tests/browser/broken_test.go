package browser

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// A breaker is a way to the panel on which connections break, before a request of a
// page's scripts has an answer, or before the panel has even got it.
type breaker struct {
	all, after atomic.Bool // also what is asked again; only once the panel has it
	broke      atomic.Int64
}

func (b *breaker) by(t *testing.T) func(base string) string {
	return func(base string) string {
		to, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		panel := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		}}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			scripted := r.Header.Get("HX-Request") != ""
			if !scripted || r.Header.Get("X-Again") != "" && !b.all.Load() {
				panel.ServeHTTP(w, r)
				return
			}
			if b.after.Load() {
				panel.ServeHTTP(httptest.NewRecorder(), r)
			}
			b.broke.Add(1)
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
}

func TestBrokenConnectionIsNotNoticed(t *testing.T) {
	b := &breaker{}
	s := openBy(t, "user3", b.by(t))
	s.broken = true
	s.goTo("/f/emaildomain")
	s.click(`.toolbar a[href^="/f/emaildomain.edit"]`)
	s.at("emaildomain.edit")
	if b.broke.Load() == 0 {
		t.Fatal("no connection broke")
	}
	// The panel did what was asked, and its answer was lost: asked again, it gives the
	// same, and not that the name exists.
	b.after.Store(true)
	broke := b.broke.Load()
	s.write("#f-name", "broken-line.example")
	s.click("[data-default]")
	s.at("emaildomain")
	s.sees("Saved: broken-line.example")
	if b.broke.Load() == broke {
		t.Fatal("no connection broke")
	}

	// Who is gone is told of.
	b.all.Store(true)
	s.click(`.toolbar a[href^="/f/emaildomain.edit"]`)
	s.until(`!document.querySelector('#unreachable').hidden`)
	b.all.Store(false)
	s.click(`.toolbar a[href^="/f/emaildomain.edit"]`)
	s.at("emaildomain.edit")
	s.until(`document.querySelector('#unreachable').hidden`)
}
