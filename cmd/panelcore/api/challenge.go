package api

import (
	"io"
	"net/http"
	"strings"

	"maildomain/cmd/panelcore/core"
)

const challengePath = "/.well-known/acme-challenge/"

// Challenges answers ACME challenges of modules (RFC 8555 section 8.3) before
// anything else is looked at, and passes all other requests on to next. Only the
// very path of a token is answered: there is no cleaning, unescaping or redirect.
func Challenges(c *core.Core, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.EscapedPath(), challengePath)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		answer, ok := c.ChallengeAnswer(token)
		if !ok {
			http.Error(w, "there is no such challenge", http.StatusNotFound)
			return
		}
		h.Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, answer) // who has hung up gets no answer
	})
}
