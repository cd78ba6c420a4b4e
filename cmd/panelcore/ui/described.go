package ui

import (
	"slices"
	"strings"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
	"maildomain/rpc/wire"
)

// described returns the metadata of a function as far as the caller's level goes;
// an empty element where there is none.
func (v *visit) described(f *core.Function) *tree.Node {
	if f == nil || f.Metadata == nil {
		return tree.Elem("metadata")
	}
	return core.ForLevel(f.Metadata, v.by.Level)
}

// may says whether the caller may call the function of that name.
func (v *visit) may(name string) *core.Function {
	f := v.core.Function(name)
	if f == nil || levelRank[v.by.Level] < levelRank[f.Level] {
		return nil
	}
	return f
}

var levelRank = map[string]int{"user": 1, "reseller": 2, "admin": 3}

// each calls f with n and all below it.
func each(n *tree.Node, f func(*tree.Node)) {
	f(n)
	for _, c := range n.Children {
		each(c, f)
	}
}

// children returns the children of that name of the child of that name.
func children(n *tree.Node, names ...string) []*tree.Node {
	level := []*tree.Node{n}
	for _, name := range names {
		var next []*tree.Node
		for _, n := range level {
			for _, c := range n.Children {
				if c.Name == name {
					next = append(next, c)
				}
			}
		}
		level = next
	}
	return level
}

// parent returns the list that has a button, or a cell, for the function: the one
// whose name it begins with if that has, else the first by name; empty for none.
func (v *visit) parent(function string) string {
	var parents []string
	for f := range v.core.Functions() {
		if f.Name != function && f.Kind == wire.KindList && f.Metadata != nil && mentions(f.Metadata, function) {
			parents = append(parents, f.Name)
		}
	}
	near, _, _ := cutLast(function, ".")
	if slices.Contains(parents, near) {
		return near
	}
	if len(parents) > 0 {
		return slices.Min(parents)
	}
	if f := v.core.Function(near); f != nil && f.Kind == wire.KindList {
		return near
	}
	return ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func mentions(n *tree.Node, function string) (found bool) {
	each(n, func(n *tree.Node) {
		found = found || n.Attr("func") == function || n.Attr("onenable") == function || n.Attr("ondisable") == function
	})
	return found
}

// buttonLabel is what the button for a function is called in the list that has
// it, else the title of the function.
func (v *visit) buttonLabel(function string) string {
	list := v.core.Function(v.parent(function))
	t := v.textsOf(function)
	if list != nil && list.Metadata != nil {
		lt := newTexts(list.Messages, v.lang)
		label := ""
		each(list.Metadata, func(n *tree.Node) {
			if n.Name == "toolbtn" && n.Attr("func") == function && label == "" {
				label = lt["short_"+n.Attr("name")]
			}
		})
		if label != "" {
			return label
		}
	}
	return t.label("title", function)
}
