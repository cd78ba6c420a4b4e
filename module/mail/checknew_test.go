package mail

import "testing"

func TestNamesThatNobodyMayTake(t *testing.T) {
	p := Params{
		MailHost:  "Mail.Host.Example",
		Forbidden: []string{"local", "рф", "Bücher.example", ".corp.", "sub.shop.example", "", ".", "_odd_.example", "*"},
	}
	for name, text := range map[string]string{
		"co.uk":                   "value_name_suffix",
		"公司.cn":                   "value_name_suffix",
		"mail.host.example":       "value_name_host",
		"host.example":            "",
		"a.mail.host.example":     "",
		"printer.local":           "value_name_forbidden",
		"a.b.local":               "value_name_forbidden",
		"notlocal.example":        "",
		"local.example":           "",
		"пример.рф":               "value_name_forbidden",
		"xn--bcher-kva.example":   "value_name_forbidden",
		"a.bücher.example":        "value_name_forbidden",
		"xbücher.example":         "",
		"x.corp":                  "value_name_forbidden",
		"sub.shop.example":        "value_name_forbidden",
		"deep.sub.shop.example":   "value_name_forbidden",
		"shop.example":            "",
		"sub-shop.example":        "",
		"other.sub.shop.example.": "value_name_forbidden",
	} {
		checkError(t, name, CheckNew(mustName(t, name), p), Invalid, "name", text)
	}
	if err := CheckNew(mustName(t, "shop.de"), Params{}); err != nil {
		t.Errorf("with no settings: %v", err)
	}
}

// checkError holds err against the kind, field and sentence that it is to have;
// no sentence means no error.
func checkError(t *testing.T, what string, err error, kind Kind, field, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	e, ok := err.(*Error)
	if !ok || e.Kind != kind || e.Field != field || e.Text != text {
		t.Errorf("%s: %v, want %s(%s): %s", what, err, kind, field, text)
	}
}
