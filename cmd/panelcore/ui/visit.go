package ui

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"maildomain/cmd/panelcore/core"
)

// A visit is one request of a page.
type visit struct {
	*pages
	w       http.ResponseWriter
	r       *http.Request
	by      core.Caller
	session string // id of the session; empty: nobody has logged in
	tab     *tab   // what is remembered for the session
	lang    string
	words   map[string]string // of the pages themselves, in lang
	params  map[string]string // of the function: the form without what is the pages' own
	own     map[string]string // the pages' own, whose names begin with an underscore
}

// Cookies. Over TLS the session's has the prefix that browsers hold to the host
// (RFC 6265bis section 4.1.3.2).
const (
	sessionCookie       = "panel"
	secureSessionCookie = "__Host-panel"
	langCookie          = "panel_lang"
	themeCookie         = "panel_theme"
)

// anyone serves a page that needs no session.
func (p *pages) anyone(f func(*visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v := p.visit(w, r); v != nil {
			defer v.end()
			f(v)
		}
	}
}

// member serves a page of a session. A request that changes something brings the
// token of its session.
func (p *pages) member(f func(*visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := p.visit(w, r)
		if v == nil {
			return
		}
		defer v.end()
		switch {
		case v.session == "":
			v.toLogin()
		case r.Method == http.MethodPost && !hmac.Equal([]byte(v.own["_csrf"]), []byte(v.token())):
			v.fail(http.StatusForbidden, v.words["stale_page"])
		default:
			f(v)
		}
	}
}

// visit reads a request and finds its session; nil for one that was answered.
func (p *pages) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{pages: p, w: w, r: r, params: map[string]string{}, own: map[string]string{}}
	if err := r.ParseForm(); err != nil {
		code := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			code = http.StatusRequestEntityTooLarge
		}
		http.Error(w, http.StatusText(code), code)
		return nil
	}
	from := r.Form
	if r.Method == http.MethodPost {
		from = r.PostForm // what an address says is no part of a form
	}
	v.read(from)
	var wanted string
	if c, err := r.Cookie(v.cookieName()); err == nil {
		if by, err := p.core.ResumeSession(c.Value); err == nil {
			v.by, v.session, v.tab, wanted = by, c.Value, p.tabs.of(c.Value), by.Lang
		}
	}
	if c, err := r.Cookie(langCookie); err == nil {
		wanted = c.Value
	}
	v.lang = language(wanted, r.Header.Get("Accept-Language"))
	v.words = catalogue[v.lang]
	return v
}

// read parts the parameters of the function from the pages' own. Of a name that
// was given more than once the last counts, as a box that is ticked follows its
// "off"; but objects are many.
func (v *visit) read(from url.Values) {
	for name, values := range from {
		switch last := values[len(values)-1]; {
		case strings.HasPrefix(name, "_"):
			v.own[name] = last
		case name == "elid":
			values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
			v.params[name] = strings.Join(values, ", ")
		default:
			v.params[name] = strings.ReplaceAll(last, "\r\n", "\n") // of a text of several lines
		}
	}
}

// end answers for a page that panicked.
func (v *visit) end() {
	x := recover()
	if x == nil {
		return
	}
	v.log.Error().Any("panic", x).Bytes("stack", debug.Stack()).Str("path", v.r.URL.Path).Msg("page panicked")
	defer func() {
		if recover() != nil { // the page for it does too
			http.Error(v.w, "internal error", http.StatusInternalServerError)
		}
	}()
	v.fail(http.StatusInternalServerError, v.words["fault"])
}

// secure says whether the request came over TLS, here or at the proxy that
// serve --proxy names (see api.BehindProxy, which the address is from too).
func (v *visit) secure() bool { return v.r.TLS != nil || v.r.URL.Scheme == "https" }

func (v *visit) address() string {
	host, _, _ := net.SplitHostPort(v.r.RemoteAddr)
	return host
}

func (v *visit) cookieName() string {
	if v.secure() {
		return secureSessionCookie
	}
	return sessionCookie
}

// setCookie sets a cookie for the browser session; an empty value removes it.
func (v *visit) setCookie(name, value string, age time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: v.secure(), SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// token is the one against forged requests, bound to the session. That compressed
// pages repeat it is no way to guess it: SameSite keeps the session out of
// requests that another site makes.
func (v *visit) token() string {
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(v.session))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// redirect goes on to a page of ours.
func (v *visit) redirect(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// reload goes on to a page of ours that looks otherwise in its head, so that the
// browser loads it whole.
func (v *visit) reload(to string) {
	if v.r.Header.Get("HX-Request") != "" {
		v.w.Header().Set("HX-Redirect", to)
		return
	}
	v.redirect(to)
}

func (v *visit) toLogin() {
	to := "/login"
	if v.r.Method == http.MethodGet && v.r.URL.Path != "/" && v.r.URL.Path != "/progress" {
		to += "?" + url.Values{"_next": {v.r.URL.RequestURI()}}.Encode()
	}
	v.reload(to)
}
