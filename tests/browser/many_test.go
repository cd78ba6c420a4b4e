package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTenThousandDomains: to search in, to page through, and to sort.
func TestTenThousandDomains(t *testing.T) {
	const many = 10_000
	s := open(t, "user1")
	var file strings.Builder
	file.WriteString("name\n")
	for i := range many {
		fmt.Fprintf(&file, "m%05d.many.example\n", i)
	}
	path := filepath.Join(t.TempDir(), "many.csv")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, status, err := shared.world.Ctl("-u", "user1", "--batch", path, "emaildomain.edit", "sok=ok"); err != nil || status != 0 {
		t.Fatalf("%v %d %.500s %.500s", err, status, out, errs)
	}
	rows := func() string {
		return s.text(`Array.from(document.querySelectorAll('tr[data-name]')).map(r => r.dataset.name.slice(0, 6)).join(' ')`)
	}
	at := func(num, first, last string) {
		t.Helper()
		s.until(fmt.Sprintf(`document.querySelector('.pager input[name=p_num]')?.value == %q && %s`, num, settled))
		if got := strings.Fields(rows()); len(got) == 0 || got[0] != first || got[len(got)-1] != last {
			t.Errorf("page %s: %v", num, got)
		}
	}
	s.goTo("/f/emaildomain")
	s.sees("of 10\u202f000")
	at("1", "m00000", "m00049")
	s.click(".pager [rel=next]")
	at("2", "m00050", "m00099")
	s.click(".pager .lastpage")
	at("200", "m09950", "m09999")
	s.click(".pager [rel=prev]")
	at("199", "m09900", "m09949")
	s.write(".pager input[name=p_num]", "100\r")
	at("100", "m04950", "m04999")
	s.choose(".pager select", "500")
	at("1", "m00000", "m00499")
	s.click("thead th a")
	s.until(`document.querySelector('th[aria-sort=descending]')`)
	at("1", "m09999", "m09500")
	s.click("thead th a")
	s.until(`document.querySelector('th[aria-sort=ascending]')`)

	s.search("77.many")
	s.sees("of 100")
	if got := rows(); !strings.HasPrefix(got, "m00077 m00177 m00277") || len(strings.Fields(got)) != 100 {
		t.Errorf("searched: %s", got)
	}
	// One goes away and comes back to where one was.
	s.click(`tr[data-name="m00177.many.example"] td.first a`)
	s.at("emaildomain.edit")
	s.click(".form .buttons a")
	s.at("emaildomain")
	if n := len(strings.Fields(rows())); n != 100 || !s.is(`location.search.includes('p_cnt=500')`) {
		t.Errorf("back at %d rows, %s", n, s.text("location.search"))
	}
	s.click(".chip.clear")
	s.sees("of 10\u202f000")
}

// TestSavingGoesBeforeRecomputing: over a slow line somebody chooses, and saves before
// the server has said what follows from the choice.
func TestSavingGoesBeforeRecomputing(t *testing.T) {
	s := open(t, "user1")
	s.broken = true // what is recomputed is given up
	s.goTo("/f/shelf.edit")
	s.at("shelf.edit")
	s.write("#f-name", "in-a-hurry")
	s.check(s.Slow(700))
	// In one go: no answer comes in between.
	if !s.is(`(() => {
		const c = document.querySelector('#f-colour')
		c.focus()
		c.value = 'blue'
		c.dispatchEvent(new Event('change', {bubbles: true}))
		const under = document.querySelector('.htmx-request') !== null
		document.querySelector('[data-default]').click()
		return under
	})()`) {
		t.Fatal("nothing is recomputed")
	}
	s.sees("Saved: in-a-hurry")
	s.check(s.Slow(0))
	s.search("in-a-hurry")
	if n := s.text(`String(document.querySelectorAll('tr[data-name]').length)`); n != "1" {
		t.Errorf("%s shelves were made", n)
	}
}

// TestSecondModuleIsThereAtOnce: the toy is known by its registration alone.
func TestSecondModuleIsThereAtOnce(t *testing.T) {
	s := open(t, "user1")
	s.click(`#nav a[href="/f/shelf"]`)
	s.at("shelf")
	s.sees("box-000001")
	s.click(`.toolbar a[href^="/f/shelf.edit"]`)
	s.at("shelf.edit")
	// By the conditions of metadata: hidden, seen but not to be changed, a whole page.
	for kind, want := range map[string][3]bool{"wood": {false, true, true}, "steel": {true, false, true}, "glass": {true, true, false}} {
		s.click(`[name=kind][value=` + kind + `]`)
		got := [3]bool{s.shown("alloy"), !s.is(`document.querySelector('#f-varnish').disabled`), s.is(`document.querySelector('[data-section=details]').offsetParent`)}
		if got != want {
			t.Errorf("%s: alloy is shown, varnish can be changed, details are shown: %v, want %v", kind, got, want)
		}
		if !s.shown("varnish") {
			t.Errorf("%s: what cannot be changed is not seen", kind)
		}
	}
	// What the module computes anew, and what stays.
	s.write("#f-name", "from-the-browser")
	s.write("#f-secret", "a lock code")
	s.choose("#f-colour", "blue")
	s.until(`document.querySelector('#f-shade option[value=navy]') && ` + settled)
	s.becomes(`document.querySelector('#f-name').value == 'from-the-browser' && document.querySelector('#f-secret').value == 'a lock code' && document.activeElement.id == 'f-colour'`, "what was typed is gone, or the focus")
	s.click("#f-fragile")
	if !s.shown("care") {
		t.Error("no field for the care")
	}
	s.write("#f-care", "two\nlines")
	s.click("[data-default]")
	s.at("shelf")
	s.sees("Saved: from-the-browser")
	s.search("from-the")
	s.until(`document.querySelectorAll('tr[data-name]').length == 1`)
	s.click(".chip.clear")
	s.until(`!document.querySelector('.chip')`)

	// Many at once: the bar moves while they are worked off, and each is told of.
	s.goTo("/f/shelf")
	s.click("#all")
	s.click(`.toolbar [data-func="shelf.close"]`)
	if got := s.text(`document.querySelector('#confirm-more').innerText`); !strings.Contains(got, "38") {
		t.Errorf("of 50, 12 are named: %q", got)
	}
	s.run(`window.seen = [], new MutationObserver(() => {
		const bar = document.querySelector('#confirm progress'), done = document.querySelector('#confirm-done')
		if (bar && done && bar.value > 0 && done.innerText.includes('/ 50')) window.seen.push(parseInt(done.innerText))
	}).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true})`)
	s.confirm()
	s.until(`window.seen.length > 0`)
	if !s.is(`window.seen.every(n => n >= 1 && n <= 50)`) {
		t.Error(s.text(`String(window.seen)`))
	}
	s.until(`document.querySelectorAll('.results li').length == 50`)
	if n := s.text(`String(document.querySelectorAll('.switch[aria-checked=false]').length)`); n != "49" {
		t.Errorf("%s are closed; 13 does not as it is told", n)
	}
	s.sees("13: There is no such shelf")

	// Text is text.
	s.goTo("/f/shelf.log?elid=1")
	s.sees("<script>document.title='broken'</script>")
	if got := s.text("document.title"); strings.Contains(got, "broken") {
		t.Error("a value ran as a script:", got)
	}
	// A window of its own.
	s.goTo("/f/shelf")
	s.run(`(() => { window.opened = ''; window.open = (url) => { window.opened = url } })()`)
	s.menu("box-000001", "shelf.count")
	if got := s.text("window.opened"); !strings.HasPrefix(got, "/f/shelf.count?elid=1") {
		t.Errorf("opened %q", got)
	}
}

// TestFirstPageIsLight: a page of a list of 100,000 with all that it loads, as it
// comes over the wire.
func TestFirstPageIsLight(t *testing.T) {
	s := open(t, "user1")
	s.goTo("/f/shelf")
	s.sees("of 100\u202f00")
	weight := s.text(`String([...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((sum, e) => sum + e.encodedBodySize, 0))`)
	n, err := strconv.Atoi(weight)
	if err != nil || n == 0 || n > 150_000 {
		t.Errorf("%s bytes, %v", weight, err)
	}
	t.Logf("%d bytes in %s files", n, s.text(`String(1 + performance.getEntriesByType('resource').length)`))
}
