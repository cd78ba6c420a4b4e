package ui

import (
	"strings"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
	"maildomain/rpc/wire"
)

// A filterBar shows by what the list is narrowed, and a field to search by.
type filterBar struct {
	Func   string // the form of the filter
	Name   string // of the field to search by; empty for none
	Label  string
	Value  string
	Chips  []chip
	Others []param // conditions beside the search
}

type chip struct{ Name, Label, Value string }

// filterBar returns the bar of a list that has a filter, which by the panel's
// naming is the form FUNC.filter; nil for none.
func (v *visit) filterBar(list *core.Function, a *core.Answer) *filterBar {
	f := v.may(list.Name + ".filter")
	if f == nil || f.Kind != wire.KindForm {
		return nil
	}
	t := newTexts(f.Messages, v.lang)
	b := &filterBar{Func: f.Name}
	each(v.described(f), func(n *tree.Node) {
		if b.Name == "" && n.Name == "input" && n.Attr("type") == "text" {
			b.Name = n.Attr("name")
			b.Label = t.label(b.Name)
		}
	})
	for _, x := range a.Filters {
		value := t[x.Name+"_"+x.Value]
		if value == "" {
			value = v.flagWord(x.Value)
		}
		b.Chips = append(b.Chips, chip{x.Name, t.label(x.Name), unicodeName(value)})
		if x.Name == b.Name {
			b.Value = x.Value
		} else {
			b.Others = append(b.Others, param{x.Name, x.Value})
		}
	}
	return b
}

// flagWord is a flag in words, and everything else as it is.
func (v *visit) flagWord(value string) string {
	switch value {
	case "on", "off":
		return strings.ToLower(v.words[value])
	}
	return value
}

// narrow saves the filter from the bar of a list: all conditions that it was sent
// but for the one to drop, or none.
func (v *visit) narrow(f *core.Function) {
	params := map[string]string{"sok": "ok"}
	for name, value := range v.params {
		if name != v.own["_drop"] && value != "" && v.own["_drop"] != "*" {
			params[name] = value
		}
	}
	a, err := v.change(f.Name, params)
	if err != nil {
		v.refused(f, err)
		return
	}
	if a.Filter != nil {
		v.tab.rewind(a.Filter.Func)
	}
	v.redirect(v.backURL(f.Name))
}
