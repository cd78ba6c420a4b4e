package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset": assetURL,
	"icon":  iconHTML,
	"group": grouped,
	"dict":  dict,
}).ParseFS(templateFiles, "templates/*.html"))

// A shell is what stands around every page.
type shell struct {
	Title  string
	Lang   string
	Theme  string // light or dark; empty for what the browser prefers
	T      map[string]string
	User   string // empty: nobody has logged in
	Real   string // who logged in; empty when that is the user
	Level  string
	Menu   []menuGroup
	Notice *notice
	CSRF   string
	At     string // of this page
	Body   any
	Kind   string // which template shows Body
}

// An errorPage says why there is nothing else.
type errorPage struct {
	Text string
	T    map[string]string
}

func (v *visit) fail(code int, text string) {
	v.render(code, v.words["error"], &errorPage{Text: text, T: v.words})
}

// render answers with a page.
func (v *visit) render(code int, title string, body any) {
	s := &shell{Title: title, Lang: v.lang, Theme: v.theme(), T: v.words, Body: body, At: "/"}
	switch body.(type) {
	case *loginPage:
		s.Kind, s.At = "login", "/login"
	case *listPage:
		s.Kind = "list"
	case *formPage:
		s.Kind = "form"
	case *reportPage:
		s.Kind = "report"
	case *errorPage:
		s.Kind = "error"
	}
	if v.session != "" {
		s.User, s.Level, s.CSRF = v.by.User, v.words["level_"+v.by.Level], v.token()
		if v.by.Real != v.by.User {
			s.Real = v.by.Real
		}
		s.Menu = v.menu()
		s.Notice = v.tab.told()
		if v.r.Method == http.MethodGet {
			s.At = v.r.URL.RequestURI()
		} else if name := v.r.PathValue("func"); name != "" {
			s.At = pageURL(name, "elid", v.params["elid"], "plid", v.params["plid"])
		}
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "shell", s); err != nil {
		panic(fmt.Errorf("write page: %w", err))
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Add("Vary", "Accept-Encoding")
	if !strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		v.w.WriteHeader(code)
		v.w.Write(b.Bytes()) // who has hung up gets no page
		return
	}
	v.w.Header().Set("Content-Encoding", "gzip")
	v.w.WriteHeader(code)
	z := zippers.Get().(*gzip.Writer)
	z.Reset(v.w)
	z.Write(b.Bytes())
	z.Close()
	zippers.Put(z)
}

var zippers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	return z
}}

// newID is that of a page, by which a call made from it twice is known.
func newID() string { return rand.Text() }

// grouped writes a number with thin spaces between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// dict makes a map for a template that is called with several values.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("name %v is no string", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
