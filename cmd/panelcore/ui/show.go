package ui

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"maildomain/cmd/panelcore/core"
	"maildomain/rpc/wire"
)

// Kinds of function that a page can be; the others are done from one.
var shown = []string{wire.KindList, wire.KindForm, wire.KindReport}

// home goes to the first entry of the menu. When no module has any, they may not
// have said yet what they can do.
func (p *pages) home(v *visit) {
	if len(p.core.Menus()) == 1 { // the core's own
		p.core.Learn(v.r.Context())
	}
	for _, g := range v.menu() {
		for _, e := range g.Entries {
			v.redirect(e.URL)
			return
		}
	}
	v.fail(http.StatusNotFound, v.words["nothing_to_see"])
}

// show answers with the page of a function: a list, a form or a report.
func (p *pages) show(v *visit) {
	name := v.r.PathValue("func")
	for _, changing := range []string{"sok", "sv_field", "dry_run"} {
		delete(v.params, changing) // an address alone changes nothing
	}
	if f := p.core.Function(name); f != nil && !slices.Contains(shown, f.Kind) {
		v.fail(http.StatusNotFound, v.words["not_here"])
		return
	}
	a, err := v.call(name, v.params)
	if err != nil {
		v.failure(err)
		return
	}
	v.page(name, a)
}

// page answers with what a function answered.
func (v *visit) page(name string, a *core.Answer) {
	f := v.core.Function(name)
	if f == nil {
		v.failure(errors.New("the function has gone"))
		return
	}
	switch a.Kind {
	case wire.KindList:
		q := maps.Clone(v.params)
		v.tab.leave(name, query(q))
		v.showList(f, a)
	case wire.KindForm:
		v.showForm(v.newForm(f, a), http.StatusOK)
	case wire.KindReport:
		v.showReport(f, a)
	default:
		v.done(f, a)
	}
}

// do makes the call of a form that was sent, or of a button.
func (p *pages) do(v *visit) {
	name := v.r.PathValue("func")
	f := p.core.Function(name)
	switch {
	case f == nil:
		_, err := v.call(name, nil) // the core says why
		v.failure(err)
	case v.own["_drop"] != "" || v.own["_narrow"] != "":
		v.narrow(f)
	case f.Kind == wire.KindForm:
		v.send(f)
	default:
		a, err := v.change(name, v.params)
		if err != nil {
			v.refused(f, err)
			return
		}
		v.page(name, a)
	}
}

// refused goes back to where a button was pressed and says why nothing was done.
func (v *visit) refused(f *core.Function, err error) {
	if e, ok := errors.AsType[*core.Error](err); ok && e.Type == "auth" {
		v.toLogin()
		return
	}
	v.tab.tell(&notice{Kind: "error", Title: v.buttonLabel(f.Name), Text: v.sentence(err)})
	v.redirect(v.backURL(f.Name))
}

// done goes on after a success, to where the function says, and tells there what
// happened.
func (v *visit) done(f *core.Function, a *core.Answer) {
	if a.Auth != nil {
		v.become(a.Auth.ID)
		return
	}
	n := v.outcome(f, a)
	if a.Filter != nil {
		v.tab.rewind(a.Filter.Func)
		if n.Short() {
			n = nil // the list itself shows by what it is narrowed
		}
	}
	to := a.Redirect
	if to == nil || to.Func == "" {
		v.tab.tell(n)
		v.redirect(v.backURL(f.Name))
		return
	}
	if to.Type == "url" {
		if u, err := url.Parse(to.Func); err == nil && (u.Scheme == "https" || u.Scheme == "http") && n != nil {
			n.Link = to.Func
		}
		v.tab.tell(n)
		v.redirect(v.backURL(f.Name))
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(to.Func, "func="), "&")
	q, err := url.ParseQuery(rest)
	if err != nil {
		v.failure(err)
		return
	}
	next := v.core.Function(name)
	if next != nil && !slices.Contains(shown, next.Kind) {
		v.goOn(f, next, q)
		return
	}
	v.tab.tell(n)
	to.Func = name
	if len(q) == 0 {
		v.redirect(v.listURL(name, v.objectOf(name)))
		return
	}
	v.redirect(functionURL(name, q))
}

// goOn makes the call that the answer of another asks for, such as a session as
// another user. One is enough.
func (v *visit) goOn(f, next *core.Function, q url.Values) {
	params := map[string]string{}
	for name := range q {
		params[name] = q.Get(name)
	}
	a, err := v.call(next.Name, params)
	switch {
	case err != nil:
		v.refused(f, err)
	case a.Auth != nil:
		v.become(a.Auth.ID)
	default:
		v.tab.tell(v.outcome(next, a))
		v.redirect(v.backURL(f.Name))
	}
}

// functionURL is the address of the page of a function.
func functionURL(name string, q url.Values) string {
	u := "/f/" + url.PathEscape(name)
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	return u
}

// pageURL is the address of the page of a function with parameters, given as
// names and values in turn; those without a value are left out.
func pageURL(name string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return functionURL(name, q)
}

// pageURLWith is pageURL with the parameters of a page that is shown and others in
// their place.
func pageURLWith(name string, params map[string]string, pairs ...string) string {
	all := maps.Clone(params)
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	pairs = pairs[:0:0]
	for q, value := range all {
		pairs = append(pairs, q, value)
	}
	return pageURL(name, pairs...)
}

func query(params map[string]string) string {
	q := url.Values{}
	for name, value := range params {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

// objectOf is the object whose list of that name the visit came from: forms and
// buttons of such a list carry it as plid.
func (v *visit) objectOf(list string) string {
	if v.own["_list"] == list || v.own["_list"] == "" {
		return v.params["plid"]
	}
	return ""
}

// listURL is the address of a list at the place where it was last seen, of that
// object if it is of one.
func (v *visit) listURL(list, object string) string {
	if place := v.tab.place(list); place != "" {
		if q, err := url.ParseQuery(place); err == nil && q.Get("elid") == object {
			return functionURL(list, q)
		}
	}
	return pageURL(list, "elid", object)
}

// backURL is where one goes after the function of a button or a form: the list
// that it was called from, else one that has a button for it.
func (v *visit) backURL(function string) string {
	list := v.own["_list"]
	if list == "" {
		list = v.parent(function)
	}
	if f := v.core.Function(list); f == nil || !slices.Contains(shown, f.Kind) {
		return "/"
	}
	return v.listURL(list, v.objectOf(list))
}
