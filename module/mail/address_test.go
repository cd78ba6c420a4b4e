package mail

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
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

func TestActionsAndTheirTargets(t *testing.T) {
	for s, want := range map[string]DefaultAction{
		"error": Refuse, "ignore": Ignore, "redirect": ForwardAll, "redirdomain": ForwardDomain, "domain": ForwardDomain,
	} {
		if a, ok := parseAction(s); !ok || a != want {
			t.Errorf("parseAction(%q) = %q, %v", s, a, ok)
		}
	}
	for _, s := range append([]string{"", "Error", "REDIRECT", "redirect ", "reject", ":fail:"}, hostile...) {
		if a, ok := parseAction(s); ok {
			t.Errorf("parseAction(%q) = %q", s, a)
		}
	}
	for _, a := range DefaultActions {
		forwards := a == ForwardAll || a == ForwardDomain
		if parsed, ok := parseAction(string(a)); !ok || parsed != a || a.Forwards() != forwards {
			t.Errorf("%s does not come back", a)
		}
	}
	for _, c := range []struct {
		a            DefaultAction
		s            string
		ascii, shown string
		domain       string
	}{
		{ForwardAll, "Me@Пример.рф", "me@xn--e1afmkfd.xn--p1ai", "me@пример.рф", ""},
		{ForwardDomain, "Пример.рф", "xn--e1afmkfd.xn--p1ai", "пример.рф", "xn--e1afmkfd.xn--p1ai"},
		{Refuse, "me@example.com", "", "", ""},
		{Ignore, "", "", "", ""},
	} {
		to, err := ParseTarget(c.a, c.s)
		if err != nil || to.String() != c.ascii || to.Unicode() != c.shown || to.Domain().String() != c.domain || to.IsZero() != (c.ascii == "") {
			t.Errorf("ParseTarget(%s, %q) = %q, %q, %q, %v", c.a, c.s, to, to.Unicode(), to.Domain(), err)
		}
	}
	for _, c := range [][2]string{{"redirect", "example.com"}, {"redirect", ""}, {"redirdomain", "me@example.com"}, {"redirdomain", ""}} {
		if to, err := ParseTarget(DefaultAction(c[0]), c[1]); err == nil || !to.IsZero() {
			t.Errorf("ParseTarget(%s, %q) = %q, %v; want an error", c[0], c[1], to, err)
		}
	}
}

func TestSelectors(t *testing.T) {
	label := strings.Repeat("a", 63)
	for s, want := range map[string]string{
		"dkim": "dkim", "DKIM": "dkim", "2024": "2024", "a-b": "a-b", "s1.mail": "s1.mail", "a--b": "a--b",
		label: label, label + "." + label[:36]: label + "." + label[:36],
	} {
		if got, ok := ParseSelector(s); !ok || got.String() != want {
			t.Errorf("ParseSelector(%q) = %q, %v", s, got, ok)
		}
	}
	for _, s := range slices.Concat(hostile, []string{
		"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "ü", "\u212a", label + "a", label + "." + label[:37], strings.Repeat("a", 64<<10),
	}, everywhere("se", "\n")) {
		if got, ok := ParseSelector(s); ok || got != (Selector{}) {
			t.Errorf("ParseSelector(%q) = %q, want it refused", s, got)
		}
	}
}

func TestAliases(t *testing.T) {
	ns, ok := parseAliases(" mail.a.example\timap.a.example\nMAIL.a.example.  пример.рф ")
	if got := JoinNames(ns); !ok || got != "mail.a.example imap.a.example xn--e1afmkfd.xn--p1ai" {
		t.Errorf("aliases: %q, %v", got, ok)
	}
	hundred := ""
	for i := range 100 {
		hundred += "h" + strings.Repeat("a", i%50) + strings.Repeat("b", i/50) + ".a.example "
	}
	if ns, ok := parseAliases(hundred + "h.a.example"); !ok || len(ns) != 100 {
		t.Errorf("a hundred aliases, one of them twice: %d, %v", len(ns), ok)
	}
	for _, s := range []string{"", "  ", "a", "a.b,c.d", "a.b;c.d", "*.a.example", "a.b -x.c", hundred + "one.more.example"} {
		if ns, ok := parseAliases(s); ok {
			t.Errorf("parseAliases(%q) = %v", s, ns)
		}
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

func TestScopesReachTheirOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "ab", "b.a", "c"}), rapid.ID[string]).Draw(t, "owners")
		slices.Sort(owners)
		who := rapid.SampledFrom([]string{"", "a", "b", "ab", "b.a", "c", "d"}).Draw(t, "who")
		if got := (Scope{Owners: owners}).Has(who); got != slices.Contains(owners, who) {
			t.Errorf("scope %q has %q: %v", owners, who, got)
		}
		if !(Scope{All: true}).Has(who) {
			t.Errorf("the scope of all has not %q", who)
		}
	})
}

func TestUnknownLevelsReachNothing(t *testing.T) {
	ordered := []Level{LevelUser, LevelReseller, LevelAdmin}
	for i, l := range ordered {
		for j, m := range ordered {
			if l.AtLeast(m) != (i >= j) {
				t.Errorf("%s at least %s: %v", l, m, l.AtLeast(m))
			}
		}
	}
	for _, l := range []Level{"", "root", "Admin", "admin "} {
		if l.Known() || l.AtLeast(LevelUser) || l.AtLeast(l) {
			t.Errorf("level %q is known", l)
		}
	}
}

func TestLimitsOfAPlan(t *testing.T) {
	u := User{Limits: map[string]int64{"emaildomains": 3, "ssl": 0, "emails": -1}}
	for _, c := range []struct {
		name    string
		n       int64
		limited bool
	}{{"emaildomains", 3, true}, {"ssl", 0, true}, {"emails", -1, false}, {"quota", 0, false}} {
		if n, limited := u.Limit(c.name); limited != c.limited || limited && n != c.n {
			t.Errorf("limit %s: %d, %v", c.name, n, limited)
		}
	}
	for ssl, may := range map[int64]bool{-1: true, 0: false, 1: true} {
		if got := (User{Limits: map[string]int64{"ssl": ssl}}).MaySSL(); got != may {
			t.Errorf("with ssl=%d: %v", ssl, got)
		}
	}
	if !(User{}).MaySSL() {
		t.Error("without a limit there is no SSL")
	}
}
