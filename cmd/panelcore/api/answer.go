package api

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
	"maildomain/rpc/wire"
)

// success returns the answer of a call as a tree.
func (e *endpoint) success(q *query, a *core.Answer, by core.Caller) *tree.Node {
	f := e.core.Function(q.function)
	doc := root(q)
	switch {
	case a.Auth != nil:
		doc.Add(tree.Elem("auth", "id", a.Auth.ID, "level", a.Auth.Level))
	case a.Kind == wire.KindList:
		addList(doc, &a.Result, f)
	case a.Kind == wire.KindForm:
		addForm(doc, &a.Result, f)
	case a.Kind == wire.KindReport:
		addForm(doc, &a.Result, f)
		doc.Add(rows(a.Elems, f)...)
		doc.Always("elem")
	case a.Kind == wire.KindOK:
		addOK(doc, &a.Result, q.lang)
	default:
		e.log.Error().Str("func", q.function).Str("kind", a.Kind).Msg("module answered with a kind that is not known")
		return e.failure(q, core.Internal(q.id))
	}
	if q.pages && f != nil {
		addDescription(doc, f, by.Level, q.lang)
	}
	return doc
}

func root(q *query) *tree.Node { return tree.Elem("doc", "lang", q.lang, "func", q.function) }

// echo returns the request as the answer repeats it.
func (e *endpoint) echo(q *query) *tree.Node {
	echo := tree.Elem("tparams")
	f := e.core.Function(q.function)
	for _, name := range slices.Sorted(maps.Keys(q.sent)) {
		if tree.IsName(name) && !isSecret(name) && (f == nil || !f.Secret[name]) {
			echo.Add(tree.Value(name, q.sent[name]))
		}
	}
	return echo
}

// isSecret says whether a parameter is never echoed, whatever the metadata says:
// a function may be unknown, and a client may send a password under another name.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return name == "auth" || name == "confirm" || name == "key" || strings.Contains(name, "authinfo") ||
		strings.Contains(name, "passw") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}

func addList(doc *tree.Node, r *wire.Result, f *core.Function) {
	doc.Add(rows(r.Elems, f)...)
	doc.Always("elem")
	doc.Add(
		tree.Value("p_elems", strconv.FormatInt(r.PElems, 10)),
		tree.Value("p_num", strconv.Itoa(r.PNum)),
		tree.Value("p_cnt", strconv.Itoa(r.PCnt)),
		tree.Value("p_sort", r.PSort),
		tree.Value("p_order", r.POrder),
	)
	if len(r.Filters) > 0 {
		filters := tree.Elem("filters")
		for _, x := range r.Filters {
			filters.Add(tree.Elem("filter", "name", x.Name).Set(x.Value))
		}
		doc.Add(filters)
	}
}

// rows returns the rows of a list, each with its values in the order of the
// metadata and then of their names.
func rows(elems []map[string]string, f *core.Function) []*tree.Node {
	var names []string
	known := map[string]bool{}
	if f != nil {
		for _, name := range f.Columns {
			names, known[name] = append(names, name), true
		}
	}
	described := len(names)
	for _, e := range elems {
		for name := range e {
			if !known[name] {
				names, known[name] = append(names, name), true
			}
		}
	}
	slices.Sort(names[described:])
	nodes := make([]*tree.Node, len(elems))
	for i, e := range elems {
		nodes[i] = tree.Elem("elem")
		nodes[i].Children = make([]*tree.Node, 0, len(e))
		for _, name := range names {
			if v, ok := e[name]; ok {
				nodes[i].Add(tree.Value(name, v))
			}
		}
	}
	return nodes
}

func addForm(doc *tree.Node, r *wire.Result, f *core.Function) {
	if len(r.Values) > 0 {
		doc.Add(rows([]map[string]string{r.Values}, f)[0].Children...)
	}
	for _, name := range slices.Sorted(maps.Keys(r.SLists)) {
		list := tree.Elem("slist", "name", name).Always("val")
		for _, o := range r.SLists[name] {
			list.Add(tree.Elem("val", "key", o.Key).Set(o.Label))
		}
		doc.Add(list)
	}
	for _, name := range r.Hidden {
		doc.Add(tree.Elem("hide", "name", name))
	}
}

// addOK writes a success. A group operation of which every object failed is no
// success: it is shown as the error of its first, as the call with one object is.
func addOK(doc *tree.Node, r *wire.Result, lang string) {
	if len(r.Done) > 0 && !slices.ContainsFunc(r.Done, func(d wire.Done) bool { return d.OK }) {
		doc.Add(errorNode(r.Done[0].Error, lang))
	} else {
		okNode := tree.Elem("ok")
		if r.Redirect != nil {
			okNode = tree.Elem("ok", "type", r.Redirect.Type).Set(redirect(r.Redirect))
		}
		doc.Add(okNode)
	}
	if r.ID != "" {
		doc.Add(tree.Value("id", r.ID))
	}
	if len(r.DNS) > 0 {
		list := tree.Elem("list", "name", "dns")
		for _, x := range r.DNS {
			list.Add(tree.Elem("elem").Add(tree.Value("name", x.Name), tree.Value("type", x.Type), tree.Value("value", x.Value), tree.Value("state", x.State)))
		}
		doc.Add(list)
	}
	if len(r.Notes) > 0 {
		list := tree.Elem("list", "name", "notes")
		for _, x := range r.Notes {
			list.Add(tree.Elem("elem").Add(tree.Value("object", x.Object), tree.Value("state", x.State), tree.Value("said", x.Said)))
		}
		doc.Add(list)
	}
	if len(r.Done) > 0 {
		list := tree.Elem("list", "name", "done")
		for _, d := range r.Done {
			row := tree.Elem("elem").Add(tree.Value("elid", d.Elid))
			if d.OK {
				row.Add(tree.Elem("ok"))
			} else {
				row.Add(errorNode(d.Error, lang))
			}
			list.Add(row)
		}
		doc.Add(list)
	}
}

// redirect returns where a page goes next: the query of a call, or an address.
func redirect(r *wire.Redirect) string {
	if r.Func == "" || r.Type == "url" || strings.HasPrefix(r.Func, "func=") {
		return r.Func
	}
	return "func=" + r.Func
}

// failure returns an error as a tree.
func (e *endpoint) failure(q *query, err error) *tree.Node {
	x, ok := errors.AsType[*core.Error](err)
	if !ok {
		e.log.Error().Err(err).Str("func", q.function).Msg("call failed")
		x = core.Internal(q.id)
	}
	return root(q).Add(errorNode(&wire.ErrorData{Type: x.Type, Object: x.Object, Value: x.Value, Msg: x.Text(q.lang)}, q.lang))
}

// errorNode returns an error in the panel's form. Clients fill __object__ and
// __value__ in the texts from the params.
func errorNode(d *wire.ErrorData, lang string) *tree.Node {
	if d == nil {
		d = &wire.ErrorData{Type: "internal"}
	}
	msg := d.Msg
	if msg == "" {
		msg = d.Type
	}
	return tree.Elem("error", "type", d.Type, "object", d.Object, "lang", lang, "code", "1").Add(
		tree.Elem("param", "name", "object", "type", "msg").Set(d.Object),
		tree.Elem("param", "name", "value").Set(d.Value),
		tree.Value("detail", msg),
		tree.Value("msg", msg),
	)
}

// addDescription adds what a page needs to show the answer: how it looks, as far
// as this level goes, and the texts in its language.
func addDescription(doc *tree.Node, f *core.Function, level, lang string) {
	if f.Metadata != nil {
		doc.Add(core.ForLevel(f.Metadata, level))
	}
	messages := f.Messages[lang]
	if messages == nil {
		messages = f.Messages["en"]
	}
	if messages != nil {
		doc.Add(messages)
	}
}
