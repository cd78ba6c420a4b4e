package ui

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"maildomain/cmd/panelcore/core"
)

// A loginPage asks who comes.
type loginPage struct{ Name, Next, Error string }

func (v *visit) nextPage() string { return ownPath(v.own["_next"]) }

// ownPath returns a path of this server, / for what is none.
func ownPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}

func (p *pages) showLogin(v *visit) {
	if v.session != "" {
		v.redirect("/")
		return
	}
	v.render(http.StatusOK, v.words["log_in"], &loginPage{Next: v.nextPage()})
}

func (p *pages) logIn(v *visit) {
	name, password := strings.TrimSpace(v.params["username"]), v.params["password"]
	by, err := p.core.CheckPassword(v.r.Context(), name, password, v.address())
	var a *core.Answer
	if err == nil {
		v.endSession() // of whoever was here before
		v.by = by
		a, err = v.call("auth", nil)
	}
	if err != nil {
		v.log.Warn().Str("remote", v.address()).Str("error", err.Error()).Msg("login refused")
		v.render(loginStatus(err), v.words["log_in"], &loginPage{Name: name, Next: v.nextPage(), Error: v.sentence(err)})
		return
	}
	v.setCookie(v.cookieName(), a.Auth.ID, 0)
	v.reload(v.nextPage())
}

// loginStatus is the status of HTTP for a login that was refused.
func loginStatus(err error) int {
	if e, ok := errors.AsType[*core.Error](err); ok && e.Type == "auth" {
		if e.Object == "attempts" {
			return http.StatusTooManyRequests
		}
		return http.StatusUnauthorized
	}
	return http.StatusServiceUnavailable
}

// endSession ends the session of the visit, if it has one.
func (v *visit) endSession() {
	if v.session == "" {
		return
	}
	if _, err := v.call("logoff", nil); err != nil {
		v.log.Warn().Err(err).Msg("session not ended")
	}
	v.tabs.forget(v.session)
}

func (p *pages) logOut(v *visit) {
	v.endSession()
	v.setCookie(v.cookieName(), "", 0)
	v.reload("/login")
}

// become goes on in another session, of the same person as another user.
func (v *visit) become(session string) {
	v.endSession()
	v.setCookie(v.cookieName(), session, 0)
	v.reload("/")
}

// comeBack ends "log in as": the person is again who logged in.
func (p *pages) comeBack(v *visit) {
	a, err := v.call("su", map[string]string{"elid": v.by.Real})
	if err != nil {
		v.failure(err)
		return
	}
	v.become(a.Auth.ID)
}

const keepChoice = 365 * 24 * time.Hour

func (p *pages) setLanguage(v *visit) {
	if _, ok := catalogue[v.own["_lang"]]; ok {
		v.setCookie(langCookie, v.own["_lang"], keepChoice)
	}
	v.reload(ownPath(v.own["_at"]))
}

func (p *pages) setTheme(v *visit) {
	switch t := v.own["_theme"]; t {
	case "light", "dark":
		v.setCookie(themeCookie, t, keepChoice)
	default:
		v.setCookie(themeCookie, "", 0)
	}
	v.reload(ownPath(v.own["_at"]))
}

// theme is light or dark, empty for what the browser prefers.
func (v *visit) theme() string {
	if c, err := v.r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}
