package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

// TestSecretTextIsNeverSentBack: a textarea of type password is as a password. What
// was typed stays in the browser, but in the field that is wrong.
func TestSecretTextIsNeverSentBack(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	h := logIn(t, p, "user1")
	contains(t, "menu", h.get("/f/sslcert").body, `href="/f/sslcert"`, "Certificates")
	form := h.get("/f/sslcert.edit").body
	contains(t, "form", form, `<textarea id="f-key"`, `id="f-certificate"`, "Private key")
	lacks(t, "form of a user", form, `id="f-owner"`)
	contains(t, "form of an administrator", logIn(t, p, "admin").get("/f/sslcert.edit").body, `id="f-owner"`)
	got := h.send("/f/sslcert.edit", "name", "x", "certificate", "hunter2-certificate", "key", "hunter2-key")
	if got.status != http.StatusUnprocessableEntity {
		t.Error(got.status)
	}
	contains(t, "wrong", got.body, `id="f-certificate-error"`, "Certificates in PEM", `value="x"`)
	lacks(t, "wrong", got.body, "hunter2")
	for _, line := range strings.Split(got.body, "\n") {
		if name, area := "f-key", strings.Contains(line, "<textarea"); area && strings.Contains(line, "hx-preserve") != strings.Contains(line, `id="`+name+`"`) {
			t.Errorf("what stays in the browser: %s", line)
		}
	}
}
