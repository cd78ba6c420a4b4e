package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// An endpoint answers /ispmgr.
type endpoint struct {
	core     *core.Core
	log      zerolog.Logger
	identify func(context.Context, *core.Core, *query) (core.Caller, error)
}

// A query is one request of the panel, read.
type query struct {
	function   string
	out        string            // key into formats
	lang       string            // of the answer
	params     map[string]string // of the function
	sent       map[string]string // with the request, but for what proves who calls
	pages      bool              // metadata=on: the caller is a page, and needs to know how the answer looks
	session    string            // auth
	authinfo   string
	su         string
	wantedLang string
	clientID   string // X-Request-Id
	id         string // of the call: what logs and modules know it by
	localUser  string // X-Panel-User, on the control socket
	remoteIP   string
}

// formats are the forms of an answer, by the parameter out.
var formats = map[string]struct {
	contentType string
	appendTo    func([]byte, *tree.Node) []byte
}{
	"xml":   {"text/xml; charset=utf-8", tree.AppendXML},
	"json":  {"application/json; charset=utf-8", tree.AppendJSON},
	"sjson": {"application/json; charset=utf-8", tree.AppendSimpleJSON},
	"text":  {"text/plain; charset=utf-8", tree.AppendText},
}

const formType = "application/x-www-form-urlencoded"

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // a login can stand in the address
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	q, code, err := read(w, r)
	if err != nil {
		http.Error(w, err.Error(), code)
		e.log.Info().Int("status", code).Str("remote", q.remoteIP).Msg("no request")
		return
	}
	n, by := e.answer(r.Context(), q)
	n.Add(e.echo(q))
	if q.id != "" {
		h.Set("X-Request-Id", q.id)
	}
	h.Set(ResultHeader, result(n))
	e.write(w, q.out, n)
	e.access(q, n, by, time.Since(begun))
}

// read reads the request; its error is one of HTTP, with the status code.
func read(w http.ResponseWriter, r *http.Request) (*query, int, error) {
	q := &query{params: map[string]string{}, clientID: r.Header.Get("X-Request-Id"), localUser: r.Header.Get(UserHeader)}
	q.remoteIP, _, _ = net.SplitHostPort(r.RemoteAddr) // none on the control socket
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(t) != formType && r.ContentLength != 0 {
			return q, http.StatusBadRequest, fmt.Errorf("a POST is a form: Content-Type %s", formType)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	default:
		w.Header().Set("Allow", "GET, POST")
		return q, http.StatusMethodNotAllowed, errors.New("GET or POST")
	}
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return q, http.StatusRequestEntityTooLarge, fmt.Errorf("the form is longer than %d bytes", maxRequest)
		}
		return q, http.StatusBadRequest, errors.New("the form cannot be read")
	}
	for name, values := range r.Form {
		q.params[name] = values[0]
	}
	q.sort()
	return q, 0, nil
}

// sort parts what is for the core from what the function is to see.
func (q *query) sort() {
	take := func(name string) string {
		v := q.params[name]
		delete(q.params, name)
		return v
	}
	q.session, q.authinfo = take("auth"), take("authinfo")
	q.sent = maps.Clone(q.params)
	q.function, q.out, q.wantedLang, q.su = take("func"), take("out"), take("lang"), take("su")
	q.pages = take("metadata") == "on"
}

// answer makes the call and returns its answer and who called.
func (e *endpoint) answer(ctx context.Context, q *query) (n *tree.Node, by core.Caller) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error().Any("panic", p).Bytes("stack", debug.Stack()).Str("request_id", q.id).Str("func", q.function).Msg("call panicked")
			n = e.failure(q, core.Internal(q.id))
		}
	}()
	q.lang = language(q.wantedLang, "en")
	if q.out == "" {
		q.out = "xml"
	}
	if _, ok := formats[q.out]; !ok {
		err := core.BadRequest("out", q.out)
		q.out = "xml"
		return e.failure(q, err), by
	}
	by, err := e.caller(ctx, q)
	if err != nil {
		return e.failure(q, err), by
	}
	a, err := e.core.Call(ctx, by, core.Request{Func: q.function, Params: q.params, Lang: q.lang, ID: q.id, RemoteIP: q.remoteIP})
	if err != nil {
		return e.failure(q, err), by
	}
	return e.success(q, a, by), by
}

// caller finds out who calls and as whom, and names the call.
func (e *endpoint) caller(ctx context.Context, q *query) (core.Caller, error) {
	by, err := e.identify(ctx, e.core, q)
	if err != nil {
		return by, err
	}
	q.lang = language(q.wantedLang, by.Lang)
	if q.su != "" {
		as, err := e.core.As(by, q.su)
		if err != nil {
			return by, err
		}
		by = as
	}
	q.id, err = core.RequestID(by, q.clientID)
	return by, err
}

// byCredentials finds out who calls from what the request brought: a session
// (auth), a user name and password (authinfo), or a login (func=auth).
func byCredentials(ctx context.Context, c *core.Core, q *query) (core.Caller, error) {
	if name := q.params["username"]; name != "" && q.function == "auth" {
		return c.CheckPassword(ctx, name, q.params["password"], q.remoteIP)
	}
	if q.session != "" {
		return c.ResumeSession(q.session)
	}
	if q.authinfo != "" {
		name, password, _ := strings.Cut(q.authinfo, ":") // the password may have colons of its own
		return c.CheckPassword(ctx, name, password, q.remoteIP)
	}
	return core.Caller{}, core.NoCredentials()
}

// language returns the first of the two that the panel speaks.
func language(wanted, otherwise string) string {
	for _, l := range []string{wanted, otherwise} {
		if l == "en" || l == "ru" {
			return l
		}
	}
	return "en"
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (e *endpoint) write(w http.ResponseWriter, out string, n *tree.Node) {
	f := formats[out]
	b := buffers.Get().(*[]byte)
	*b = f.appendTo((*b)[:0], n)
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(*b)))
	w.Write(*b) // who has hung up gets no answer
	if cap(*b) <= 1<<20 {
		buffers.Put(b)
	}
}

// access writes the one line of a call. Values of parameters are not in it: any
// could be a secret.
func (e *endpoint) access(q *query, n *tree.Node, by core.Caller, took time.Duration) {
	const longest = 100 // of a function's name; who calls can send anything for it
	ev := e.log.Info().Str("func", q.function[:min(len(q.function), longest)]).Str("user", by.User)
	if by.Real != by.User {
		ev = ev.Str("su_by", by.Real)
	}
	remote := q.remoteIP
	if remote == "" {
		remote = "local"
	}
	ev = ev.Str("remote", remote).Str("result", result(n))
	if x := n.Child("error"); x != nil {
		ev = ev.Str("error", x.Attr("type")+"("+x.Attr("object")+")")
	}
	if q.id != "" {
		ev = ev.Str("request_id", q.id)
	}
	ev.Dur("ms", took).Msg("call")
}

// result says in one word what an answer is.
func result(n *tree.Node) string {
	switch {
	case tree.Failed(n):
		return "error"
	case n.Child("auth") != nil:
		return "auth"
	case n.Child("ok") != nil:
		return "ok"
	case n.Child("p_elems") != nil:
		return "list"
	case n.Child("elem") != nil:
		return "report"
	}
	return "form"
}
