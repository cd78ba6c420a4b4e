package ui

import (
	"slices"

	"maildomain/cmd/panelcore/tree"
)

// A condition hides a field or a page while a control has a value. app.js works
// by the same rules when the control changes.
type condition struct {
	Control string `json:"control"`
	Value   string `json:"value"`
	Else    bool   `json:"else,omitempty"`   // it holds while no value of the control's others does
	Hide    string `json:"hide"`             // empty: nothing; its value is only one that else is not about
	Shadow  bool   `json:"shadow,omitempty"` // seen, but not to be changed
}

func conditions(pages []*tree.Node) []condition {
	var cs []condition
	for _, n := range pages {
		each(n, func(control *tree.Node) {
			for _, c := range control.Children {
				if c.Name == "if" || c.Name == "else" && c.Attr("hide") != "" {
					cs = append(cs, condition{control.Attr("name"), c.Attr("value"), c.Name == "else", c.Attr("hide"), c.Attr("shadow") == "yes"})
				}
			}
		})
	}
	return cs
}

func holds(c condition, cs []condition, values map[string]string) bool {
	value := values[c.Control]
	if !c.Else {
		return value == c.Value
	}
	return !slices.ContainsFunc(cs, func(o condition) bool { return o.Control == c.Control && !o.Else && o.Value == value })
}

// removed returns the fields and pages that are not there at all. A module names
// those that it does not offer together with those that the choices made so far
// hide; the latter are what a condition of a control that is there speaks of.
func removed(cs []condition, pages []*tree.Node, hidden []string) map[string]bool {
	gone := map[string]bool{}
	for _, name := range hidden {
		gone[name] = true
	}
	there := map[string]bool{}
	for _, n := range pages {
		each(n, func(c *tree.Node) {
			if c.Name == "input" || c.Name == "select" {
				there[c.Attr("name")] = true
			}
		})
	}
	for changed := true; changed; {
		changed = false
		for _, c := range cs {
			if gone[c.Hide] && there[c.Control] && !gone[c.Control] && c.Hide != c.Control {
				delete(gone, c.Hide)
				changed = true
			}
		}
	}
	return gone
}

// apply hides what the values hide.
func (p *formPage) apply(cs []condition) {
	off := map[string]string{}
	for _, c := range cs {
		if c.Hide != "" && holds(c, cs, p.values) && off[c.Hide] != "hidden" {
			off[c.Hide] = "hidden"
			if c.Shadow {
				off[c.Hide] = "shadow"
			}
		}
	}
	for i := range p.Sections {
		p.Sections[i].Off = off[p.Sections[i].Name] != ""
	}
	p.fields(func(_ *section, f *field) bool {
		f.Off = off[f.Name]
		return true
	})
}

// conditionsJSON are those whose control the page has.
func conditionsJSON(cs []condition, there map[string]bool) string {
	kept := []condition{}
	for _, c := range cs {
		if there[c.Control] {
			kept = append(kept, c)
		}
	}
	return marshal(kept)
}
