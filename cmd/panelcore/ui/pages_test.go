package ui_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestListShowsWhatMetadataSays(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	body := logIn(t, p, "user1").get("/f/shelf").body
	contains(t, "list", body,
		"<h1 tabindex=\"-1\">Shelves</h1>", ">Stock<", ">Stock-taking<", "box-000001", "www1.пример.example", "title=\"www1.xn--e1afmkfd.example\"",
		"<span>Blue</span>", "title=\"Fragile\"", `role="switch" aria-checked="true" form="post-shelf.close"`, "1–50 of <b>100\u202f000</b>",
		`data-rules="{&#34;show&#34;:[[&#34;open&#34;,&#34;off&#34;]]}"`, `data-states="{&#34;open&#34;:&#34;on&#34;}"`, `aria-sort="ascending"`,
	)
	lacks(t, "list of a user", body, "Cost", "thing.admin")
	contains(t, "list of an administrator", logIn(t, p, "admin").get("/f/shelf").body, "Cost", "thing.admin")
	contains(t, "sorted", logIn(t, p, "user1").get("/f/shelf?p_sort=count&p_order=desc&p_cnt=25").body, `aria-sort="descending"`, "1–25 of", ">999<")
	contains(t, "last page", logIn(t, p, "user1").get("/f/shelf?p_num=2000").body, "99\u202f951–100\u202f000 of")
}

func TestFormShowsWhatMetadataSays(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	body := h.get("/f/shelf.edit").body
	contains(t, "new", body, "New shelf", `placeholder="box-1"`, `id="f-name-hint">Letters and digits`, `type="radio" name="kind" value="wood"`,
		`<div class="field text" data-field="alloy" hidden>`, `type="password"`, `<textarea id="f-care"`, `name="marker" value="m"`, "A new shelf is empty",
		`data-section="details"><summary>`, `value="cherry"`, `inputmode="numeric"`, `aria-hidden="true">*</span>`, "Preview", "Cancel",
	)
	lacks(t, "new", body, `name="serial"`, `name="cost"`, `name="absent"`)
	body = h.get("/f/shelf.edit?elid=7").body
	contains(t, "edit", body, "Shelf <span class=\"object\">7</span>", `value="box-000007"`, `name="elid" value="7"`, `name="serial" type="text" value="S-7"`, "readonly")
	lacks(t, "edit", body, "A new shelf is empty")
	contains(t, "edit of an administrator", logIn(t, p, "admin").get("/f/shelf.edit?elid=7").body, `name="cost"`)
	// A choice computes the form anew; what was typed stays.
	body = h.send("/f/shelf.edit", "name", "typed", "colour", "blue", "kind", "steel", "fragile", "on", "sv_field", "colour").body
	contains(t, "computed anew", body, `value="typed"`, `value="navy"`, `name="varnish" type="text" value="" autocapitalize="none" spellcheck="false" disabled`)
	lacks(t, "computed anew", body, `value="cherry"`, `data-field="alloy" hidden`, `data-field="care" hidden`)
	contains(t, "another value shows what else hides", h.send("/f/shelf.edit", "kind", "glass", "sv_field", "colour").body, `data-section="details" hidden`)
	lacks(t, "a value that else is not about", h.send("/f/shelf.edit", "kind", "paper", "sv_field", "colour").body, `data-section="details" hidden`, `data-section="main" hidden`)
}

func TestFormShowsErrorsWhereTheyAre(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	got := h.send("/f/shelf.edit", "name", "", "kind", "wood")
	contains(t, "left empty", got.body, `id="f-name-error" role="alert"`, "This is required", `aria-invalid="true" data-focus`)
	if n := p.Count(t, "call shelf.edit"); got.status != http.StatusUnprocessableEntity || n != 1 { // the form itself
		t.Errorf("%d, %d calls", got.status, n)
	}
	h.post("/language", "_lang", "ru")
	got = h.send("/f/shelf.edit", "name", "a b", "kind", "wood", "secret", "hunter2hunter2", "elid", "5")
	contains(t, "wrong", got.body, `lang="ru"`, "В названии нет пробелов", `value="a b"`, `aria-describedby="f-name-error f-name-hint" aria-invalid="true" data-focus`, "hx-preserve", "Полка")
	lacks(t, "wrong", got.body, "hunter2")
	h.post("/language", "_lang", "en")
	got = h.send("/f/shelf.edit", "name", "ab", "kind", "wood", "absent", "x")
	contains(t, "a field that nobody sees", got.body, `role="alert" tabindex="-1" data-focus`, "Nobody can see this field")
	got = h.send("/f/shelf.edit", "name", "ab", "kind", "wood", "weight", "lots")
	contains(t, "no field at all", got.body, "The floor would not bear it")
	got = h.send("/f/shelf.edit", "name", "fine", "kind", "wood", "colour", "red")
	if got.path != "/f/shelf" {
		t.Error("after a success:", got.path)
	}
	contains(t, "saved", got.body, "Saved: fine", "v=1; &lt;x&gt;", "pending")
	lacks(t, "told once", h.get("/f/shelf").body, "Saved: fine")
	contains(t, "what is still on its way", h.send("/f/thing.edit", "name", "noted").body, "Saved: noted", `class="notice warn"`, "<p>The paint &lt;dries&gt;</p>", "<p>It was cut\ntoo short</p>")
}

func TestPreviewShowsWhatWouldChange(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	got := h.send("/f/shelf.edit", "name", "seen", "kind", "wood", "colour", "red", "_preview", "1")
	contains(t, "preview", got.body, "What would change", "<del>blue</del>", "<ins>red</ins>", `class="line del">-old &lt;b&gt;`, `class="line add">&#43;new &amp; better`,
		`class="line at">@@ -1`, "/shelves/seen", `value="seen"`)
	lacks(t, "preview", got.body, "--- a", "diff a b")
	lacks(t, "nothing was saved", h.get("/f/shelf?p_order=desc").body, "seen")
	// A form without such a button is not asked what it would do: it would do it.
	h.send("/f/shelf.move", "elid", "1", "room", "a", "_preview", "1", "dry_run", "on")
	for _, line := range p.Notes(t) {
		if strings.Contains(line, "dry_run") {
			t.Error(line)
		}
	}
}

func TestReportShowsRowsAndDiffs(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	body := logIn(t, p, "user1").get("/f/shelf.count?elid=3").body
	contains(t, "report", body, "Stock-taking", "<dt>Shelves</dt><dd>100000</dd>", ">Place<", "cellar 3", ">right<", `class="line add">&#43;found`)
}

// A chart draws columns of the rows, in the order of time; what is no number is not
// drawn. The same is said in words, and stands in the table.
func TestReportDrawsItsChart(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	body := h.get("/f/shelf.growth").body
	contains(t, "chart", body, `<div class="charts" role="group" aria-label="Month">`, "<span>Boxes</span> <b>50</b> <span class=\"hint\">that stood there</span>",
		`role="img" aria-label="Boxes, 2026-01 – 2026-03: 50 in all, at most 40 (2026-03)" viewBox="0 0 30 41"`,
		`<rect x="1" y="30" width="8" height="10"><title>2026-01: 10</title></rect><rect x="21" y="0" width="8" height="40"><title>2026-03: 40</title></rect></svg>`,
		`aria-label="Lost, 2026-01 – 2026-03: 0 in all" viewBox="0 0 30 41" preserveAspectRatio="none"><path d="M0 40.5h30"/></svg>`,
		"many &lt;b&gt;", `<span>2026-01</span><span>2026-03</span>`, `role="table" aria-label="Growth"`)
	contains(t, "a time among the values", body, "2026-03-04 05:06:07\u00a0UTC")
	lacks(t, "chart", body, "style=", "777")
	if first, last := strings.Index(body, ">2026-03<"), strings.LastIndex(body, ">2026-01<"); first < 0 || last < first {
		t.Error("the table has another order than the answer")
	}
	h.post("/language", "_lang", "ru")
	contains(t, "in Russian", h.get("/f/shelf.growth").body, "50 всего, не более 40 (2026-03)")
	lacks(t, "without one", h.get("/f/shelf.count").body, "chart")
}

func TestGroupTellsOfEachObject(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	got := h.send("/f/shelf.delete", "elid", "12, 13", "_list", "shelf")
	contains(t, "one of two", got.body, "Delete", "Some could not be done", "<b>12</b>", "<b>13</b>: There is no such shelf")
	if got.path != "/f/shelf" {
		t.Error(got.path)
	}
	lacks(t, "list", got.body, "box-000012<")
	contains(t, "all", h.send("/f/shelf.delete", "elid", "14", "_list", "shelf").body, "toast", "<b>Delete</b> — 14")
	contains(t, "none", h.send("/f/shelf.close", "elid", "13", "_list", "shelf").body, "Nothing could be done")
	csrf := h.token()
	h.get("/f/shelf?p_num=2&p_sort=count")
	if got := h.post("/f/shelf.close", "_csrf", csrf, "elid", "60", "_list", "shelf"); got.path != "/f/shelf?p_num=2&p_sort=count" {
		t.Error("not back at the place in the list:", got.path)
	}
	got = h.get("/f/shelf.move?elid=1%2C+2")
	contains(t, "a form for several", got.body, `name="elid" type="text" value="1, 2"`, "Attic")
	contains(t, "its answer", h.send("/f/shelf.move", "elid", "1, 2", "room", "a").body, "<b>1</b>", "<b>2</b>")
	contains(t, "a list of an object", h.get("/f/shelf.log?elid=4").body, "History <span class=\"object\">4</span>", "made 4", `name="plid" value="4"`)
	contains(t, "what it opens leads back to it", h.get("/f/shelf.log?elid=4").body, `href="/f/shelf.count?_list=shelf.log&amp;plid=4"`)
	contains(t, "and does", h.get("/f/shelf.count?_list=shelf.log&plid=4").body, `href="/f/shelf.log?elid=4"`, "Stock-taking <span class=\"object\">4</span>")
	contains(t, "a button for none of its rows", h.send("/f/shelf.undo", "plid", "4", "_list", "shelf.log").body, "made 4")
	contains(t, "its button", h.send("/f/shelf.undo", "elid", "2", "plid", "4", "_list", "shelf.log").body, "Undo", "made 4")
}

// One page asks once, however often it is sent; other values are another call.
func TestSendingTwiceChangesOnce(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	csrf := h.token()
	ids := func(pairs ...string) string {
		t.Helper()
		before := len(p.Notes(t))
		h.post("/f/shelf.open", append([]string{"_csrf", csrf, "_list", "shelf"}, pairs...)...)
		for _, line := range p.Notes(t)[before:] {
			if _, id, ok := strings.Cut(line, "call shelf.open "); ok {
				return id
			}
		}
		t.Fatal("no call")
		return ""
	}
	first := ids("_id", "page1", "elid", "1")
	if ids("_id", "page1", "elid", "1") != first {
		t.Error("the same page sent again is another call")
	}
	if ids("_id", "page1", "elid", "2") == first || ids("_id", "page2", "elid", "1") == first {
		t.Error("another call has the same id")
	}
	if one, another := ids("elid", "1"), ids("elid", "1"); one == another {
		t.Error("without an id of a page two calls are one")
	}
}

func TestAddressAloneChangesNothing(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	h.get("/f/shelf.edit?sok=ok&name=slipped&kind=wood&colour=red")
	for _, path := range []string{"/f/shelf.delete?elid=1", "/f/shelf.open?elid=1&sok=ok", "/f/su?elid=user2"} {
		if got := h.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if n := p.Count(t, "call shelf.delete") + p.Count(t, "call shelf.open"); n != 0 {
		t.Errorf("%d calls", n)
	}
	lacks(t, "list", h.get("/f/shelf?p_order=desc").body, "slipped")
	if got := h.get("/f/nosuch"); got.status != http.StatusNotFound || !strings.Contains(got.body, "There is no such function") {
		t.Error(got.status, got.body)
	}
	if got := h.get("/f/param"); got.status != http.StatusForbidden {
		t.Error(got.status)
	}
}

func TestEverythingIsText(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	const evil = `"><script>alert(1)</script>'`
	unsafe := regexp.MustCompile(`(?i)<script>|<b>&amp;|" ?onerror`)
	h := logIn(t, p, "user1")
	for what, got := range map[string]page{
		"a cell":               h.get("/f/shelf.log?elid=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
		"cells of all kinds":   h.get("/f/thing"),
		"a typed value":        h.send("/f/shelf.edit", "name", evil+" ", "kind", evil, "colour", evil, "care", evil, "fragile", "on"),
		"an object":            h.get("/f/shelf.edit?elid=%3Cscript%3E"),
		"a name of a function": h.get("/f/%3Cscript%3E"),
		"a path":               h.get("/%3Cscript%3E"),
		"a user name":          newPerson(t, p).post("/login", "username", evil, "password", "x", "_next", "/"+evil),
		"objects of a group":   h.send("/f/shelf.delete", "elid", evil, "_list", "shelf"),
		"a search":             h.send("/f/shelf.filter", "_narrow", "1", "f_name", evil, "_list", "shelf"),
	} {
		if found := unsafe.FindString(got.body); found != "" {
			t.Errorf("%s: %s in %s", what, found, got.body)
		}
	}
}

func TestFilterBarNarrowsTheList(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	got := h.send("/f/shelf.filter", "_narrow", "1", "_list", "shelf", "f_name", "00077", "f_colour", "")
	contains(t, "searched", got.body, "Name contains: <b>00077</b>", "of <b>11</b>", `value="00077"`)
	got = h.send("/f/shelf.filter", "_narrow", "1", "_list", "shelf", "f_name", "00077", "f_colour", "red")
	contains(t, "and by colour", got.body, "of <b>5</b>", "Colour: <b>red</b>", `name="f_colour" value="red"`)
	got = h.send("/f/shelf.filter", "_narrow", "1", "_list", "shelf", "f_name", "00077", "f_colour", "red", "_drop", "f_name")
	contains(t, "one taken away", got.body, "of <b>50\u202f000</b>")
	contains(t, "the form shows it", h.get("/f/shelf.filter").body, `<option value="red" selected>`)
	contains(t, "nothing fits", h.send("/f/shelf.filter", "_narrow", "1", "_list", "shelf", "f_name", "none").body, "Nothing matches the filter")
	contains(t, "all taken away", h.send("/f/shelf.filter", "_narrow", "1", "_list", "shelf", "f_name", "none", "_drop", "*").body, "of <b>100\u202f000</b>")
}

func TestProgressOfARunningCallIsShown(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h, other := logIn(t, p, "user1"), logIn(t, p, "user1")
	csrf := h.token()
	var elids []string
	for i := 100; i < 150; i++ {
		elids = append(elids, string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10)))
	}
	done := make(chan page, 1)
	go func() {
		defer close(done)
		done <- h.post("/f/shelf.close", "_csrf", csrf, "_id", "p1", "_list", "shelf", "elid", strings.Join(elids, ", "))
	}()
	paneltest.Eventually(t, "the call is on its way", func() bool {
		body := h.get("/progress?_id=p1").body
		return strings.Contains(body, `"running":true`) && strings.Contains(body, `"total":50`) && !strings.Contains(body, `"done":0`)
	})
	if body := other.get("/progress?_id=p1").body; strings.Contains(body, `"running":true`) {
		t.Error("another session sees it:", body)
	}
	if got := <-done; got.status != http.StatusOK {
		t.Error(got.status)
	}
	if body := h.get("/progress?_id=p1").body; body != `{"running":false,"done":0,"total":0,"text":""}` {
		t.Error("after its end:", body)
	}
}
