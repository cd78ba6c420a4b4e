package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"maildomain/tests/world"
)

func TestEachLevelSeesItsMenu(t *testing.T) {
	open(t, "").domain("user2", "seen.example")
	for user, want := range map[string]string{
		"user2":     "Mail domains",
		"reseller1": "Mail domains Users",
		"admin":     "Mail domains Users Server parameters Modules",
	} {
		s := open(t, user)
		got := s.text(`Array.from(document.querySelectorAll('#nav a')).map(a => a.innerText).filter(x => x != 'Shelves' && x != 'Stock-taking').join(' ')`)
		for _, entry := range strings.Split(want, " ") {
			if !strings.Contains(got, entry) {
				t.Errorf("%s sees %q, want %q", user, got, want)
			}
		}
		if has := strings.Contains(got, "Users"); has != strings.Contains(want, "Users") {
			t.Errorf("%s sees %q, want %q", user, got, want)
		}
		s.goTo("/f/emaildomain")
		if has := s.is(`Array.from(document.querySelectorAll('thead th')).some(th => th.innerText.trim() == 'Owner')`); has != (user != "user2") {
			t.Errorf("%s sees owners: %v", user, has)
		}
	}
	s := open(t, "")
	s.goTo("/login")
	s.write("#username", "admin")
	s.write("#password", "wrong\r")
	s.sees("Wrong user name or password")
	s.becomes(`document.activeElement.id == 'password' && document.querySelector('#username').value == 'admin'`, "the focus is not where one goes on")
}

// TestDomainsAreMadeWithEachDefaultAction: fields appear and vanish with the
// choice, and what was chosen is what the module has.
func TestDomainsAreMadeWithEachDefaultAction(t *testing.T) {
	s := open(t, "user2")
	for _, c := range []struct{ action, redirval string }{
		{"error", ""}, {"ignore", ""}, {"redirect", "me@elsewhere.example"}, {"redirdomain", "action-error.example"},
	} {
		s.goTo("/f/emaildomain")
		s.click(`.toolbar a[href^="/f/emaildomain.edit"]`)
		s.at("emaildomain.edit")
		s.write("#f-name", "action-"+c.action+".example")
		for _, other := range []string{"redirect", "error", "redirdomain", c.action} {
			s.choose("#f-defaction", other)
			if want := strings.HasPrefix(other, "redir"); s.shown("redirval") != want || s.is(`document.querySelector('#f-redirval').disabled`) == want {
				t.Errorf("%s: the field of where to forward to is shown: %v", other, !want)
			}
		}
		s.choose("#f-ipsrc", "manual")
		if !s.shown("ip") {
			t.Error("no field for the address")
		}
		s.choose("#f-ipsrc", "auto")
		if s.shown("ip") {
			t.Error("a field for the address that the server chooses")
		}
		if c.redirval != "" {
			s.write("#f-redirval", c.redirval)
		}
		s.click("[data-default]")
		s.at("emaildomain")
		s.sees("Saved: action-" + c.action + ".example")
		a := shared.world.Must(t, "user2", "emaildomain.edit", "elid", "action-"+c.action+".example")
		if a.Text["defaction"] != c.action || c.redirval != "" && a.Text["redirval"] != c.redirval {
			t.Errorf("saved: %v", a.Text)
		}
	}
}

func TestFieldErrorInRussian(t *testing.T) {
	s := open(t, "user2")
	s.click(".who")
	s.click(`[name=_lang][value=ru]`)
	s.until(`document.documentElement.lang == 'ru' && window.htmx`)
	s.goTo("/f/emaildomain.edit")
	s.write("#f-name", "не имя!")
	s.click("[data-default]")
	s.until(`document.querySelector('#f-name-error')`)
	s.becomes(`document.activeElement.id == 'f-name' && document.activeElement.getAttribute('aria-invalid') == 'true' && document.querySelector('#f-name-error').innerText.includes('не имя!')`, "the error is not at its field")
	if got := s.text(`document.querySelector('#f-name').value`); got != "не имя!" {
		t.Errorf("what was typed is gone: %q", got)
	}
	// Two are marked at once when they are left empty.
	s.choose("#f-defaction", "redirect")
	s.write("#f-name", " ")
	s.run(`document.querySelector('#f-name').value = ''`)
	s.click("[data-default]")
	s.until(`document.querySelectorAll('.field .error').length == 2`)
	s.becomes(`document.activeElement.id == 'f-name'`, "the focus is not at the first error")
	s.write("#f-name", "россия.example")
	s.write("#f-redirval", "a@b.example")
	s.click("[data-default]")
	s.at("emaildomain")
	s.sees("Сохранено: россия.example")
}

func TestDomainIsChangedSuspendedPassedOnAndDeleted(t *testing.T) {
	w := func(elid string) map[string]string {
		t.Helper()
		a := shared.world.Must(t, "admin", "emaildomain", "f_name", elid)
		if len(a.Elems) != 1 {
			t.Fatalf("%s: %v", elid, a.Elems)
		}
		return a.Elems[0]
	}
	s := open(t, "admin")
	s.domain("user2", "life.example")
	s.domain("user2", "life-two.example")
	s.goTo("/f/emaildomain")
	s.search("life")

	// Edit, by the name.
	s.click(`tr[data-name="life.example"] td.first a`)
	s.at("emaildomain.edit")
	s.choose("#f-defaction", "ignore")
	s.click("[data-default]")
	s.at("emaildomain")
	s.sees("Saved: life.example")
	if got := w("life.example")["defaction"]; got != "ignore" {
		t.Error("not changed:", got)
	}
	if !s.is(`document.querySelector('.chip b').innerText == 'life'`) {
		t.Error("the filter is gone")
	}

	// Disable and enable: by the switch in the row, and for several.
	s.click(`tr[data-name="life.example"] .switch`)
	s.until(`document.querySelector('tr[data-name="life.example"] .switch')?.getAttribute('aria-checked') == 'false'`)
	if got := w("life.example")["active"]; got != "off" {
		t.Error("not disabled:", got)
	}
	s.becomes(`document.activeElement.classList.contains('switch')`, "the focus is lost")
	s.pick("life.example")
	if !s.is(`document.querySelector('.toolbar [data-func="emaildomain.resume"]').checkVisibility({visibilityProperty: true}) && !document.querySelector('.toolbar [data-func="emaildomain.suspend"]').checkVisibility({visibilityProperty: true})`) {
		t.Error("the buttons do not follow the state of the row")
	}
	s.click(`.toolbar [data-func="emaildomain.resume"]`)
	if names := s.text(`document.querySelector('#confirm-names').innerText`); strings.TrimSpace(names) != "life.example" {
		t.Errorf("asked for %q", names)
	}
	s.confirm()
	s.until(`document.querySelector('tr[data-name="life.example"] .switch')?.getAttribute('aria-checked') == 'true'`)
	s.click("#all")
	s.click(`.toolbar [data-func="emaildomain.suspend"]`)
	s.confirm()
	s.until(`document.querySelectorAll('.switch[aria-checked=false]').length == 2 && document.querySelectorAll('.results li').length == 2`)
	if w("life.example")["active"] != "off" || w("life-two.example")["active"] != "off" {
		t.Error("not both are disabled")
	}

	// Change the owner of both.
	s.click("#all")
	s.click(`.toolbar [data-func="emaildomain.passredirect"]`)
	s.at("emaildomain.passredirect")
	s.choose("#f-owner", "reseller1")
	s.click("[data-default]")
	s.at("emaildomain")
	s.until(`document.querySelectorAll('.results .good').length == 2`)
	if got := w("life.example")["owner"]; got != "reseller1" {
		t.Error("not passed on:", got)
	}

	// Log in as the owner, and come back.
	s.menu("life.example", "emaildomain.su")
	s.until(`document.querySelector('.asbar')?.innerText.includes('reseller1') && window.htmx`)
	if s.is(`document.querySelector('#nav a[href="/f/module"]')`) {
		t.Error("an owner sees what an administrator sees")
	}
	s.click(".asbar button")
	s.until(`!document.querySelector('.asbar') && document.querySelector('#nav a[href="/f/module"]') && window.htmx`)
	s.goTo("/f/emaildomain")
	if !s.is(`document.querySelector('.chip b').innerText == 'life'`) {
		t.Error("the filter was not kept")
	}

	// Delete, after looking at the question once.
	s.menu("life.example", "emaildomain.delete")
	s.until(`document.querySelector('#confirm').open && document.activeElement.id == 'confirm-cancel'`)
	s.press(kb.Escape)
	s.until(`!document.querySelector('#confirm').open`)
	w("life.example")
	s.click("#all")
	s.click(`.toolbar [data-func="emaildomain.delete"]`)
	if names := s.text(`document.querySelector('#confirm-names').innerText`); !strings.Contains(names, "life.example") || !strings.Contains(names, "life-two.example") {
		t.Errorf("asked for %q", names)
	}
	s.confirm()
	s.sees("Nothing matches the filter")
	if a := shared.world.Must(t, "admin", "emaildomain", "f_name", "life"); a.Total != 0 {
		t.Error("not deleted")
	}
	s.click(".chip.clear")
	s.until(`!document.querySelector('.chip') && document.querySelector('table.rows')`)
}

func TestPreviewShowsTheFiles(t *testing.T) {
	s := open(t, "user2")
	s.goTo("/f/emaildomain.edit")
	s.write("#f-name", "preview.example")
	s.choose("#f-defaction", "redirect")
	s.write("#f-redirval", "someone@elsewhere.example")
	s.click("[name=_preview]")
	s.until(`document.querySelector('.preview .line.add')`)
	if diff := s.text(`document.querySelector('.preview').innerText`); !strings.Contains(diff, "+redirval: someone@elsewhere.example") || !strings.Contains(diff, "domains/preview.example") {
		t.Errorf("the diff: %s", diff)
	}
	s.becomes(`document.activeElement.id == 'preview-title' && document.querySelector('#f-name').value == 'preview.example'`, "the focus is not at the preview, or the form has lost what was typed")
	if colour := s.text(`getComputedStyle(document.querySelector('.line.add')).backgroundColor`); colour == s.text(`getComputedStyle(document.querySelector('.line:not(.add):not(.del)')).backgroundColor`) {
		t.Error("added lines have no colour of their own:", colour)
	}
	shared.world.Refused(t, "missed(elid)", "user2", "emaildomain.edit", "elid", "preview.example")
	s.click("[data-default]")
	s.at("emaildomain")
	shared.world.Must(t, "user2", "emaildomain.edit", "elid", "preview.example")
}

// TestDoubleClickMakesOne: a second click on Save while the first is on its way,
// and the same form sent once more, make one domain and no error.
func TestDoubleClickMakesOne(t *testing.T) {
	s := open(t, "user2")
	s.goTo("/f/emaildomain.edit")
	s.write("#f-name", "twice.example")
	form := s.text(`new URLSearchParams(new FormData(document.querySelector('#form'))).toString()`)
	s.check(s.Do(chromedp.DoubleClick(chromedp.CSS("[data-default]"))))
	s.at("emaildomain")
	s.sees("Saved: twice.example")
	status, err := Eval[string](s.Tab, `fetch('/f/emaildomain.edit', {method: 'POST', headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: '`+form+`'}).then(r => r.status + ' ' + r.url.replace(location.origin, ''))`)
	s.check(err)
	if status != "200 /f/emaildomain" {
		t.Error("the form sent again:", status)
	}
	if a := shared.world.Must(t, "user2", "emaildomain.history", "elid", "twice.example"); a.Total != 1 {
		t.Errorf("made %d times: %v", a.Total, a.Elems)
	}
}

// TestKeyboardAlone: log in, make a domain, change it, and delete it, without a
// mouse.
func TestKeyboardAlone(t *testing.T) {
	s := open(t, "")
	s.goTo("/login")
	s.until(`document.activeElement.id == 'username'`)
	s.press("user2")
	s.press(kb.Tab)
	s.press(world.Password)
	s.press(kb.Enter)
	s.until(`document.querySelector('#nav') && window.htmx`)
	s.press(kb.Tab) // the first stop leads past the menu
	s.until(`document.activeElement.classList.contains('skip')`)
	s.press(kb.Enter)
	s.until(`location.hash == '#main'`)
	s.tabTo(`document.activeElement.matches('.toolbar a.primary')`)
	s.press(kb.Enter)
	s.at("emaildomain.edit")
	s.until(`document.activeElement.id == 'f-name'`)
	s.press("keyboard.example")
	s.press(kb.Enter) // saves, as in any form
	s.at("emaildomain")
	s.sees("Saved: keyboard.example")
	s.tabTo(`document.activeElement.id == 'search'`)
	s.press("keyboard")
	s.press(kb.Enter)
	s.until(`document.querySelector('.chip b')?.innerText == 'keyboard' && ` + settled)
	s.tabTo(`document.activeElement.classList.contains('morebtn')`)
	s.becomes(`getComputedStyle(document.activeElement).outlineStyle != 'none'`, "one does not see where the focus is")
	s.press(kb.Enter)
	s.until(`document.activeElement.getAttribute('role') == 'menuitem'`)
	first := s.text(`document.activeElement.innerText`)
	s.press(kb.ArrowDown)
	s.press(kb.ArrowUp)
	if got := s.text(`document.activeElement.innerText`); got != first {
		t.Errorf("down and up again: %q, not %q", got, first)
	}
	s.press(kb.Escape)
	s.until(`document.querySelector('#rowmenu').hidden && document.activeElement.classList.contains('morebtn')`)
	s.press(kb.Enter)
	s.press(kb.End)
	s.until(`document.activeElement.dataset.func == 'emaildomain.delete'`)
	s.press(kb.Enter)
	s.until(`document.querySelector('#confirm').open && document.activeElement.id == 'confirm-cancel'`)
	s.check(s.Do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))))
	s.until(`document.activeElement.id == 'confirm-ok'`)
	s.press(kb.Enter)
	s.sees("Nothing matches the filter")
	shared.world.Refused(t, "missed(elid)", "user2", "emaildomain.edit", "elid", "keyboard.example")
}

// tabTo presses Tab until a script is true.
func (s *scene) tabTo(script string) {
	s.t.Helper()
	for range 60 {
		if s.is(script) {
			return
		}
		s.press(kb.Tab)
	}
	s.t.Fatalf("Tab does not lead to %s", script)
}

// TestBackShowsThePageBefore: as it is now, not as it was.
func TestBackShowsThePageBefore(t *testing.T) {
	s := open(t, "user2")
	s.domain("user2", "back.example")
	s.goTo("/f/emaildomain")
	s.search("back.example")
	s.click(`tr[data-name="back.example"] td.first a`)
	s.at("emaildomain.edit")
	shared.world.Must(t, "user2", "emaildomain.suspend", "elid", "back.example")
	s.check(s.Do(chromedp.NavigateBack()))
	s.at("emaildomain")
	s.until(`document.querySelector('tr[data-name="back.example"] .switch')?.getAttribute('aria-checked') == 'false'`)
}
