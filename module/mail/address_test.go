package mail

import (
	"strings"
	"testing"
)

func TestLocalPartsThatAreTaken(t *testing.T) {
	for s, want := range map[string]string{
		"info":                  "info",
		"Info":                  "info",
		"a.b":                   "a.b",
		"a+tag":                 "a+tag",
		"+":                     "+",
		"_":                     "_",
		"a-":                    "a-",
		"=a=":                   "=a=",
		"0":                     "0",
		strings.Repeat("A", 64): strings.Repeat("a", 64),
	} {
		if l, err := ParseLocalPart(s); err != nil || l.String() != want {
			t.Errorf("ParseLocalPart(%q) = %q, %v; want %q", s, l, err, want)
		}
	}
}

func TestLocalPartsThatAreRefused(t *testing.T) {
	for _, s := range []string{
		"", ".", "..", ".a", "a.", "a..b", "-", "-a", "-oMa", strings.Repeat("a", 65), strings.Repeat("a", 64<<10),
		`"a b"`, `"a"`, `a\@b`, "ü", "я", "a\u200db", "\u212a", // the Kelvin sign, which lower case makes a k
	} {
		if l, err := ParseLocalPart(s); err == nil || l != (LocalPart{}) {
			t.Errorf("ParseLocalPart(%q) = %q, %v; want an error", s, l, err)
		}
	}
}

func TestHostileCharactersAreNoPartOfAnAddress(t *testing.T) {
	for _, h := range hostile {
		for _, s := range everywhere("box", h) {
			if l, err := ParseLocalPart(s); err == nil {
				t.Errorf("ParseLocalPart(%q) = %q", s, l)
			}
		}
		for _, s := range everywhere("box@post.example", h) {
			a, err := ParseAddress(s)
			if err == nil && a.String() != "box@post.example" {
				t.Errorf("ParseAddress(%q) = %q", s, a)
			}
		}
		if a, err := ParseAddress(h); err == nil {
			t.Errorf("ParseAddress(%q) = %q", h, a)
		}
	}
}

func TestAddressesAreStoredInOneSpelling(t *testing.T) {
	for s, want := range map[string][2]string{
		"Info@Example.COM":        {"info@example.com", "info@example.com"},
		"info@example.com.":       {"info@example.com", "info@example.com"},
		"a+b=c@ПРИМЕР.рф":         {"a+b=c@xn--e1afmkfd.xn--p1ai", "a+b=c@пример.рф"},
		"x@xn--bcher-kva.example": {"x@xn--bcher-kva.example", "x@bücher.example"},
		"x@ｅｘａｍｐｌｅ。com":           {"x@example.com", "x@example.com"},
	} {
		a, err := ParseAddress(s)
		if err != nil || a.String() != want[0] || a.Unicode() != want[1] || a.IsZero() {
			t.Errorf("ParseAddress(%q) = %q, %q, %v; want %q", s, a, a.Unicode(), err, want)
		}
	}
	for _, s := range []string{"", "@", "a", "a@", "@a.b", "a@b", "a@b@c.d", "a@[127.0.0.1]", "a@127.0.0.1", "<a@b.c>", "a@b.c,d@e.f", "A <a@b.c>", "a@b.c (x)"} {
		if a, err := ParseAddress(s); err == nil || !a.IsZero() {
			t.Errorf("ParseAddress(%q) = %q, %v; want an error", s, a, err)
		}
	}
	if s := (Address{}).String() + (Address{}).Unicode(); s != "" {
		t.Errorf("no address is written %q", s)
	}
}

// An accepted address is written in the alphabet that Exim takes literally, and
// is taken again for the same.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"info@example.com", "A+b=c@Пример.рф", "a@b", `"a b"@c.d`, "a@[::1]", "-a@b.c", "a..b@c.d", "a@b@c.d"} {
		f.Add(s)
	}
	for _, h := range hostile {
		f.Add("bo" + h + "x@post.example")
		f.Add("box@po" + h + "st.example")
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		local, domain, _ := strings.Cut(a.String(), "@")
		if strings.Trim(local, safeLocal) != "" || strings.Trim(domain, safeName) != "" || len(local) > 64 || len(domain) > 253 {
			t.Errorf("ParseAddress(%q) = %q", s, a)
		}
		for _, again := range []string{a.String(), a.Unicode(), strings.ToUpper(a.String())} {
			if b, err := ParseAddress(again); err != nil || b != a {
				t.Errorf("%q is %q, but %q is %q (%v)", s, a, again, b, err)
			}
		}
	})
}
