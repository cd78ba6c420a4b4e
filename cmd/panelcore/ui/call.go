package ui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/rpc/wire"
)

// call runs a function that changes nothing, or whose repetition does no harm.
func (v *visit) call(function string, params map[string]string) (*core.Answer, error) {
	id, err := core.RequestID(v.by, "")
	if err != nil {
		return nil, err
	}
	return v.callAs(id, function, params)
}

func (v *visit) callAs(id, function string, params map[string]string) (*core.Answer, error) {
	begun := v.now()
	a, err := v.core.Call(v.r.Context(), v.by, core.Request{Func: function, Params: params, Lang: v.lang, ID: id, RemoteIP: v.address()})
	v.note(id, function, a, err, v.now().Sub(begun))
	return a, err
}

// note writes the one line of a call, as the address for scripts does. Values of
// parameters are not in it: any could be a secret.
func (v *visit) note(id, function string, a *core.Answer, err error, took time.Duration) {
	const longest = 100 // of a function's name; an address can say anything for it
	ev := v.log.Info().Str("func", function[:min(len(function), longest)]).Str("user", v.by.User)
	if v.by.Real != v.by.User {
		ev = ev.Str("su_by", v.by.Real)
	}
	ev = ev.Str("remote", v.address())
	switch e, ok := errors.AsType[*core.Error](err); {
	case ok:
		ev = ev.Str("result", "error").Str("error", e.Type+"("+e.Object+")")
	case a != nil && a.Auth != nil:
		ev = ev.Str("result", "auth")
	case a != nil:
		ev = ev.Str("result", a.Kind)
	}
	ev.Str("request_id", id).Bool("page", true).Dur("ms", took).Msg("call")
}

// change runs a function under a request id made of the page's own (_id) and of
// what is asked: a second click, or a form sent again, is the same call and
// changes once, while other values from the same page are another call.
func (v *visit) change(function string, params map[string]string) (*core.Answer, error) {
	page := v.own["_id"]
	if page == "" {
		return v.call(function, params)
	}
	h := sha256.New()
	for _, s := range []string{page, function} {
		h.Write([]byte(s + "\x00"))
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		h.Write([]byte(name + "\x00" + params[name] + "\x00"))
	}
	id, err := core.RequestID(v.by, hex.EncodeToString(h.Sum(nil)[:20]))
	if err != nil {
		return nil, err
	}
	defer v.running.begin(v.session+"\x00"+page, id)()
	return v.callAs(id, function, params)
}

// sentence is an error as a page shows it.
func (v *visit) sentence(err error) string {
	if e, ok := errors.AsType[*core.Error](err); ok {
		return upperFirst(e.Text(v.lang))
	}
	v.log.Error().Err(err).Msg("page failed")
	return upperFirst(core.Internal("").Text(v.lang))
}

// failure answers with a page for an error that belongs to no form.
func (v *visit) failure(err error) {
	code := http.StatusServiceUnavailable
	if e, ok := errors.AsType[*core.Error](err); ok {
		switch e.Type {
		case "auth":
			v.toLogin()
			return
		case "missed":
			code = http.StatusNotFound
		case "access":
			code = http.StatusForbidden
		case "internal":
			code = http.StatusInternalServerError
		case "busy", "unavailable":
		default:
			code = http.StatusUnprocessableEntity
		}
	}
	v.fail(code, v.sentence(err))
}

// running is which calls the pages have under way, so that they can ask how far
// each is by the id that the page chose.
type running struct {
	mu    sync.Mutex
	calls map[string]string // session and page id → request id
}

func newRunning() *running { return &running{calls: map[string]string{}} }

func (r *running) begin(page, id string) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[page] = id
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.calls[page] == id {
			delete(r.calls, page)
		}
	}
}

func (r *running) id(page string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[page]
}

// showProgress says how far the call of a page is, as JSON for app.js.
func (p *pages) showProgress(v *visit) {
	var now struct {
		Running bool   `json:"running"`
		Done    int    `json:"done"`
		Total   int    `json:"total"`
		Text    string `json:"text"`
	}
	if id := p.running.id(v.session + "\x00" + v.own["_id"]); id != "" {
		var w wire.Progress
		w, now.Running = p.core.Progress(id)
		now.Done, now.Total, now.Text = w.Done, w.Total, w.Text
	}
	b, err := json.Marshal(now)
	if err != nil {
		panic(err) // numbers and a string marshal
	}
	v.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	v.w.Write(b)
}
