package ui

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"maildomain/cmd/panelcore/tree"
)

// texts are the messages of a function in the language of the visit, and in
// English what that language lacks.
type texts map[string]string

func newTexts(byLang map[string]*tree.Node, lang string) texts {
	t := texts{}
	for _, l := range []string{"en", lang} {
		if n := byLang[l]; n != nil {
			for _, m := range n.Children {
				if m.Name == "msg" {
					t[m.Attr("name")] = m.Text
				}
			}
		}
	}
	return t
}

// textsOf returns the messages of the function of that name.
func (v *visit) textsOf(function string) texts {
	if f := v.core.Function(function); f != nil {
		return newTexts(f.Messages, v.lang)
	}
	return texts{}
}

// label returns the first of the messages that there is, else the key itself as
// a name for people.
func (t texts) label(keys ...string) string {
	for _, k := range keys {
		if s := t[k]; s != "" {
			return s
		}
	}
	return humanName(keys[len(keys)-1])
}

// humanName makes a name of a program readable: p_size becomes P size.
func humanName(s string) string { return upperFirst(strings.ReplaceAll(s, "_", " ")) }

// upperFirst begins s with a capital, as a sentence on a page does.
func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || unicode.IsUpper(r) {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// unicodeName shows the A-labels of names (RFC 5890) as people write them, also
// behind the @ of an address and in a list; what is no such name stays.
func unicodeName(s string) string {
	if !strings.Contains(strings.ToLower(s), "xn--") {
		return s
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		local, name, ok := strings.Cut(w, "@")
		if !ok {
			local, name = "", w
		}
		u, err := idna.Display.ToUnicode(name)
		if err != nil || u == "" {
			continue
		}
		if ok {
			u = local + "@" + u
		}
		words[i] = u
	}
	return strings.Join(words, " ")
}

// language returns the first that the pages speak: what was chosen, else what the
// browser prefers (Accept-Language; its weights are in falling order everywhere).
func language(wanted, accepted string) string {
	if _, ok := catalogue[wanted]; ok {
		return wanted
	}
	for l := range strings.SplitSeq(accepted, ",") {
		l, _, _ = strings.Cut(cmp.Or(strings.TrimSpace(l), "en"), ";")
		l, _, _ = strings.Cut(l, "-")
		if _, ok := catalogue[l]; ok {
			return l
		}
	}
	return "en"
}
