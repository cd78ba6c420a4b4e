package rpc

import (
	stdxml "encoding/xml"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The metadata, the table and the messages say the same.

type pages struct {
	Metadata []described `xml:"metadata"`
}

type described struct {
	Name  string `xml:"name,attr"`
	Type  string `xml:"type,attr"`
	Level string `xml:"level,attr"`
	Btns  []struct {
		Name string `xml:"name,attr"`
		Func string `xml:"func,attr"`
	} `xml:"toolbar>toolgrp>toolbtn"`
	Cols []struct {
		Name string `xml:"name,attr"`
	} `xml:"coldata>col"`
	Pages []struct {
		Name   string  `xml:"name,attr"`
		Fields []field `xml:"field"`
	} `xml:"form>page"`
}

type field struct {
	Name   string    `xml:"name,attr"`
	Level  string    `xml:"level,attr"`
	Inputs []control `xml:"input"`
	Select []control `xml:"select"`
	Areas  []control `xml:"textarea"`
}

type control struct {
	Name string   `xml:"name,attr"`
	If   []hiding `xml:"if"`
	Else []hiding `xml:"else"`
}

type hiding struct {
	Hide string `xml:"hide,attr"`
}

func metadata(t *testing.T) pages {
	t.Helper()
	var p pages
	if err := stdxml.Unmarshal([]byte(Registration("test").Metadata), &p); err != nil {
		t.Fatalf("the registration's metadata is not well formed: %v", err)
	}
	if len(p.Metadata) == 0 {
		t.Fatal("the registration has no metadata")
	}
	return p
}

func TestEveryPageHasItsFunction(t *testing.T) {
	for _, m := range metadata(t).Metadata {
		f, ok := methods[m.Name]
		if !ok {
			t.Errorf("metadata %q has no function", m.Name)
			continue
		}
		if f.kind != m.Type || string(f.level) != m.Level {
			t.Errorf("metadata %q is a %s for %s, its function a %s for %s", m.Name, m.Type, m.Level, f.kind, f.level)
		}
		for _, b := range m.Btns {
			if _, ok := methods[b.Func]; !ok {
				t.Errorf("button %q of %q calls %q, which is no function", b.Name, m.Name, b.Func)
			}
		}
	}
}

func TestEveryFieldOfAFormIsAParameter(t *testing.T) {
	for _, m := range metadata(t).Metadata {
		known := map[string]bool{}
		for _, f := range methods[m.Name].fields {
			known[f] = true
		}
		for _, p := range m.Pages {
			for _, f := range p.Fields {
				for _, c := range slices.Concat(f.Inputs, f.Select, f.Areas) {
					if !known[c.Name] {
						t.Errorf("%s: field %q is no parameter", m.Name, c.Name)
					}
					for _, i := range slices.Concat(c.If, c.Else) {
						if i.Hide != "" && !known[i.Hide] {
							t.Errorf("%s: %q hides %q, which is no field", m.Name, c.Name, i.Hide)
						}
					}
				}
			}
		}
	}
}

func TestEveryNameOnAPageHasItsText(t *testing.T) {
	for _, m := range metadata(t).Metadata {
		want := []string{"title"}
		for _, b := range m.Btns {
			want = append(want, "short_"+b.Name, "hint_"+b.Name)
		}
		for _, c := range m.Cols {
			want = append(want, c.Name)
		}
		for _, p := range m.Pages {
			want = append(want, p.Name)
			for _, f := range p.Fields {
				want = append(want, f.Name)
			}
		}
		for _, w := range want {
			if _, ok := message("en", m.Name, w); !ok {
				t.Errorf("%s: %q has no text", m.Name, w)
			}
		}
	}
}

func TestEveryTextIsInBothLanguages(t *testing.T) {
	all := catalogues()
	en, ru := all["en"], all["ru"]
	if len(all) != 2 || len(en) == 0 {
		t.Fatalf("there are catalogues of %v", slices.Collect(maps.Keys(all)))
	}
	for name := range maps.Keys(en) {
		a, b := slices.Sorted(maps.Keys(en[name])), slices.Sorted(maps.Keys(ru[name]))
		if !slices.Equal(a, b) {
			t.Errorf("messages %q differ between the languages: %v, %v", name, a, b)
		}
		for key, text := range en[name] {
			for _, p := range placeholders(text) {
				if !strings.Contains(ru[name][key], p) {
					t.Errorf("%s/%s: %s is missing in Russian", name, key, p)
				}
			}
		}
	}
	if len(en) != len(ru) {
		t.Errorf("%d groups of messages in English, %d in Russian", len(en), len(ru))
	}
}

func placeholders(text string) (ps []string) {
	for i, part := range strings.Split(text, "__") {
		if i%2 == 1 {
			ps = append(ps, "__"+part+"__")
		}
	}
	return ps
}

func TestEveryKindOfErrorHasACodeAndASentence(t *testing.T) {
	seen := map[int64]bool{}
	for kind, code := range codes {
		if seen[code] {
			t.Errorf("code %d means two kinds", code)
		}
		seen[code] = true
		for _, lang := range []string{"en", "ru"} {
			if _, ok := message(lang, "msgerror", "msg_error_"+string(kind)); !ok {
				t.Errorf("kind %q has no sentence in %s", kind, lang)
			}
		}
	}
	if len(codes) != 10 {
		t.Errorf("the contract has 10 kinds, the table %d", len(codes))
	}
}
