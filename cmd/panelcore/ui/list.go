package ui

import (
	"encoding/json"
	"net/http"
	"slices"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A listPage shows a page of rows, what can be done with them, and the filter.
type listPage struct {
	Func, Title, Object string
	Back                string // the list that this one belongs to
	Toolbar, Context    []buttonGroup
	Posts               []string // functions that buttons and cells call with a POST
	Gets                []string // and those that they open
	Cols                []column
	Rows                []row
	Pick                bool // rows can be chosen
	Filter              *filterBar
	Pager               pager
	ID                  string // of this page, for the calls made from it
	CSRF                string
	Elid                string // of the object whose list this is
	T                   map[string]string
}

type buttonGroup struct {
	Name    string
	Buttons []button
}

type button struct {
	Name, Label, Hint, Icon string
	Ask                     string // what is said before it is done
	Func                    string
	Type                    string // new, edit, editlist, group, groupform, window
	Post                    bool   // it is done, not opened
	Confirm                 bool
	Danger                  bool
	Default                 bool
	URL                     string // of new and of no other
	Rules                   string // JSON for app.js: on which rows it is hidden
}

// NeedsRow says whether the button is for chosen rows.
func (b button) NeedsRow() bool { return b.Type != "new" }

type row struct {
	Key, Name string
	Cells     []cell
	States    string // JSON: what the rules of buttons ask of the row
}

// showList answers with the page of a list.
func (v *visit) showList(f *core.Function, a *core.Answer) {
	meta, t := v.described(f), newTexts(f.Messages, v.lang)
	l := &listPage{
		Func: f.Name, Title: t.label("title", f.Name), Elid: v.params["elid"], ID: newID(), CSRF: v.token(), T: v.words,
	}
	if l.Object = unicodeName(l.Elid); l.Object != "" {
		if up := v.parent(f.Name); up != "" {
			l.Back = v.listURL(up, "")
		}
	}
	l.Toolbar = v.buttons(l, t, children(meta, "toolbar", "toolgrp"))
	l.Context = v.buttons(l, t, children(meta, "contextmenu", "toolgrp"))
	if len(l.Context) == 0 {
		l.Context = rowButtons(l.Toolbar)
	}
	l.Pick = slices.ContainsFunc(l.Toolbar, func(g buttonGroup) bool { return slices.ContainsFunc(g.Buttons, button.NeedsRow) })
	l.Cols = v.columns(l, f, meta, t, a)
	asked := l.asked(meta)
	key, keyname := meta.Attr("key"), meta.Attr("keyname")
	main := defaultButton(l.Toolbar, l.Context)
	for _, e := range a.Elems {
		r := row{Key: e[key], Name: unicodeName(e[keyname])}
		if r.Name == "" {
			r.Name = unicodeName(r.Key)
		}
		for i, c := range l.Cols {
			cell := c.cell(e, t, v.words)
			if i == 0 && main != nil && r.Key != "" {
				cell.URL = pageURL(main.Func, "elid", r.Key, "plid", l.Elid, "_list", l.origin())
			}
			r.Cells = append(r.Cells, cell)
		}
		r.States = states(e, asked)
		l.Rows = append(l.Rows, r)
	}
	l.Pager = newPager(f.Name, v.params, a)
	l.Filter = v.filterBar(f, a)
	slices.Sort(l.Posts)
	l.Posts = slices.Compact(l.Posts)
	slices.Sort(l.Gets)
	l.Gets = slices.Compact(l.Gets)
	title := l.Title
	if l.Object != "" {
		title += ": " + l.Object
	}
	v.render(http.StatusOK, title, l)
}

// origin is the list for what is opened from it, where that could not be told
// otherwise: a list of an object may share functions with the list of objects.
func (l *listPage) origin() string {
	if l.Elid == "" {
		return ""
	}
	return l.Func
}

// buttons returns those that the caller may press.
func (v *visit) buttons(l *listPage, t texts, groups []*tree.Node) []buttonGroup {
	var out []buttonGroup
	for _, g := range groups {
		bg := buttonGroup{Name: g.Attr("name")}
		for _, n := range children(g, "toolbtn") {
			f := v.may(n.Attr("func"))
			if f == nil {
				continue
			}
			name := n.Attr("name")
			b := button{
				Name: name, Label: t.label("short_"+name, name), Hint: t["hint_"+name], Icon: icon(n.Attr("img")),
				Func: f.Name, Type: n.Attr("type"), Post: !slices.Contains(shown, f.Kind), Default: n.Attr("default") == "yes",
				Rules: rules(n),
			}
			b.Confirm, b.Ask = b.Type == "group", firstOf(t, b.Hint, "confirm_"+name)
			b.Danger = b.Icon == "trash-2"
			if b.Type == "new" {
				b.URL = pageURL(f.Name, "plid", l.Elid, "_list", l.origin())
			}
			if b.Post {
				l.Posts = append(l.Posts, f.Name)
			} else if b.NeedsRow() {
				l.Gets = append(l.Gets, f.Name)
			}
			bg.Buttons = append(bg.Buttons, b)
		}
		if len(bg.Buttons) > 0 {
			out = append(out, bg)
		}
	}
	return out
}

// rowButtons are the buttons for rows, as the menu of a row for which there is no
// menu of its own.
func rowButtons(groups []buttonGroup) []buttonGroup {
	var out []buttonGroup
	for _, g := range groups {
		g.Buttons = slices.DeleteFunc(slices.Clone(g.Buttons), func(b button) bool { return !b.NeedsRow() })
		if len(g.Buttons) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// defaultButton is what opening a row does.
func defaultButton(groups ...[]buttonGroup) *button {
	for _, gs := range groups {
		for _, g := range gs {
			for i, b := range g.Buttons {
				if b.Default && b.NeedsRow() && !b.Post {
					return &g.Buttons[i]
				}
			}
		}
	}
	return nil
}

// rules are the cells on which a button is hidden or shown, as app.js reads them.
func rules(n *tree.Node) string {
	r := map[string][][2]string{}
	for _, c := range n.Children {
		if c.Name == "hide" || c.Name == "show" {
			r[c.Name] = append(r[c.Name], [2]string{c.Attr("name"), c.Attr("value")})
		}
	}
	if len(r) == 0 {
		return ""
	}
	return marshal(r)
}

// asked are the columns that rules of buttons look at.
func (l *listPage) asked(meta *tree.Node) []string {
	var names []string
	each(meta, func(n *tree.Node) {
		if (n.Name == "hide" || n.Name == "show") && n.Attr("name") != "" {
			names = append(names, n.Attr("name"))
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func states(e map[string]string, asked []string) string {
	if len(asked) == 0 {
		return ""
	}
	m := make(map[string]string, len(asked))
	for _, name := range asked {
		m[name] = e[name]
	}
	return marshal(m)
}

func marshal(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err) // strings marshal
	}
	return string(b)
}
