package ui

import (
	"maps"
	"slices"
	"strconv"

	"maildomain/cmd/panelcore/core"
)

// A pager is where in a list the page stands, and the way to its other pages.
type pager struct {
	Func        string
	Total       int64 // rows of all pages together
	From, To    int64 // the rows of this page, from 1; 0 for none
	Num, Pages  int
	Count       int   // rows a page
	Counts      []int // to choose from
	First, Prev string
	Next, Last  string  // addresses; empty at the end
	KeepForNum  []param // what a form for another page sends along
	KeepForCnt  []param // and one for another number of rows
}

type param struct{ Name, Value string }

// smallestPage is how many rows nobody wants to see on several pages.
const smallestPage = 10

// Many says whether there is more than one page.
func (p pager) Many() bool { return p.Pages > 1 }

// Choice says whether the number of rows a page matters.
func (p pager) Choice() bool { return p.Total > smallestPage }

func newPager(name string, params map[string]string, a *core.Answer) pager {
	p := pager{Func: name, Total: a.PElems, Num: max(a.PNum, 1), Count: max(a.PCnt, 1), Counts: []int{25, 50, 100, 500}}
	p.Pages = max(int((a.PElems+int64(p.Count)-1)/int64(p.Count)), 1)
	if len(a.Elems) > 0 {
		p.From = int64(p.Num-1)*int64(p.Count) + 1
		p.To = p.From + int64(len(a.Elems)) - 1
	}
	if !slices.Contains(p.Counts, p.Count) {
		p.Counts = append(p.Counts, p.Count)
		slices.Sort(p.Counts)
	}
	at := func(num int) string { return pageURLWith(name, params, "p_num", strconv.Itoa(num)) }
	if p.Num > 1 {
		p.First, p.Prev = at(1), at(p.Num-1)
	}
	if p.Num < p.Pages {
		p.Next, p.Last = at(p.Num+1), at(p.Pages)
	}
	for _, q := range slices.Sorted(maps.Keys(params)) {
		if q == "p_num" || params[q] == "" {
			continue
		}
		p.KeepForNum = append(p.KeepForNum, param{q, params[q]})
		if q != "p_cnt" {
			p.KeepForCnt = append(p.KeepForCnt, param{q, params[q]})
		}
	}
	return p
}
