package tests

import (
	"strings"
	"testing"

	"maildomain/tests/world"
)

// Who logs in as the owner of a domain is named beside it in all that follows.
func TestLoginAsOwnerIsNamedInTheHistory(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user3", "emaildomain.edit", "name", "d.example", "sok", "ok")
	admin := w.Must(t, "", "auth", "username", "admin", "password", world.Password).Auth
	goes := w.Must(t, "", "emaildomain.su", "auth", admin, "elid", "d.example")
	if !strings.Contains(goes.Raw, `func=su\u0026elid=user3`) && !strings.Contains(goes.Raw, "func=su&elid=user3") {
		t.Fatalf("the page is sent to %s", goes.Raw)
	}
	owner := w.Must(t, "", "su", "auth", admin, "elid", "user3").Auth
	w.Must(t, "", "emaildomain.edit", "auth", owner, "elid", "d.example", "defaction", "ignore", "sok", "ok")
	last := w.Must(t, "user3", "emaildomain.history", "elid", "d.example").Elems[0]
	if last["user"] != "user3" || last["su_by"] != "admin" {
		t.Errorf("the history says user %q, really by %q", last["user"], last["su_by"])
	}
	// It is the owner's circle that the session has.
	w.Must(t, "user1", "emaildomain.edit", "name", "other.example", "sok", "ok")
	if l := w.Must(t, "", "emaildomain", "auth", owner); l.Total != 1 {
		t.Errorf("the session as user3 sees %q", names(l))
	}
}
