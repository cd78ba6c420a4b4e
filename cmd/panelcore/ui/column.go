package ui

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A column of a list.
type column struct {
	Name, Label string
	Type        string // data, msg, prop, toggle
	Number      bool
	SortURL     string // empty: cannot be sorted by
	Sorted      string // ascending, descending; empty for not
	punycode    bool
	bytes       bool
	copy        bool
	props       []prop
	enable      string // functions of a toggle
	disable     string
	toggled     string // the value that it shows
}

type prop struct{ name, value, img, label string }

// A cell of a row.
type cell struct {
	Type  string
	Text  string
	Title string // what the text stands for, where it is shown otherwise
	Copy  string // what a press copies; empty: nothing does
	URL   string // of the first cell: what opening the row does
	Icons []stateIcon
	On    bool   // of a toggle
	Func  string // of a toggle: what changes it; empty for not by this caller
	Label string
	Num   bool
	Time  bool
}

// instant writes a time as people read it, which a program writes by RFC 3339.
func instant(s string) (string, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' {
		return "", false
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "", false
	}
	return at.UTC().Format("2006-01-02 15:04:05") + "\u00a0UTC", true
}

type stateIcon struct{ Icon, Label, Class string }

// columns returns the columns of a list, or of a report that describes them.
func (v *visit) columns(l *listPage, f *core.Function, meta *tree.Node, t texts, a *core.Answer) []column {
	var cols []column
	for _, n := range children(meta, "coldata", "col") {
		name := n.Attr("name")
		c := column{
			Name: name, Label: t.label(name), Type: n.Attr("type"), Number: n.Attr("sort") == "digit",
			punycode: n.Attr("convert") == "punycode", bytes: n.Attr("convert") == "bytes", copy: n.Attr("copy") == "yes",
		}
		for _, x := range n.Children {
			switch x.Name {
			case "prop":
				c.props = append(c.props, prop{x.Attr("name"), x.Attr("value"), x.Attr("img"),
					firstOf(t, humanName(x.Attr("name")), "prop_"+x.Attr("name")+"_"+x.Attr("value"), x.Attr("name")+"_"+x.Attr("value"), "hint_p_"+x.Attr("name"), x.Attr("name"))})
			case "toggle":
				c.toggled = x.Attr("name")
				if on, off := v.may(x.Attr("onenable")), v.may(x.Attr("ondisable")); on != nil && off != nil && l != nil {
					c.enable, c.disable = on.Name, off.Name
					l.Posts = append(l.Posts, on.Name, off.Name)
				}
			}
		}
		if n.Attr("sort") != "" && l != nil {
			order := "asc"
			if a.PSort == name || n.Attr("sorted") == "yes" && !sortable(meta, a.PSort) {
				c.Sorted = "ascending"
				if a.POrder == "desc" {
					c.Sorted = "descending"
				} else {
					order = "desc"
				}
			}
			c.SortURL = pageURLWith(f.Name, v.params, "p_num", "", "p_sort", name, "p_order", order)
		}
		cols = append(cols, c)
	}
	return cols
}

// sortable says whether there is a column of that name to sort by. The order of a
// column that only shows another is known by that other's name.
func sortable(meta *tree.Node, name string) bool {
	return slices.ContainsFunc(children(meta, "coldata", "col"), func(n *tree.Node) bool { return n.Attr("name") == name && n.Attr("sort") != "" })
}

// firstOf returns the first of the messages that there is, else otherwise.
func firstOf(t texts, otherwise string, keys ...string) string {
	for _, k := range keys {
		if t[k] != "" {
			return t[k]
		}
	}
	return otherwise
}

// cell shows what row e has in the column.
func (c *column) cell(e map[string]string, t texts, words map[string]string) cell {
	x := cell{Type: c.Type, Text: e[c.Name], Num: c.Number}
	switch c.Type {
	case "msg":
		if x.Text != "" {
			x.Text = firstOf(t, x.Text, c.Name+"_"+x.Text, x.Text)
		}
	case "prop":
		x.Text = ""
		for _, p := range c.props {
			if e[p.name] == p.value {
				x.Icons = append(x.Icons, stateIcon{icon(p.img), p.label, iconClass(p.img)})
			}
		}
	case "toggle":
		x.On = e[c.toggled] == "on"
		x.Func = c.enable
		if x.On {
			x.Func = c.disable
		}
		x.Label, x.Text = c.Label, words["off"]
		if x.On {
			x.Text = words["on"]
		}
	}
	if c.copy {
		x.Copy = x.Text
	}
	if c.bytes && x.Text != "" {
		x.Text, x.Title = size(x.Text, words["units"]), x.Text
	}
	if at, ok := instant(x.Text); ok && c.Type == "data" {
		x.Text, x.Title, x.Time = at, x.Text, true
	}
	if c.punycode {
		if u := unicodeName(x.Text); u != x.Text {
			x.Text, x.Title = u, x.Text
		}
	}
	return x
}

// size is a number of bytes as people read it; units are the words for bytes and each
// 1,024 times more.
func size(bytes, units string) string {
	n, err := strconv.ParseFloat(bytes, 64)
	if err != nil {
		return bytes
	}
	words := strings.Fields(units)
	i := 0
	for ; n >= 1024 && i < len(words)-1; i++ {
		n /= 1024
	}
	digits := 0
	if i > 0 && n < 10 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + words[i]
}

// icons are the pictures for the names that metadata gives them, without the
// letter for their place (t- in a toolbar, p- in a row).
var icons = map[string]string{
	"new": "plus", "edit": "pencil", "delete": "trash-2", "on": "power", "off": "power-off", "go": "log-in",
	"set": "settings-2", "filter": "funnel", "filterhappy": "funnel-plus", "editlist": "list", "attr": "info",
	"retry": "undo-2", "refresh": "refresh-cw", "folder": "folder", "fail": "circle-x", "tick-green": "circle-check",
	"no-grey": "circle-minus", "procin": "loader", "wait": "clock", "warn": "triangle-alert", "key": "key-round",
	"ssl": "shield-check", "check": "circle-check", "file": "file-text", "web": "globe", "view": "eye", "stat": "chart-column", "clear": "rotate-ccw",
}

func icon(img string) string {
	if i, ok := icons[img]; ok {
		return i
	}
	if len(img) > 2 && img[1] == '-' {
		if img[0] == 'p' && (img[2:] == "on" || img[2:] == "off") {
			return map[string]string{"on": "circle-check", "off": "circle-minus"}[img[2:]]
		}
		if i, ok := icons[img[2:]]; ok {
			return i
		}
	}
	return "circle"
}

// iconClass is what a state means by its picture: good, bad or neither.
func iconClass(img string) string {
	switch icon(img) {
	case "circle-check", "shield-check":
		return "good"
	case "circle-x":
		return "bad"
	case "triangle-alert", "loader", "clock":
		return "warn"
	}
	return "calm"
}

// columnNames orders the names of values: as described, then by name.
func columnNames(rows []map[string]string, order []string) []string {
	var names, rest []string
	have := map[string]bool{}
	for _, e := range rows {
		for name := range e {
			have[name] = true
		}
	}
	for _, name := range order {
		if have[name] {
			names = append(names, name)
			delete(have, name)
		}
	}
	for name := range have {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	return append(names, rest...)
}
