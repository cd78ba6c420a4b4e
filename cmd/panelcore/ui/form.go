package ui

import (
	"cmp"
	"slices"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A formPage shows the fields of an object.
type formPage struct {
	Func, Title, Object string
	Elid, Plid, List    string
	New                 bool
	Sections            []section
	Hidden              []param // fields that nobody sees, and what the form is of
	Buttons             []formButton
	Back                string
	Conditions          string // JSON for app.js
	Error               string // one that belongs to no field that is shown
	Report              *reportPage
	ID, CSRF            string
	T                   map[string]string

	values  map[string]string
	removed map[string]bool
}

type section struct {
	Name, Label string
	Open, Off   bool
	Fields      []field
}

type formButton struct{ Name, Type, Label string }

// A field is one control with its label.
type field struct {
	Name, Label, Hint, Placeholder string
	Kind                           string // text, password, checkbox, select, radio, textarea, textdata
	Value                          string
	Options                        []option
	Required, ReadOnly, SetValues  bool
	MaxLength, Rows                string
	Digits                         bool
	Off                            string // hidden, or shadow: seen but not to be changed; empty for neither
	Error                          string
	Focus                          bool
	Secret                         bool // a password, or a textarea of that type: never sent back
	Keep                           bool // what was typed into it stays in the browser
	T                              map[string]string
}

// ID is the control's, by which labels and errors name it.
func (f field) ID() string { return "f-" + f.Name }

// Describes lists the elements that say more of the control.
func (f field) Describes() string {
	s := ""
	if f.Error != "" {
		s = f.ID() + "-error"
	}
	if f.Hint != "" {
		if s != "" {
			s += " "
		}
		s += f.ID() + "-hint"
	}
	return s
}

type option struct {
	Key, Label string
	Chosen     bool
}

// newForm makes the page of a form from what its function answered.
func (v *visit) newForm(f *core.Function, a *core.Answer) *formPage {
	meta, t := v.described(f), newTexts(f.Messages, v.lang)
	p := &formPage{
		Func: f.Name, Elid: v.params["elid"], Plid: v.params["plid"], List: v.own["_list"], ID: cmp.Or(v.own["_id"], newID()), CSRF: v.token(), T: v.words,
		values: a.Values,
	}
	if p.values == nil {
		p.values = map[string]string{}
	}
	p.New = p.Elid == ""
	p.Title, p.Object = t.label("title", f.Name), unicodeName(cmp.Or(p.Elid, p.Plid))
	if p.New {
		p.Title = t.label("title_new", "title", f.Name)
	}
	p.Back = v.backURL(f.Name)
	pages := keepFor(p.New, children(meta, "form", "page"))
	conds := conditions(pages)
	p.removed = removed(conds, pages, a.Hidden)
	named := map[string]bool{}
	for _, n := range pages {
		if p.removed[n.Attr("name")] {
			continue
		}
		s := section{Name: n.Attr("name"), Label: t.label(n.Attr("name")), Open: n.Attr("collapsed") != "yes"}
		for _, fn := range keepFor(p.New, children(n, "field")) {
			for _, c := range keepFor(p.New, fn.Children) {
				x := newField(fn, c, t, a)
				if x.Kind == "" || x.Name == "" || p.removed[x.Name] || p.removed[fn.Attr("name")] {
					continue
				}
				x.T = v.words
				x.Required = x.Required && (p.New || !x.Secret) // left empty, it stays as it is
				named[x.Name] = true
				if x.Kind == "hidden" {
					p.Hidden = append(p.Hidden, param{x.Name, x.Value})
					continue
				}
				s.Fields = append(s.Fields, x)
			}
		}
		if len(s.Fields) > 0 {
			p.Sections = append(p.Sections, s)
		}
	}
	for _, own := range []param{{"elid", p.Elid}, {"plid", p.Plid}} {
		if own.Value != "" && !named[own.Name] {
			p.Hidden = append(p.Hidden, own)
		}
	}
	p.apply(conds)
	p.Conditions = conditionsJSON(conds, named)
	for _, b := range children(meta, "form", "buttons", "button") {
		p.Buttons = append(p.Buttons, formButton{b.Attr("name"), b.Attr("type"), cmp.Or(t["button_"+b.Attr("name")], v.words[buttonWord(b.Attr("type"))])})
	}
	if len(p.Buttons) == 0 {
		p.Buttons = []formButton{{"ok", "ok", v.words["save"]}, {"cancel", "cancel", v.words["cancel"]}}
	}
	return p
}

func buttonWord(typ string) string {
	if typ == "ok" {
		return "save"
	}
	return typ
}

// keepFor leaves out what is not for new objects, or not for those that exist.
func keepFor(isNew bool, nodes []*tree.Node) []*tree.Node {
	when := "edit"
	if isNew {
		when = "new"
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *tree.Node) bool { return n.Attr("remove_if") == when })
}

// newField reads one control of a field; its Kind is empty for what is none.
func newField(fn, c *tree.Node, t texts, a *core.Answer) field {
	name := c.Attr("name")
	x := field{
		Name: name, Label: t.label(name), Hint: t["hint_"+name], Placeholder: t["placeholder_"+name], Value: a.Values[name],
		Required: c.Attr("required") == "yes", ReadOnly: c.Attr("readonly") == "yes", SetValues: c.Attr("setvalues") == "yes",
		MaxLength: c.Attr("maxlength"), Rows: cmp.Or(c.Attr("rows"), "4"), Digits: c.Attr("check") == "int",
	}
	if fn.Attr("name") != "" && len(fn.Children) == 1 {
		x.Label = t.label(name, fn.Attr("name"))
		if t[name] == "" {
			x.Label = t.label(fn.Attr("name"))
		}
	}
	switch c.Name {
	case "input":
		x.Kind = cmp.Or(c.Attr("type"), "text")
	case "select":
		x.Kind = "select"
		if c.Attr("type") == "radio" {
			x.Kind = "radio"
		}
		found := false
		for _, o := range a.SLists[name] {
			found = found || o.Key == x.Value
			label := o.Label
			if label == "" || label == o.Key {
				label = firstOf(t, o.Key, name+"_"+o.Key)
			}
			x.Options = append(x.Options, option{o.Key, label, o.Key == x.Value})
		}
		if !found && x.Value != "" { // a form that is saved as it is changes nothing
			x.Options = append([]option{{x.Value, firstOf(t, x.Value, name+"_"+x.Value), true}}, x.Options...)
		}
	case "textarea":
		x.Kind = "textarea"
	case "textdata":
		x.Kind = "textdata"
		if c.Attr("type") == "msg" {
			x.Value = firstOf(t, x.Value, name+"_"+x.Value, name)
		}
	}
	if !slices.Contains([]string{"text", "password", "checkbox", "hidden", "select", "radio", "textarea", "textdata"}, x.Kind) {
		x.Kind = ""
	}
	if x.Secret = c.Attr("type") == "password"; x.Secret {
		x.Value = ""
	}
	return x
}

// fields calls f with each field until it returns false.
func (p *formPage) fields(f func(*section, *field) bool) {
	for i := range p.Sections {
		for j := range p.Sections[i].Fields {
			if !f(&p.Sections[i], &p.Sections[i].Fields[j]) {
				return
			}
		}
	}
}

// seen says whether somebody sees the field.
func seen(s *section, f *field) bool { return !s.Off && f.Off != "hidden" }

// blame puts an error at its field, with the focus there, or above the form when
// the field is not to be seen.
func (p *formPage) blame(name, text string) {
	found := false
	p.fields(func(s *section, f *field) bool {
		if f.Name == name && seen(s, f) && f.Kind != "textdata" {
			f.Error, f.Focus, s.Open, found = text, true, true, true
		}
		return !found
	})
	if !found {
		p.Error = text
	}
}

// incomplete marks the required fields that are empty, and says whether there are any.
func (p *formPage) incomplete(typed map[string]string) bool {
	first := true
	p.fields(func(s *section, f *field) bool {
		if f.Required && seen(s, f) && f.Off == "" && !f.ReadOnly && typed[f.Name] == "" {
			f.Error, f.Focus, s.Open = p.T["fill_in"], first, true
			first = false
		}
		return true
	})
	return !first
}
