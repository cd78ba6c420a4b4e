package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// The plot of a domain's letters is opened from the list, says in words what it shows,
// and keeps nobody out, light, dark and on a telephone.
func TestLettersAreDrawn(t *testing.T) {
	lab.Need(t, Program, "npm")
	axe, err := Axe()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "user2")
	s.domain("user2", "letters.example")
	var log strings.Builder
	at := time.Now().Add(time.Second)
	for fate, n := range map[string]int{"accepted": 7, "delivered": 5, "spam": 2} {
		for range n {
			fmt.Fprintf(&log, "%s maildomain: %d %s letters.example\n", at.Format(time.DateTime), at.Unix(), fate)
		}
	}
	name := filepath.Join(shared.world.Root, files.Debian.EximLog())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(log.String()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// The module itself may be counting just now; the page shows what was counted.
	for end := time.Now().Add(time.Minute); shared.world.Must(t, "user2", "emaildomain.stats", "elid", "letters.example").Text["accepted"] != "7"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the letters are not counted")
		}
	}
	s.goTo("/f/emaildomain")
	s.search("letters.example")
	s.menu("letters.example", "emaildomain.stats")
	s.at("emaildomain.stats")
	s.until(`document.querySelector('.chart rect')`)
	today := at.Format(time.DateOnly)
	said := s.text(`Array.from(document.querySelectorAll('.chart svg')).map(e => e.getAttribute('aria-label')).join('\n')`)
	for _, want := range []string{today + ": 7 in all, at most 7 (" + today + ")", "Delivered, ", ": 5 in all", "Viruses, "} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if !s.is(`(() => { const r = document.querySelector('.chart rect').getBoundingClientRect(), p = document.querySelector('.chart svg').getBoundingClientRect(); return r.height > 30 && r.width > 1 && r.right <= p.right + 1 && p.right - r.right < p.width / 10 })()`) {
		t.Error("the bar of today is not where it belongs: " + s.text(`document.querySelector('.chart svg').outerHTML`))
	}
	if first := s.text(`document.querySelector('table.rows tbody tr').innerText`); !strings.HasPrefix(first, today) || !strings.Contains(first, "7") {
		t.Errorf("the table begins with %q", first)
	}
	for _, dark := range []bool{false, true} {
		s.check(s.Dark(dark))
		s.run("(() => { if (!window.axe) { (0, eval)(" + quote(axe) + ") } })()")
		if found := s.text(`axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')).join('\n'))`); found != "" {
			t.Errorf("dark %v:\n%s", dark, found)
		}
	}
	s.check(s.Size(390, 844))
	if wide := s.text(`String(document.documentElement.scrollWidth)`); wide != "390" {
		t.Errorf("it is %s wide on a telephone", wide)
	}
}
