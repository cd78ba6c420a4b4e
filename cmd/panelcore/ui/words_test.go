package ui

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

func TestLanguagesSayTheSame(t *testing.T) {
	en, ru := catalogue["en"], catalogue["ru"]
	if a, b := slices.Sorted(maps.Keys(en)), slices.Sorted(maps.Keys(ru)); !slices.Equal(a, b) {
		t.Errorf("keys differ:\n%v\n%v", a, b)
	}
	for lang, words := range catalogue {
		for key, text := range words {
			if text == "" {
				t.Errorf("%s: %s is empty", lang, key)
			}
		}
	}
}

// TestEveryWordIsUsed: a template shows nothing for a key that is not there, so
// the keys are held against the catalogue here.
func TestEveryWordIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, x := range []struct{ files, key string }{
		{"templates/*.html", `\.T\.([a-z_]+)`},
		{"*.go", `(?:words|\.T)\["([a-z_]+)"\]`},
	} {
		files, err := filepath.Glob(x.files)
		if err != nil || len(files) == 0 {
			t.Fatal(x.files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(x.key).FindAllStringSubmatch(string(b), -1) {
				used[m[1]] = true
				if catalogue["en"][m[1]] == "" {
					t.Errorf("%s: no text for %s", file, m[1])
				}
			}
		}
	}
	for _, made := range []string{"level_user", "level_reseller", "level_admin", "save", "preview", "cancel", "on", "off"} { // from parts
		used[made] = true
	}
	for key := range catalogue["en"] {
		if !used[key] {
			t.Errorf("%s is said nowhere", key)
		}
	}
}

func TestLanguageIsChosenOrTheBrowsers(t *testing.T) {
	for _, c := range []struct{ wanted, accepted, want string }{
		{"ru", "en", "ru"}, {"", "ru-RU,ru;q=0.9,en;q=0.8", "ru"}, {"", "de-DE,de;q=0.9,ru;q=0.5", "ru"},
		{"", "de", "en"}, {"", "", "en"}, {"xx", "en-GB", "en"}, {"<script>", "*", "en"},
	} {
		if got := language(c.wanted, c.accepted); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.wanted, c.accepted, got, c.want)
		}
	}
}

func TestNamesAreShownAsPeopleWriteThem(t *testing.T) {
	for _, c := range [][2]string{
		{"xn--e1afmkfd.example", "пример.example"}, {"me@xn--e1afmkfd.example b@c.example", "me@пример.example b@c.example"},
		{"plain.example", "plain.example"}, {"xn--", "xn--"}, {"xn--a-ecp.ru", "xn--a-ecp.ru"}, {"<xn--e1afmkfd>", "<xn--e1afmkfd>"},
	} {
		if got := unicodeName(c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}
