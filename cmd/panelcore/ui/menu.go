package ui

import (
	"slices"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A menuGroup is a heading of the menu and what stands below it.
type menuGroup struct {
	Label   string
	Entries []menuEntry
}

type menuEntry struct {
	Label, URL string
	Here       bool
}

// menu returns what the caller can go to, module after module.
func (v *visit) menu() []menuGroup {
	var groups []menuGroup
	here := v.r.PathValue("func")
	for above := 0; v.r.PathValue("func") != "" && above < 4 && !v.inMenu(here); above++ {
		here = v.parent(here)
	}
	for _, m := range v.core.Menus() {
		t := newTexts(m.Texts, v.lang)
		first := len(groups)
		for _, root := range m.Nodes {
			if levelRank[v.by.Level] < levelRank[root.Attr("level")] {
				continue
			}
			for _, n := range core.ForLevel(root, v.by.Level).Children {
				g := menuGroup{Label: t.label("menu_"+n.Attr("name"), n.Attr("name"))}
				each(n, func(e *tree.Node) {
					if f := v.may(e.Attr("action")); e.Attr("action") != "" && f != nil {
						g.Entries = append(g.Entries, menuEntry{
							Label: t.label("menu_"+e.Attr("name"), e.Attr("name")), URL: pageURL(f.Name), Here: f.Name == here,
						})
					}
				})
				// What a module adds for higher levels may stand under the same heading.
				if i := slices.IndexFunc(groups[first:], func(o menuGroup) bool { return o.Label == g.Label }); i >= 0 {
					groups[first+i].Entries = append(groups[first+i].Entries, g.Entries...)
				} else if len(g.Entries) > 0 {
					groups = append(groups, g)
				}
			}
		}
	}
	return groups
}

func (v *visit) inMenu(function string) (found bool) {
	for _, m := range v.core.Menus() {
		for _, root := range m.Nodes {
			each(root, func(n *tree.Node) { found = found || n.Attr("action") == function && function != "" })
		}
	}
	return found
}
