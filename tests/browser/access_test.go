package browser

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"maildomain/tests/lab"
)

type view struct{ name, path, prepare, until string }

// pages are those that every test of all pages looks at, with a script that
// brings the page into the state to be looked at; empty for none.
var pages = []view{
	{"list", "/f/emaildomain", "", "document.querySelector('table.rows')"},
	{"chosen", "/f/emaildomain", "document.querySelector('.picked').click()", "document.querySelector('tr.chosen')"},
	{"menu of a row", "/f/emaildomain", "document.querySelector('.morebtn').click()", "!document.querySelector('#rowmenu').hidden"},
	{"question", "/f/emaildomain", "document.querySelector('.picked').click(), document.querySelector('.toolbar [data-confirm]:not(:disabled)').click()", "document.querySelector('#confirm').open"},
	{"new", "/f/emaildomain.edit", "", "document.querySelector('#form')"},
	{"errors", "/f/emaildomain.edit", "document.querySelector('[data-default]').click()", "document.querySelector('.field .error')"},
	{"preview", "/f/emaildomain.edit?elid=page.example", "document.querySelector('#f-defaction').value = 'ignore', document.querySelector('[name=_preview]').click()", "document.querySelector('.preview .diff')"},
	{"history", "/f/emaildomain.history?elid=page.example", "", "document.querySelector('table.rows')"},
	{"certificate", "/f/emaildomain.ssl?elid=page.example", "", "document.querySelector('[data-field=state] .textdata')"},
	{"filter", "/f/emaildomain.filter", "", "document.querySelector('#form')"},
	{"everything a form can have", "/f/shelf.edit?elid=3", "document.querySelector('#f-fragile').click()", "document.querySelector('#f-care').offsetParent"},
	{"everything a list can have", "/f/shelf", "", "document.querySelector('.state.warn')"},
	{"report", "/f/shelf.count", "", "document.querySelector('.line.add')"},
	{"chart", "/f/shelf.growth", "", "document.querySelector('.chart rect')"},
	{"users", "/f/user", "", "document.querySelector('table.rows')"},
	{"parameters", "/f/param.edit", "", "document.querySelector('#form')"},
	{"nothing there", "/f/nosuch", "", "document.querySelector('.notice.error')"},
	{"account", "/f/module", "document.querySelector('.who').click()", "document.querySelector('#account:popover-open')"},
}

// stand brings a window to one of the pages.
func (s *scene) stand(path, prepare, until string) {
	s.t.Helper()
	s.goTo(path)
	s.until("window.htmx && document.documentElement.dataset.arrived")
	if prepare != "" {
		s.run(prepare)
	}
	s.until(until + " && " + settled)
}

// TestPagesKeepNobodyOut: axe-core finds no serious fault on any page, light and
// dark.
func TestPagesKeepNobodyOut(t *testing.T) {
	lab.Need(t, Program, "npm")
	axe, err := Axe()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "admin")
	s.domain("user2", "page.example", "defaction", "redirect", "redirval", "a@b.example")
	look := func(name string) {
		t.Helper()
		options := "{resultTypes: ['violations']}"
		if strings.HasPrefix(name, "dark") { // it differs in its colours alone
			options = "{runOnly: ['color-contrast']}"
		}
		s.run("(() => { if (!window.axe) { (0, eval)(" + quote(axe) + ") } })()")
		found := s.text(`axe.run(document, ` + options + `).then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + (n.any[0]?.message || '')).join(' | ')).join('\n'))`)
		if found != "" {
			t.Errorf("%s:\n%s", name, found)
		}
	}
	for _, dark := range []bool{false, true} {
		s.check(s.Dark(dark))
		colours := map[bool]string{false: "light, ", true: "dark, "}[dark]
		for _, p := range pages {
			s.stand(p.path, p.prepare, p.until)
			look(colours + p.name)
		}
		for _, path := range s.reachable() {
			if dark || slices.ContainsFunc(pages, func(v view) bool { return v.path == path }) {
				continue // nothing that the others have not
			}
			s.stand(path, "", "document.querySelector('h1')")
			look(colours + path)
		}
		out := open(t, "")
		out.check(out.Dark(dark))
		out.goTo("/login")
		s, out = out, s
		look(colours + "login")
		s = out
	}
}

// reachable are the pages that the menu names, and the forms for something new
// behind them, whatever modules there are.
func (s *scene) reachable() []string {
	s.t.Helper()
	s.goTo("/f/module")
	paths := strings.Fields(s.text(`Array.from(document.querySelectorAll('#nav a')).map(a => a.getAttribute('href')).join(' ')`))
	for _, path := range paths {
		s.goTo(path)
		paths = append(paths, strings.Fields(s.text(`Array.from(document.querySelectorAll('.toolbar a')).map(a => a.getAttribute('href')).join(' ')`))...)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) < 8 {
		s.t.Errorf("only %v can be reached", paths)
	}
	return paths
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string marshals
	}
	return string(b)
}

// TestPagesFitATelephone: at 390 pixels nothing is wider than the window, what one
// touches is big enough, and the menu opens.
func TestPagesFitATelephone(t *testing.T) {
	s := open(t, "admin")
	s.domain("user2", "page.example", "defaction", "redirect", "redirval", "a@b.example")
	s.check(s.Size(390, 844))
	all := pages
	for _, path := range s.reachable() {
		if slices.ContainsFunc(pages, func(v view) bool { return v.path == path }) {
			continue
		}
		all = append(all, view{name: path, path: path, until: "document.querySelector('h1')"})
	}
	for _, p := range all {
		s.stand(p.path, p.prepare, p.until)
		if wide := s.text(`String(document.documentElement.scrollWidth)`); wide != "390" {
			t.Errorf("%s is %s wide: %s", p.name, wide, s.text(`Array.from(document.querySelectorAll('main *')).filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.tablebox, pre, .toolbar, .sr')).slice(0, 5).map(e => e.tagName + '.' + e.className).join(' ')`))
		}
		small := s.text(`Array.from(document.querySelectorAll('main .btn, main select, main input:not([type=hidden]):not([type=checkbox]):not([type=radio])')).filter(e => e.offsetParent && e.getBoundingClientRect().height < 36 && !e.closest('.pager')).map(e => e.outerHTML.slice(0, 80)).join(' ')`)
		if small != "" {
			t.Errorf("%s: too small for a finger: %s", p.name, small)
		}
	}
	s.stand("/f/emaildomain", "", "document.querySelector('table.rows')")
	if s.is(`document.querySelector('#nav').offsetParent`) {
		t.Error("the menu covers the page")
	}
	s.click(".menubtn")
	s.until(`document.querySelector('#nav:popover-open')`)
	s.click(`#nav a[href="/f/user"]`)
	s.at("user")
	s.until(`!document.querySelector('#nav:popover-open')`)
	// What can be done with chosen rows stands at the lower edge.
	s.stand("/f/emaildomain", "document.querySelector('.picked').click()", "document.querySelector('.toolbar.has-chosen')")
	if !s.is(`document.querySelector('.toolbar [data-func="emaildomain.delete"]').getBoundingClientRect().bottom > 800`) {
		t.Error("the buttons for the chosen row are not within reach")
	}
}

// TestNothingJumps: choosing a row, opening its menu, and what a switch does move
// nothing else on the page.
func TestNothingJumps(t *testing.T) {
	s := open(t, "user2")
	s.domain("user2", "still.example")
	s.goTo("/f/emaildomain")
	place := func() string {
		return s.text(`JSON.stringify(Array.from(document.querySelectorAll('h1, table.rows, tr[data-name="still.example"] td, .pager')).map(e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width] }))`)
	}
	before := place()
	for what, do := range map[string]func(){
		"choosing": func() { s.pick("still.example"); s.pick("still.example") },
		"the menu": func() { s.click(`tr[data-name="still.example"] .morebtn`); s.press("\u001b") },
		"a switch": func() {
			s.click(`tr[data-name="still.example"] .switch`)
			s.until(`document.querySelector('.toast') && ` + settled)
		},
	} {
		do()
		if after := place(); after != before {
			t.Errorf("%s moves the page:\n%s\n%s", what, before, after)
		}
	}
}

// TestLightAndDarkCanBeChosen: whatever the system prefers.
func TestLightAndDarkCanBeChosen(t *testing.T) {
	s := open(t, "user2")
	ground := func() string { return s.text(`getComputedStyle(document.body).backgroundColor`) }
	light := ground()
	s.check(s.Dark(true))
	dark := ground()
	if light == dark {
		t.Fatal("the system's choice changes nothing:", light)
	}
	for _, c := range []struct{ theme, want string }{{"light", light}, {"dark", dark}, {"auto", dark}} { // each time another than is pressed already
		theme, want := c.theme, c.want
		s.click(".who")
		s.click("[name=_theme][value=" + theme + "]")
		s.until(`document.readyState == 'complete' && window.htmx && document.querySelector('[name=_theme][value=` + theme + `]').getAttribute('aria-pressed') == 'true'`)
		if got := ground(); got != want {
			t.Errorf("%s: %s, want %s", theme, got, want)
		}
		if !strings.HasPrefix(s.text("location.pathname"), "/f/") {
			t.Error("the page has changed:", s.text("location.pathname"))
		}
	}
}
