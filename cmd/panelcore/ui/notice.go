package ui

import (
	"slices"
	"strconv"

	"maildomain/cmd/panelcore/core"
	"maildomain/rpc/wire"
)

// A notice says what came of a call, on the page that follows it.
type notice struct {
	Kind    string // ok, warn, error
	Title   string
	Text    string
	Rows    []noticeRow
	Records []wire.DNSRecord
	Said    []string // what else is to be known
	Link    string   // to another server, where the function says to go on
}

// Short says whether the notice is a line that can stand beside the page without
// moving it.
func (n *notice) Short() bool {
	return n.Kind == "ok" && len(n.Records) == 0 && len(n.Said) == 0 && n.Link == ""
}

type noticeRow struct {
	Object string
	OK     bool
	Text   string
}

// outcome is the notice of a success, which of a group of objects some may have
// missed.
func (v *visit) outcome(f *core.Function, a *core.Answer) *notice {
	n := &notice{Kind: "ok", Title: v.buttonLabel(f.Name), Text: v.words["done"], Records: a.DNS}
	if f.Kind == wire.KindForm && len(a.Done) == 0 {
		n.Title, n.Text = newTexts(f.Messages, v.lang).label("title", f.Name), v.words["saved"]
		if a.ID != "" {
			n.Text += ": " + unicodeName(a.ID)
		}
	}
	for _, x := range a.Notes {
		n.Said = append(n.Said, upperFirst(x.Said))
		if x.State == wire.NoteFailed {
			n.Kind = "warn"
		}
	}
	good := 0
	for _, d := range a.Done {
		row := noticeRow{Object: unicodeName(d.Elid), OK: d.OK}
		if d.OK {
			good++
		} else if d.Error != nil {
			row.Text = upperFirst(d.Error.Msg)
		}
		n.Rows = append(n.Rows, row)
	}
	switch {
	case len(a.Done) == 0:
	case good == 0:
		n.Kind, n.Text = "error", v.words["all_failed"]
	case good < len(a.Done):
		n.Kind, n.Text = "warn", v.words["some_failed"]
	case good == 1:
		n.Text = n.Rows[0].Object
		n.Rows = nil
	default:
		n.Text += ": " + strconv.Itoa(good)
	}
	slices.SortStableFunc(n.Rows, func(a, b noticeRow) int { // what failed is what one looks for
		switch {
		case a.OK == b.OK:
			return 0
		case b.OK:
			return -1
		}
		return 1
	})
	return n
}
