package ui

import (
	"fmt"
	"slices"
	"strconv"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/tree"
)

// A chart shows numbers of the rows of a report as bars, each series by itself and in
// a scale of its own: large ones do not hide small ones, and no colour has to be told
// from another. The table below has the same numbers for who does not see it.
type chart struct {
	Title  string
	Series []series
}

// A series is one column of the rows.
type series struct {
	Label, Hint string
	Sum, Said   string // Said is all that the picture shows, in words
	First, Last string // row
	Most        string
	Width       int
	Bars        []bar
}

// A bar is a number that is not 0. Lengths are units of the picture, whose height is
// chartHeight.
type bar struct {
	X, Width, Height int
	Title            string
}

const (
	chartHeight = 40
	chartStep   = 10   // from a bar to the next
	chartMost   = 1000 // rows
)

// charts are those that the metadata describes, of the rows that were answered.
func (v *visit) charts(meta *tree.Node, t texts, a *core.Answer) []chart {
	rows := slices.Clone(a.Elems[:min(len(a.Elems), chartMost)])
	if len(rows) == 0 {
		return nil
	}
	var all []chart
	for _, n := range children(meta, "chart") {
		x := n.Attr("x")
		shown := rows
		if n.Attr("reverse") == "yes" {
			shown = slices.Clone(rows)
			slices.Reverse(shown)
		}
		c := chart{Title: t.label(x)}
		for _, s := range children(n, "series") {
			c.Series = append(c.Series, v.series(t, s.Attr("name"), x, shown))
		}
		all = append(all, c)
	}
	return all
}

// series draws the column name of rows.
func (v *visit) series(t texts, name, x string, rows []map[string]string) series {
	s := series{
		Label: t.label(name), Hint: t["hint_"+name], Width: len(rows) * chartStep,
		First: rows[0][x], Last: rows[len(rows)-1][x],
	}
	numbers := make([]float64, len(rows))
	sum, most, at := 0.0, 0.0, ""
	for i, r := range rows {
		n, err := strconv.ParseFloat(r[name], 64)
		if err != nil || !(n > 0 && n < 1e15) {
			continue
		}
		numbers[i] = n
		sum += n
		if n > most {
			most, at = n, r[x]
		}
	}
	for i, n := range numbers {
		if n > 0 {
			s.Bars = append(s.Bars, bar{i*chartStep + 1, chartStep - 2, max(1, int(n/most*chartHeight)), rows[i][x] + ": " + number(n)})
		}
	}
	s.Sum, s.Most = number(sum), number(most)
	s.Said = fmt.Sprintf("%s, %s – %s: %s %s", s.Label, s.First, s.Last, s.Sum, v.words["in_all"])
	if most > 0 {
		s.Said += fmt.Sprintf(", %s %s (%s)", v.words["at_most"], s.Most, at)
	}
	return s
}

// Y is where the bar begins, from above.
func (b bar) Y() int { return chartHeight - b.Height }

// number writes a number without an exponent.
func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
