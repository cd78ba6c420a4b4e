package tests

import (
	"slices"
	"testing"

	"maildomain/tests/world"
)

// A filter is kept for the session, and for nobody else.
func TestFilterIsKeptInTheSession(t *testing.T) {
	w := world.Start(t, world.Options{})
	for _, d := range [][2]string{{"user1", "one.example"}, {"user1", "off.example"}, {"user2", "two.example"}, {"user3", "three.example"}} {
		w.Must(t, d[0], "emaildomain.edit", "name", d[1], "sok", "ok")
	}
	w.Must(t, "user1", "emaildomain.suspend", "elid", "off.example")
	mine := w.Must(t, "", "auth", "username", "admin", "password", world.Password).Auth
	other := w.Must(t, "", "auth", "username", "admin", "password", world.Password).Auth
	in := func(session, function string, params ...string) world.Answer {
		t.Helper()
		return w.Must(t, "", function, append(params, "auth", session)...)
	}
	check := func(what string, a world.Answer, want ...string) {
		t.Helper()
		if got := names(a); !slices.Equal(got, want) || a.Total != len(want) {
			t.Errorf("%s: %q of %d, want %q", what, got, a.Total, want)
		}
	}

	in(mine, "emaildomain.filter", "f_active", "on", "f_name", "e.", "sok", "ok")
	check("filtered", in(mine, "emaildomain"), "one.example", "three.example")
	check("another session", in(other, "emaildomain"), "off.example", "one.example", "three.example", "two.example")
	check("without a session", w.Must(t, "admin", "emaildomain"), "off.example", "one.example", "three.example", "two.example")
	check("what a call says itself goes before", in(mine, "emaildomain", "f_active", "off", "f_name", ""), "off.example")
	if f := in(mine, "emaildomain.filter"); f.Text["f_name"] != "e." || f.Text["f_active"] != "on" {
		t.Errorf("the form does not show what is kept: %v", f.Text)
	}
	w.Refused(t, "value(f_active)", "", "emaildomain.filter", "auth", mine, "f_active", "maybe", "sok", "ok")
	check("after a refusal", in(mine, "emaildomain"), "one.example", "three.example")

	in(mine, "emaildomain.happyfilter", "elid", "two.example")
	check("by the owner of a row", in(mine, "emaildomain"), "two.example")
	in(mine, "emaildomain.filter", "sok", "ok")
	check("ended", in(mine, "emaildomain"), "off.example", "one.example", "three.example", "two.example")
}
