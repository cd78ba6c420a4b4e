package mail

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// hostile is what some file, list or shell behind us would take for structure
// (never-again.md, "Exim: where characters become code").
var hostile = []string{
	"\n", "\r", "\r\n", "\x00", ":", "|", "/", ",", ";", "#", "$", "{", "}", `"`, "'", `\`, "`", " ", "\t", "\v", "\f",
	"*", "^", "!", "?", "&", "<", ">", "(", ")", "[", "]", "%", "~", "@", "@@", "../", "..", "${run{id}}",
	":include:/etc/passwd", ":blackhole:", "\x7f", "\x80", "\xff", "\xc3\x28", "\u2028", "\u0085", "\ufffd",
}

// everywhere is s with h at its beginning, at its end and between any two bytes.
func everywhere(s, h string) []string {
	var all []string
	for i := range len(s) + 1 {
		all = append(all, s[:i]+h+s[i:])
	}
	return all
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatalf("ParseName(%q): %v", s, err)
	}
	return n
}

func TestEverySpellingOfANameIsOneName(t *testing.T) {
	for want, spellings := range map[string][]string{
		"example.com": {"example.com", "Example.COM", "example.com.", "EXAMPLE.com。", "ｅｘａｍｐｌｅ．ｃｏｍ", "exam\u00adple.com", "ℯxample.com"},
		"xn--r8jz45g.xn--zckzah": {
			"例え.テスト", "例え。テスト", "例え．テスト", "例え｡テスト", "例え.テスト.", "例え。テスト。",
			"xn--r8jz45g.xn--zckzah", "XN--R8JZ45G.XN--ZCKZAH", "Xn--r8jz45g.テスト.",
		},
		"xn--bcher-kva.example":   {"bücher.example", "BÜCHER.example", "bu\u0308cher.example", "xn--bcher-kva.EXAMPLE"},
		"xn--strae-oqa.de":        {"straße.de", "STRAße.DE", "xn--strae-oqa.de"}, // not strasse.de: non-transitional
		"strasse.de":              {"strasse.de", "STRASSE.DE"},
		"xn--e1afmkfd.xn--p1ai":   {"пример.рф", "ПРИМЕР.РФ", "пример.xn--p1ai"},
		"xn--11b2ezcw70k.example": {"क्\u200dष.example"}, // a joiner where a script needs one (RFC 5892 appendix A)
		"a--b.example":            {"a--b.example"},
		"a.b":                     {"a.b", "A.B", "a。b."},
		"3com.4a":                 {"3com.4a"},
	} {
		for _, s := range spellings {
			if n, err := ParseName(s); err != nil || n.String() != want {
				t.Errorf("ParseName(%q) = %q, %v; want %q", s, n, err, want)
			}
		}
	}
}

func TestWhatIsNoNameIsRefused(t *testing.T) {
	for what, names := range map[string][]string{
		"nothing":             {"", ".", "..", "。"},
		"one label":           {"localhost", "com.", "рф"},
		"an empty label":      {".a.b", "a..b", "a.b..", "a。。b", "a.\u00ad.b"},
		"an IPv4 literal":     {"127.0.0.1", "127.0.0.1.", "1.2", "１２７.０.０.１", "a.1", "[127.0.0.1]"},
		"an IPv6 literal":     {"::1", "[::1]", "2001:db8::1", "[IPv6:::1]"},
		"a wrong character":   {"a_b.example", "_dmarc.example.com", "a b.example", "a+b.example", "a℀b.example", "user@example.com", "*.example.com"},
		"a hyphen at an end":  {"-a.example", "a-.example", "a.-b", "a.b-", "－a.example"},
		"no A-label":          {"xn--a", "xn--a.example", "xn--.example", "xn--example-.com", "xn--\u00e9.example", "xn--a-ecp.ru", "xn--xn---epa.com"},
		"hyphens as an ACE's": {"ab--cd.example", "zz--a.example"},
		"a stray joiner":      {"a\u200db.example", "a\u200cb.example", "\u200d.example"},
		"both directions":     {"1א.example", "aא.example", "ℷ.00A"},
		"a leading mark":      {"\u0301a.example"},
		"a label too long":    {strings.Repeat("a", 64) + ".example", strings.Repeat("ü", 60) + ".example"},
		"too long":            {strings.Repeat("a.", 127) + "b", strings.Repeat("abcdefg.", 32) + "com"},
	} {
		for _, s := range names {
			if n, err := ParseName(s); err == nil {
				t.Errorf("%s: ParseName(%q) = %q, want an error", what, s, n)
			} else if !n.IsZero() {
				t.Errorf("ParseName(%q) gives %q with its error", s, n)
			}
		}
	}
}

func TestTheLongestNameIsTaken(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := label + "." + label + "." + label + "." + strings.Repeat("b", 61)
	if n := mustName(t, longest+"."); n.String() != longest {
		t.Errorf("the name of 253 bytes became %q", n)
	}
	if _, err := ParseName(longest + "b"); err == nil {
		t.Error("a name of 254 bytes was taken")
	}
}

func TestHostileCharactersAreNoPartOfAName(t *testing.T) {
	for _, h := range hostile {
		for _, s := range append(everywhere("post.example.com", h), everywhere("пример.рф", h)...) {
			n, err := ParseName(s)
			if err != nil {
				continue
			}
			// What is left are spellings: a final dot, or dots doubled to one.
			if h != ".." && h != "@" || strings.Trim(n.String(), safeName) != "" {
				t.Errorf("ParseName(%q) = %q", s, n)
			}
		}
	}
}

const (
	safeName  = "abcdefghijklmnopqrstuvwxyz0123456789-."
	safeLocal = "abcdefghijklmnopqrstuvwxyz0123456789-._+="
)

// A form field can hold a megabyte; the quadratic parts of IDNA must not see it.
func TestLongInputIsRefusedAtOnce(t *testing.T) {
	for _, unit := range []string{"a", "ü", "a.", "。", "xn--a-", "\u0301", "\u00ad", "क्\u200d", "\xff"} {
		s := strings.Repeat(unit, 64<<10/len(unit)) + ".example"
		took := time.Hour
		for range 5 { // the best: other work goes on besides
			began := time.Now()
			_, err := ParseName(s)
			_, errAddress := ParseAddress("a@" + s)
			_, errLocal := ParseLocalPart(s)
			took = min(took, time.Since(began))
			if err == nil || errAddress == nil || errLocal == nil {
				t.Fatalf("64 KiB of %q were taken", unit)
			}
		}
		if took > 50*time.Millisecond {
			t.Errorf("64 KiB of %q took %v", unit, took)
		}
	}
}

func TestParentsAreTheNamesAbove(t *testing.T) {
	for name, want := range map[string]string{
		"b.example":           "",
		"a.b.example":         "b.example",
		"x.a.b.example":       "a.b.example b.example",
		"xa.b":                "",
		"mail.xn--e1af.co.uk": "xn--e1af.co.uk co.uk",
	} {
		if got := JoinNames(mustName(t, name).Parents()); got != want {
			t.Errorf("parents of %s: %q, want %q", name, got, want)
		}
	}
}

func TestWithinIsTheNameAndWhatIsBelow(t *testing.T) {
	for _, c := range []struct {
		n, d   string
		within bool
	}{
		{"a.b", "a.b", true},
		{"x.a.b", "a.b", true},
		{"y.x.a.b", "a.b", true},
		{"xa.b", "a.b", false},
		{"a-b.c", "b.c", false},
		{"a.b", "x.a.b", false},
		{"a.b.c", "a.b", false},
	} {
		if got := mustName(t, c.n).Within(mustName(t, c.d)); got != c.within {
			t.Errorf("%s within %s: %v", c.n, c.d, got)
		}
	}
	if mustName(t, "a.b").Within(Name{}) || (Name{}).Within(mustName(t, "a.b")) {
		t.Error("no name is within no name, and no name is within a name")
	}
}

func TestReversedSortsAFamilyTogether(t *testing.T) {
	if got := mustName(t, "mail.example.com").Reversed(); got != "com.example.mail." {
		t.Errorf("reversed: %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		n, d := drawName(t, "n"), drawName(t, "d")
		if n.Within(d) != strings.HasPrefix(n.Reversed(), d.Reversed()) {
			t.Errorf("%s within %s: %v, but reversed they are %s and %s", n, d, n.Within(d), n.Reversed(), d.Reversed())
		}
		ps := n.Parents()
		for i, p := range ps {
			if !n.Within(p) || p.Within(n) || i > 0 && !ps[i-1].Within(p) {
				t.Errorf("%s is no parent of %s in its turn", p, n)
			}
		}
		if (n.Within(d) && n != d) != contains(ps, d) {
			t.Errorf("%s within %s, but its parents are %v", n, d, ps)
		}
	})
}

func contains(ns []Name, n Name) bool {
	for _, m := range ns {
		if m == n {
			return true
		}
	}
	return false
}

// drawName draws a name of few letters, so that relatives are frequent.
func drawName(t *rapid.T, label string) Name {
	s := rapid.StringMatching(`([ab]{1,2}|a-b|xn--e1af|яб)(\.([ab]|ab)){1,3}`).Draw(t, label)
	n, err := ParseName(s)
	if err != nil {
		t.Fatalf("ParseName(%q): %v", s, err)
	}
	return n
}

func TestPublicSuffixesAreKnown(t *testing.T) {
	for name, is := range map[string]bool{
		"co.uk":               true,
		"公司.cn":               true,
		"example.co.uk":       false,
		"example.com":         false,
		"github.io":           true,
		"someone.github.io":   false,
		"internal.example":    false, // under a top-level domain that no list knows
		"xn--55qx5d.cn":       true,
		"xn--e1afmkfd.рф":     false,
		"www.ck":              false, // an exception of the list
		"anything.ck":         true,  // by a wildcard of the list
		"city.kawasaki.jp":    false,
		"foo.kawasaki.jp":     true,
		"a.foo.kawasaki.jp":   false,
		"compute.amazonaws.x": false,
	} {
		if got := mustName(t, name).IsPublicSuffix(); got != is {
			t.Errorf("%s is a public suffix: %v", name, got)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"example.com", "例え。テスト。", "xn--a.example", "STRAẞE.de.", "1א.example", "क्\u200dष.example", "a\u00ad.b", "127.0.0.1", "a--b.c", "İ.com", "ⅷ.com", "ℷ.00A"} {
		f.Add(s)
	}
	for _, h := range hostile {
		f.Add("post" + h + ".example.com")
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		a := n.String()
		if strings.Trim(a, safeName) != "" || len(a) > 253 || !strings.Contains(a, ".") {
			t.Errorf("ParseName(%q) = %q", s, a)
		}
		for _, l := range strings.Split(a, ".") {
			if len(l) < 1 || len(l) > 63 || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
				t.Errorf("ParseName(%q) has label %q", s, l)
			}
		}
		for _, again := range []string{a, n.Unicode(), strings.ToUpper(a), a + "."} {
			if m, err := ParseName(again); err != nil || m != n {
				t.Errorf("%q is %q, but %q is %q (%v)", s, n, again, m, err)
			}
		}
	})
}
