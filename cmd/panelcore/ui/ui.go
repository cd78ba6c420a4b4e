// Package ui serves the panel's pages. They are made from what modules register:
// metadata says which lists, forms and buttons there are, messages say how they
// are called, and no function of a module is known here.
//
// The pages are HTML from templates/, moved by htmx and by one small script of
// our own (assets/app.js). Everything that they need is embedded, nothing comes
// from another host, and the Content-Security-Policy allows no inline script or
// style.
package ui

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/core"
)

// pages answers everything beside the address for scripts.
type pages struct {
	core    *core.Core
	log     zerolog.Logger
	now     func() time.Time
	key     []byte // of the tokens against forged requests; lives as long as the process
	tabs    *tabs
	origin  *http.CrossOriginProtection
	mux     *http.ServeMux
	running *running
}

// New returns the pages of c. now is the clock; nil means time.Now.
func New(c *core.Core, log zerolog.Logger, now func() time.Time) http.Handler {
	if now == nil {
		now = time.Now
	}
	p := &pages{
		core: c, log: log, now: now, key: []byte(rand.Text()), tabs: newTabs(now),
		origin: http.NewCrossOriginProtection(), mux: http.NewServeMux(), running: newRunning(),
	}
	p.mux.HandleFunc("GET /assets/{name}", serveAsset)
	p.mux.HandleFunc("GET /login", p.anyone(p.showLogin))
	p.mux.HandleFunc("POST /login", p.anyone(p.logIn))
	p.mux.HandleFunc("POST /language", p.anyone(p.setLanguage))
	p.mux.HandleFunc("POST /theme", p.anyone(p.setTheme))
	p.mux.HandleFunc("POST /logout", p.member(p.logOut))
	p.mux.HandleFunc("POST /return", p.member(p.comeBack))
	p.mux.HandleFunc("GET /progress", p.member(p.showProgress))
	p.mux.HandleFunc("GET /f/{func}", p.member(p.show))
	p.mux.HandleFunc("POST /f/{func}", p.member(p.do))
	p.mux.HandleFunc("GET /{$}", p.member(p.home))
	p.mux.HandleFunc("/", p.anyone(func(v *visit) { v.fail(http.StatusNotFound, v.words["no_page"]) }))
	return p
}

const maxForm = 1 << 20 // bytes of a form

// policy lets a page load its own files and nothing else, and nobody frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if !strings.HasPrefix(r.URL.Path, "/assets/") {
		h.Set("Cache-Control", "no-store")
	}
	// The browser says where a request comes from; a form of another site gets no
	// further, also not one to log somebody in (Fetch Metadata, Origin).
	if err := p.origin.Check(r); err != nil {
		http.Error(w, "a request from another site", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p.mux.ServeHTTP(w, r)
}
