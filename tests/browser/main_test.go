package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// One panel with both modules, and one browser, serve all tests of the package.
var shared struct {
	world   *world.World
	browser *Browser
	dir     string
	err     error
	once    sync.Once
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.browser != nil {
		shared.browser.Close()
	}
	if shared.world != nil {
		if err := shared.world.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(status)
}

func start() error {
	var err error
	if shared.dir, err = os.MkdirTemp("", "panel-"); err != nil {
		return err
	}
	bin := filepath.Join(shared.dir, "bin")
	if err := os.MkdirAll(filepath.Join(shared.dir, "data", "modules.d"), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	// Without the race detector: 10,000 domains are made, and the pages' own tests have it.
	if err := world.Build(bin); err != nil {
		return err
	}
	toy := filepath.Join(bin, "toy")
	if out, err := exec.Command("go", "build", "-o", toy, "maildomain/cmd/panelcore/internal/paneltest/toy").CombinedOutput(); err != nil {
		return fmt.Errorf("build the second module: %w\n%s", err, out)
	}
	drop := fmt.Sprintf(`{"name": "toy", "socket": "run/toy.sock", "exec": [%q]}`, toy)
	if err := os.WriteFile(filepath.Join(shared.dir, "data", "modules.d", "toy.json"), []byte(drop), 0o644); err != nil {
		return err
	}
	if shared.world, err = world.Open(world.Options{Data: filepath.Join(shared.dir, "data"), Bin: bin}); err != nil {
		return err
	}
	shared.browser, err = Start()
	return err
}

// A scene is a window in a test: whatever goes wrong ends the test.
type scene struct {
	*Tab
	t      *testing.T
	broken bool // connections break or are given up, and htmx says so on the console
}

// open opens a window on the panel's start page, as user; empty for nobody.
func open(t *testing.T, user string) *scene {
	t.Helper()
	return openBy(t, user, func(base string) string { return base })
}

// openBy is open by another address of the panel's.
func openBy(t *testing.T, user string, by func(base string) string) *scene {
	t.Helper()
	lab.Need(t, Program)
	if shared.once.Do(func() { shared.err = start() }); shared.err != nil {
		t.Fatal(shared.err)
	}
	tab, err := shared.browser.Tab(by(strings.TrimSuffix(shared.world.URL, "/ispmgr")))
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{Tab: tab, t: t}
	t.Cleanup(func() {
		for _, fault := range s.Faults() {
			if !s.broken || !strings.HasPrefix(fault, `console: "htmx:`) {
				t.Error(fault)
			}
		}
		for _, address := range s.Requests() {
			if !strings.HasPrefix(address, s.Base+"/") {
				t.Error("a request to somebody else:", address)
			}
		}
		if t.Failed() {
			if b, err := s.Picture(); err == nil {
				path := filepath.Join(os.TempDir(), "panel-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
				if os.WriteFile(path, b, 0o644) == nil {
					t.Log("what was seen at the end:", path)
				}
			}
			log := shared.world.Log("core")
			t.Logf("requests that came to nothing: %q", s.Lost())
			t.Logf("the end of the core's log:\n%s", log[max(0, len(log)-3000):])
		}
		tab.Close()
	})
	if user != "" {
		s.check(s.LogIn(user, world.Password))
	}
	return s
}

func (s *scene) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// goTo opens a page by its address.
func (s *scene) goTo(path string) {
	s.t.Helper()
	s.check(s.Open(path))
}

func (s *scene) click(selector string) {
	s.t.Helper()
	if err := s.Do(chromedp.Click(chromedp.CSS(selector))); err != nil {
		s.t.Fatalf("click %s: %v", selector, err)
	}
}

// write types into a field in the place of what is there.
func (s *scene) write(selector, text string) {
	s.t.Helper()
	s.run(fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.focus(); f.select() })()`, selector))
	s.press(text)
}

// domain makes a mail domain unless it is there already.
func (s *scene) domain(owner, name string, params ...string) {
	s.t.Helper()
	a, err := shared.world.Call(s.t.Context(), owner, "emaildomain.edit", append(params, "name", name, "sok", "ok")...)
	if err != nil || a.Error != "" && a.Error != "exists(name)" {
		s.t.Fatal(name, err, a.Error, a.Msg)
	}
}

// choose takes an option of a select, as a person does.
func (s *scene) choose(selector, value string) {
	s.t.Helper()
	s.run(fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.focus(); s.value = %q; s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true})) })()`, selector, value))
}

// press presses keys.
func (s *scene) press(keys string) {
	s.t.Helper()
	s.check(s.Do(chromedp.KeyEvent(keys)))
}

func (s *scene) run(script string) {
	s.t.Helper()
	_, err := Eval[bool](s.Tab, "("+script+", true)")
	s.check(err)
}

func (s *scene) until(script string) {
	s.t.Helper()
	s.check(s.Until(script))
}

// becomes is until for what the browser does in its own time: where the focus
// goes, above all. Wrong says what it means that it does not come.
func (s *scene) becomes(script, wrong string) {
	s.t.Helper()
	if err := s.Until(script); err != nil {
		s.t.Fatalf("%s: %v", wrong, err)
	}
}

// settled is true of a page that is whole: read to its end, with its script, and
// with nothing under way. The browser may still move the focus: that is waited for.
const settled = `document.readyState == 'complete' && window.htmx && !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')`

// sees waits for a text in the page, and for an end of what is under way.
func (s *scene) sees(text string) {
	s.t.Helper()
	s.until(fmt.Sprintf(`document.body.innerText.includes(%q) && %s`, text, settled))
}

// at waits for the page of a function.
func (s *scene) at(function string) {
	s.t.Helper()
	s.until(fmt.Sprintf(`location.pathname == '/f/%s' && document.querySelector('h1') && %s`, function, settled))
}

func (s *scene) is(script string) bool {
	s.t.Helper()
	v, err := Eval[bool](s.Tab, "Boolean("+script+")")
	s.check(err)
	return v
}

func (s *scene) text(script string) string {
	s.t.Helper()
	v, err := Eval[string](s.Tab, script)
	s.check(err)
	return v
}

// shown says whether the field of a form is to be seen.
func (s *scene) shown(field string) bool {
	s.t.Helper()
	return s.is(fmt.Sprintf(`document.querySelector('[data-field=%s]')?.offsetParent`, field))
}

// search narrows the list to what contains a text.
func (s *scene) search(text string) {
	s.t.Helper()
	s.write("#search", text+"\r")
	s.until(fmt.Sprintf(`document.querySelector('.chip b')?.innerText == %q && %s`, text, settled))
}

// pick chooses the row of an object.
func (s *scene) pick(name string) {
	s.t.Helper()
	s.click(fmt.Sprintf(`tr[data-name="%s"] .picked`, name))
}

// menu opens the menu of an object's row and takes an entry.
func (s *scene) menu(name, function string) {
	s.t.Helper()
	s.click(fmt.Sprintf(`tr[data-name="%s"] .morebtn`, name))
	s.click(fmt.Sprintf(`#rowmenu [data-func="%s"]:not([hidden])`, function))
}

// confirm agrees to what is asked.
func (s *scene) confirm() {
	s.t.Helper()
	s.click("#confirm[open] #confirm-ok")
}
