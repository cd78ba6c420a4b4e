package rpc

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"maildomain/module/mail"
)

var placeholder = regexp.MustCompile(`__([a-z_]+?)__`)

// Each sentence about DNS stands in both languages and says all that it is given, but
// the value, which stands beside it.
func TestSentencesAboutDNSAreWhole(t *testing.T) {
	check := func(messages, name string, args []string) {
		for _, lang := range []string{"en", "ru"} {
			s, ok := message(lang, messages, name)
			if !ok {
				t.Errorf("%s %s has no sentence in %s", messages, name, lang)
				continue
			}
			said := map[string]bool{}
			for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
				said[m[1]] = true
				if !slices.Contains(args, m[1]) {
					t.Errorf("%s in %s asks for %s", name, lang, m[1])
				}
			}
			for _, a := range args {
				if a != "value" && !said[a] && messages == "emaildomain.dns" {
					t.Errorf("%s in %s does not say %s", name, lang, a)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(mail.HandedTexts)) {
		check("emaildomain.dns", name, mail.HandedTexts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(mail.CheckTexts)) {
		check("emaildomain.check", name, mail.CheckTexts[name])
	}
	for _, name := range mail.AskedTexts {
		check("emaildomain.check", name, nil)
	}
}

func TestReasonsAreSaidInTheLanguageOfWhoAsks(t *testing.T) {
	v := mail.Say(mail.Unknown, mail.CheckUnasked, "error", "it does not answer")
	v.Args[mail.ErrorText] = mail.AskedSilent
	for lang, want := range map[string]string{"en": "it does not answer", "ru": "не отвечает"} {
		if got := verdict(lang, v); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("in %s: %s", lang, got)
		}
	}
	if v.Args["error"] != "it does not answer" {
		t.Error("the verdict was changed")
	}
}
