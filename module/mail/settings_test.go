package mail

import (
	"slices"
	"strings"
	"testing"
)

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
