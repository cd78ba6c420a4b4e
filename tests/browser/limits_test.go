package browser

import "testing"

func TestLimitsOfAUserAreChangedInItsForm(t *testing.T) {
	s := open(t, "admin")
	s.goTo("/f/user.edit?elid=user3")
	s.at("user.edit")
	s.click(`[data-section=limits] summary`)
	if got := s.text(`document.querySelector('#f-limit_emaildomains').value + ' ' + document.querySelector('#f-limit_ssl').value`); got != "3 0" {
		t.Errorf("of the demonstration's user: %q", got)
	}
	s.write("#f-limit_emails", "7")
	s.click("[data-default]")
	s.sees("Saved: user3")
	a, err := shared.world.Call(t.Context(), "admin", "user.edit", "elid", "user3")
	if err != nil || a.Text["limit_emails"] != "7" || a.Text["limit_emaildomains"] != "3" || a.Text["limit_email_quota"] != "" {
		t.Errorf("%v %v", a.Text, err)
	}
	if a, err := shared.world.Call(t.Context(), "admin", "user.edit", "elid", "user3", "limit_emails", "", "sok", "ok"); err != nil || !a.OK {
		t.Error(a.Error, err)
	}
}
