package ui

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A reportPage says how something is: values about the whole, and rows.
type reportPage struct {
	Func, Title, Object string
	Back                string
	Values              []labelled
	Charts              []chart
	Cols                []column
	Rows                []reportRow
	T                   map[string]string

	Preview []would // what a call would change, by object, instead of rows
	Empty   bool
}

type labelled struct{ Label, Text string }

type reportRow struct {
	Cells []cell
	Diff  []diffLine
}

// A would is what a call would do to an object.
type would struct {
	Object   string
	Settings []setting
	Diffs    []diff
	Errors   []string
}

type setting struct{ Label, Before, After string }

type diff struct {
	Name  string
	Lines []diffLine
}

// A diffLine is a line of a unified diff; Class is add, del, at, or empty.
type diffLine struct{ Class, Text string }

func (v *visit) showReport(f *core.Function, a *core.Answer) {
	meta, t := v.described(f), newTexts(f.Messages, v.lang)
	r := &reportPage{Func: f.Name, Title: t.label("title", f.Name), Object: unicodeName(cmp.Or(v.params["elid"], v.params["plid"])), Back: v.backURL(f.Name), T: v.words}
	if a.Values["dry_run"] == "on" {
		r.Preview = previews(t, a)
		r.Empty = len(r.Preview) == 0
	}
	if r.Preview == nil {
		r.Charts = v.charts(meta, t, a)
	}
	r.Values = v.values(t, f, meta, a)
	if r.Preview == nil {
		r.Cols = v.columns(nil, f, meta, t, a)
		if len(r.Cols) == 0 {
			for _, name := range columnNames(a.Elems, f.Columns) {
				if name != "diff" {
					r.Cols = append(r.Cols, column{Name: name, Label: t.label(name), Type: "msg"})
				}
			}
		}
		for _, e := range a.Elems {
			row := reportRow{Diff: diffLines(e["diff"])}
			for i := range r.Cols {
				row.Cells = append(row.Cells, r.Cols[i].cell(e, t, v.words))
			}
			r.Rows = append(r.Rows, row)
		}
	}
	title := r.Title
	if r.Object != "" {
		title += ": " + r.Object
	}
	v.render(http.StatusOK, title, r)
}

// values are those about the whole of a report, in the order of its description. The
// sum of what a chart shows stands there.
func (v *visit) values(t texts, f *core.Function, meta *tree.Node, a *core.Answer) []labelled {
	var drawn []string
	for _, s := range children(meta, "chart", "series") {
		drawn = append(drawn, s.Attr("name"))
	}
	var ls []labelled
	for _, name := range columnNames([]map[string]string{a.Values}, f.Columns) {
		if name == "elid" || name == "plid" || a.Values[name] == "" || len(a.Elems) > 0 && slices.Contains(drawn, name) {
			continue
		}
		text := firstOf(t, v.flagWord(a.Values[name]), name+"_"+a.Values[name])
		if at, ok := instant(text); ok {
			text = at
		}
		ls = append(ls, labelled{t.label(name), unicodeName(text)})
	}
	return ls
}

// preview is the report of a dry run of a form.
func (v *visit) preview(f *core.Function, a *core.Answer) *reportPage {
	t := newTexts(f.Messages, v.lang)
	r := &reportPage{Func: f.Name, Title: v.words["preview_title"], Preview: previews(t, a), T: v.words}
	r.Empty = len(r.Preview) == 0
	for _, name := range columnNames([]map[string]string{a.Values}, nil) {
		if value := a.Values[name]; t["preview_"+name] != "" && value != "" && value != "0" {
			r.Values = append(r.Values, labelled{t["preview_"+name], value})
		}
	}
	return r
}

// previews gathers the rows of a dry run by object: a setting with its value
// before and after, a file with its diff, an error.
func previews(t texts, a *core.Answer) []would {
	ws := []would{}
	for _, e := range a.Elems {
		object := unicodeName(e["elid"])
		i := slices.IndexFunc(ws, func(w would) bool { return w.Object == object })
		if i < 0 {
			ws = append(ws, would{Object: object})
			i = len(ws) - 1
		}
		w := &ws[i]
		switch _, hasDiff := e["diff"]; {
		case e["what"] == "error":
			w.Errors = append(w.Errors, upperFirst(cmp.Or(e["diff"], e["after"], e["name"])))
		case hasDiff:
			w.Diffs = append(w.Diffs, diff{e["name"], diffLines(e["diff"])})
		default:
			name := e["name"]
			w.Settings = append(w.Settings, setting{
				t.label(name), firstOf(t, unicodeName(e["before"]), name+"_"+e["before"]), firstOf(t, unicodeName(e["after"]), name+"_"+e["after"]),
			})
		}
	}
	return ws
}

// diffLines returns the lines of a unified diff without its head, which names
// the file once more.
func diffLines(s string) []diffLine {
	var lines []diffLine
	if i := strings.Index(s, "@@ "); i >= 0 && (i == 0 || s[i-1] == '\n') {
		s = s[i:]
	}
	for line := range strings.Lines(s) {
		d := diffLine{Text: strings.TrimRight(line, "\n")}
		switch {
		case strings.HasPrefix(line, "+"):
			d.Class = "add"
		case strings.HasPrefix(line, "-"):
			d.Class = "del"
		case strings.HasPrefix(line, "@@"):
			d.Class = "at"
		}
		lines = append(lines, d)
	}
	return lines
}
