package rpc

import (
	"slices"
	"testing"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// Every form of the metadata opens, new and for what stands, and as it would be after
// each of its fields changed, in both languages, for every level that may open it. It
// has a value for each field that it does not hide, options for each select, and takes
// parameters that it does not know for absent.
func TestEveryFormOpensInEveryWay(t *testing.T) {
	m := table(t)
	aMailbox(t, m)
	listSenders(t, m)
	elids := map[string][]string{ // by form: what it opens with
		"emaildomain.edit":         {"", "пример.example"},
		"emaildomain.passredirect": {"пример.example"},
		"emaildomain.filter":       {""},
		"emaildomain.dkim.import":  {"пример.example"},
		"email.edit":               {"", "info@пример.example"},
		"mailparam":                {""},
		"emaildomain.ssl":          {"пример.example"},
		"email.toplevel.ssl.edit":  {""},
		"whitelist.edit":           {"", "пример.example|friend@x.example"},
		"blacklist.edit":           {"", "пример.example|2001:db8::/32"},
	}
	for _, page := range metadata(t).Metadata {
		if page.Type != wire.KindForm {
			continue
		}
		if len(elids[page.Name]) == 0 {
			t.Errorf("nobody knows how to open %s", page.Name)
		}
		for _, level := range []string{"user", "reseller", "admin"} {
			if !mail.Level(level).AtLeast(mail.Level(page.Level)) {
				continue
			}
			for _, lang := range []string{"en", "ru"} {
				for _, elid := range elids[page.Name] {
					plain := m.form(t, level, lang, page.Name, "elid", elid, "limit_ssl", "", "nonsense", "{}")
					complete(t, page, plain, level, elid == "")
					for _, p := range page.Pages {
						for _, f := range p.Fields {
							typed := m.form(t, level, lang, page.Name, "elid", elid, "sv_field", f.Name, f.Name, plain.Values[f.Name], "nonsense", "{}")
							complete(t, page, typed, level, elid == "")
						}
					}
				}
			}
		}
	}
}

// complete holds an answer against the fields and selects of its metadata.
func complete(t *testing.T, page described, f wire.Form, level string, isNew bool) {
	t.Helper()
	for _, p := range page.Pages {
		for _, field := range p.Fields {
			hidden := slices.Contains(f.Hidden, field.Name) || field.Level != "" && !mail.Level(level).AtLeast(mail.Level(field.Level))
			if _, has := f.Values[field.Name]; !has && !hidden {
				t.Errorf("%s for %s (new: %v): field %s has no value", page.Name, level, isNew, field.Name)
			}
			for _, s := range field.Select {
				if _, has := f.SLists[s.Name]; !has && !hidden {
					t.Errorf("%s for %s (new: %v): select %s has no options", page.Name, level, isNew, s.Name)
				}
			}
		}
	}
}
