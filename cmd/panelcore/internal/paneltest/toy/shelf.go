package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// The shelves are a list and a form that use all that metadata can say. There are
// 100,000 of them, and none is kept: a row is made of its number, and of what was
// done to it since the start.
const shelves = 100_000

var stock = struct {
	sync.Mutex
	closed, gone map[int]bool
	names        map[int]string // of shelves that were renamed or made
	made         int
	log          []string
}{closed: map[int]bool{}, gone: map[int]bool{}, names: map[int]string{}}

func shelfFunctions() map[string]function {
	type run = func(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData)
	simple := func(f func(wire.Call) (any, *wire.ErrorData)) run {
		return func(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) { return f(c) }
	}
	return map[string]function{
		"shelf":        {"list", "user", simple(listShelves)},
		"shelf.edit":   {"form", "user", simple(editShelf)},
		"shelf.delete": {"group", "user", eachShelf(func(n int) { stock.gone[n] = true })},
		"shelf.open":   {"group", "user", eachShelf(func(n int) { delete(stock.closed, n) })},
		"shelf.close":  {"group", "user", eachShelf(func(n int) { stock.closed[n] = true })},
		"shelf.move":   {"form", "user", simple(moveShelves)},
		"shelf.filter": {"form", "user", simple(filterShelves)},
		"shelf.log":    {"list", "user", simple(shelfLog)},
		"shelf.undo":   {"action", "user", simple(func(c wire.Call) (any, *wire.ErrorData) { return ok(c.Params["plid"] + "/" + c.Params["elid"]), nil })},
		"shelf.count":  {"report", "user", simple(countShelves)},
		"shelf.growth": {"report", "user", simple(growth)},
	}
}

func shelfRow(n int) map[string]string {
	name := stock.names[n]
	if name == "" {
		name = fmt.Sprintf("box-%06d", n)
	}
	row := map[string]string{
		"id": strconv.Itoa(n), "name": name, "web": fmt.Sprintf("www%d.xn--e1afmkfd.example", n), "colour": []string{"red", "blue"}[n%2],
		"count": strconv.Itoa(n % 1000), "open": "on", "fragile": "off", "full": "off", "cost": strconv.Itoa(n * 3),
	}
	if stock.closed[n] {
		row["open"] = "off"
	}
	if n%3 == 0 {
		row["fragile"] = "on"
	}
	if n%5 == 0 {
		row["full"] = "on"
	}
	return row
}

func listShelves(c wire.Call) (any, *wire.ErrorData) {
	stock.Lock()
	defer stock.Unlock()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(c.Params[name]); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	l := wire.List{Kind: wire.KindList, PNum: number("p_num", 1), PCnt: min(number("p_cnt", 50), 1000), PSort: "name", POrder: "asc", Elems: []map[string]string{}}
	for _, f := range []string{"f_name", "f_colour"} {
		if c.Params[f] != "" {
			l.Filters = append(l.Filters, wire.Filter{Name: f, Value: c.Params[f]})
		}
	}
	var numbers []int
	for n := 1; n <= shelves+stock.made; n++ {
		if stock.gone[n] || c.Params["f_colour"] != "" && c.Params["f_colour"] != []string{"red", "blue"}[n%2] {
			continue
		}
		if f := c.Params["f_name"]; f != "" && !strings.Contains(shelfRow(n)["name"], f) {
			continue
		}
		numbers = append(numbers, n)
	}
	if c.Params["p_sort"] == "count" {
		l.PSort = "count"
		slices.SortStableFunc(numbers, func(a, b int) int { return a%1000 - b%1000 })
	}
	if c.Params["p_order"] == "desc" {
		l.POrder = "desc"
		slices.Reverse(numbers)
	}
	l.PElems = int64(len(numbers))
	from := min((l.PNum-1)*l.PCnt, len(numbers))
	for _, n := range numbers[from:min(from+l.PCnt, len(numbers))] {
		l.Elems = append(l.Elems, shelfRow(n))
	}
	return l, nil
}

func editShelf(c wire.Call) (any, *wire.ErrorData) {
	stock.Lock()
	defer stock.Unlock()
	p := c.Params
	number, _ := strconv.Atoi(p["elid"])
	if p["sok"] == "" {
		values := map[string]string{"kind": "wood", "colour": "red", "count": "0", "fragile": "off", "serial": "S-" + p["elid"], "marker": "m", "absent": "never seen"}
		if number > 0 {
			values["name"] = shelfRow(number)["name"]
		}
		for _, name := range []string{"name", "kind", "colour", "fragile", "count"} {
			if p[name] != "" {
				values[name] = p[name]
			}
		}
		shades := map[string][]string{"red": {"cherry", "brick"}, "blue": {"sky", "navy"}}[values["colour"]]
		f := wire.Form{Kind: wire.KindForm, Values: values, Hidden: []string{"absent", "alloy"}, SLists: map[string][]wire.Option{
			"kind":   {{Key: "wood", Label: "Wood"}, {Key: "steel", Label: "Steel"}, {Key: "glass", Label: "Glass"}},
			"colour": {{Key: "red", Label: "Red"}, {Key: "blue", Label: "Blue"}},
		}}
		for _, s := range shades {
			f.SLists["shade"] = append(f.SLists["shade"], wire.Option{Key: s, Label: s})
		}
		return f, nil
	}
	if strings.Contains(p["name"], " ") {
		return nil, &wire.ErrorData{Type: "value", Object: "name", Value: p["name"],
			Msg: map[string]string{"en": "a name has no blanks", "ru": "в названии нет пробелов"}[c.Session.Lang]}
	}
	if p["absent"] != "" {
		return nil, &wire.ErrorData{Type: "value", Object: "absent", Msg: "nobody can see this field"}
	}
	if p["weight"] == "lots" {
		return nil, &wire.ErrorData{Type: "limit", Object: "weight_of_all", Msg: "the floor would not bear it"}
	}
	if p["dry_run"] == "on" {
		return wire.Report{Kind: wire.KindReport, Values: map[string]string{"dry_run": "on"}, Elems: []map[string]string{
			{"elid": p["name"], "what": "setting", "name": "colour", "before": "blue", "after": p["colour"]},
			{"elid": p["name"], "what": "file", "name": "/shelves/" + p["name"], "diff": "diff a b\n--- a\n+++ b\n@@ -1 +1 @@\n-old <b>\n+new & better\n same\n"},
		}}, nil
	}
	if number == 0 {
		stock.made++
		number = shelves + stock.made
	}
	stock.names[number] = p["name"]
	stock.log = append(stock.log, fmt.Sprint(p))
	a := ok(p["name"])
	a.Redirect = &wire.Redirect{Type: "list", Func: "shelf"}
	if p["elid"] == "" {
		a.DNS = []wire.DNSRecord{{Name: p["name"] + ".example.", Type: "TXT", Value: "v=1; <x>", State: "pending"}}
	}
	return a, nil
}

// eachShelf does something to each shelf of a group and says how far it is; to
// many of them it takes its time. Shelf 13 never does as it is told.
func eachShelf(do func(int)) func(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return func(ctx context.Context, _ *session, rpc *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
		elids := strings.Split(c.Params["elid"], ", ")
		a := ok("")
		for i, elid := range elids {
			d := wire.Done{Elid: elid, OK: true}
			n, err := strconv.Atoi(elid)
			if err != nil || n == 13 {
				d.OK, d.Error = false, &wire.ErrorData{Type: "missed", Object: "elid", Value: elid, Msg: "there is no such shelf"}
			} else {
				stock.Lock()
				do(n)
				stock.Unlock()
			}
			a.Done = append(a.Done, d)
			if len(elids) > 20 {
				time.Sleep(100 * time.Millisecond)
			}
			// Nobody may listen.
			_ = rpc.Notify(ctx, wire.CoreProgress, wire.Progress{RequestID: c.Session.RequestID, Done: i + 1, Total: len(elids), Text: elid})
		}
		return a, nil
	}
}

func moveShelves(c wire.Call) (any, *wire.ErrorData) {
	if c.Params["sok"] == "" {
		return wire.Form{Kind: wire.KindForm, Values: map[string]string{"elid": c.Params["elid"], "room": "b"}, SLists: map[string][]wire.Option{
			"room": {{Key: "a", Label: "Cellar"}, {Key: "b", Label: "Attic"}},
		}}, nil
	}
	a := ok("")
	for elid := range strings.SplitSeq(c.Params["elid"], ", ") {
		a.Done = append(a.Done, wire.Done{Elid: elid, OK: true})
	}
	return a, nil
}

func filterShelves(c wire.Call) (any, *wire.ErrorData) {
	set := map[string]string{}
	for _, f := range []string{"f_name", "f_colour"} {
		if c.Params[f] != "" {
			set[f] = c.Params[f]
		}
	}
	if c.Params["sok"] != "" {
		a := ok("")
		a.Filter, a.Redirect = &wire.SetFilter{Func: "shelf", Params: set}, &wire.Redirect{Type: "list", Func: "shelf"}
		return a, nil
	}
	return wire.Form{Kind: wire.KindForm, Values: set, SLists: map[string][]wire.Option{
		"f_colour": {{Key: "", Label: "any"}, {Key: "red", Label: "red"}, {Key: "blue", Label: "blue"}},
	}}, nil
}

func shelfLog(c wire.Call) (any, *wire.ErrorData) {
	return wire.List{Kind: wire.KindList, PElems: 2, PNum: 1, PCnt: 50, PSort: "id", POrder: "asc", Elems: []map[string]string{
		{"id": "1", "what": "made " + c.Params["elid"]}, {"id": "2", "what": "<script>document.title='broken'</script>"},
	}}, nil
}

func countShelves(c wire.Call) (any, *wire.ErrorData) {
	return wire.Report{Kind: wire.KindReport, Values: map[string]string{"shelves": strconv.Itoa(shelves)}, Elems: []map[string]string{
		{"place": "cellar " + c.Params["elid"], "result": "right"},
		{"place": "attic", "result": "wrong", "diff": "@@ -1 +1 @@\n-expected\n+found\n"},
	}}, nil
}

func growth(wire.Call) (any, *wire.ErrorData) {
	return wire.Report{Kind: wire.KindReport, Values: map[string]string{"boxes": "777", "until": "2026-03-04T05:06:07Z"}, Elems: []map[string]string{
		{"month": "2026-03", "boxes": "40", "lost": "0"},
		{"month": "2026-02", "boxes": "many <b>", "lost": "0"},
		{"month": "2026-01", "boxes": "10", "lost": "-5"},
	}}, nil
}
