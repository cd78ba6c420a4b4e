package module

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// family are names that patterns, prefixes and suffixes mistake for each other, and
// the file of each.
var family = map[string]string{
	"a.b.example":      "a.b.example",
	"a-b.example":      "a-b.example",
	"axb.example":      "axb.example",
	"a.b.c.example":    "a.b.c.example",
	"xa.b.example":     "xa.b.example",
	"x.a.b.example":    "x.a.b.example",
	"A.B.EXAMPLE.ORG":  "a.b.example.org",
	"а.b.example":      "xn--80a.b.example", // the Cyrillic а
	"a.b.exämple":      "a.b.xn--exmple-cua",
	"b.example":        "b.example",
	"aa.b.example":     "aa.b.example",
	"example.a.b":      "example.a.b",
	"a.b.example.a.b":  "a.b.example.a.b",
	"xn--80a.example":  "xn--80a.example",
	"0.a.b.example":    "0.a.b.example",
	"a.b.example.com":  "a.b.example.com",
	"a0b.example":      "a0b.example",
	"ab.example":       "ab.example",
	"a.b-example.test": "a.b-example.test",
}

// Work on one domain leaves every byte of the others (hestiacp 1986).
func TestWorkOnOneDomainLeavesItsNeighbours(t *testing.T) {
	w := newWorld(t)
	names := rapid.SampledFrom(sortedKeys(family))
	rapid.Check(t, func(t *rapid.T) {
		bg := context.Background()
		if _, err := w.DeleteDomains(bg, as("admin"), sortedKeys(family)); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(2, 10).Draw(t, "steps") {
			n := names.Draw(t, "name")
			ip := rapid.SampledFrom([]string{"auto", "192.0.2.1", "192.0.2.2", "2001:db8::1"}).Draw(t, "ip")
			before := standing(t, w)
			var err error
			switch rapid.SampledFrom([]string{"add", "edit", "suspend", "resume", "delete", "give", "reconcile"}).Draw(t, "what") {
			case "add":
				_, err = w.AddDomain(bg, as("admin"), edit("name", n, "ip", ip))
			case "edit":
				target := rapid.SampledFrom([]string{"me@other.example", "x+y@пример.рф"}).Draw(t, "target")
				_, err = w.EditDomain(bg, as("admin"), n, edit("ip", ip, "defaction", "redirect", "redirval", target))
			case "suspend":
				err = one(w.SuspendDomains(bg, as("admin"), []string{n}))
			case "resume":
				err = one(w.ResumeDomains(bg, as("admin"), []string{n}))
			case "delete":
				err = one(w.DeleteDomains(bg, as("admin"), []string{n}))
			case "give":
				_, err = w.EditDomain(bg, as("admin"), n, edit("owner", rapid.SampledFrom([]string{"user1", "user2", "admin"}).Draw(t, "owner")))
			case "reconcile":
				n = ""
				_, err = w.Reconcile(bg)
			}
			// A refusal is as good as a change: an address may be none of the new owner's.
			if e, ok := errors.AsType[*mail.Error](err); err != nil && (!ok || e.Kind == mail.Unavailable) {
				t.Fatal(err)
			}
			checkNeighbours(t, before, standing(t, w), family[n], err != nil)
		}
		checkFollows(t, w)
	})
}

// checkNeighbours holds every file but that of one domain against what it was, and
// every line of the outgoing addresses but its own.
func checkNeighbours(t *rapid.T, before, after map[string]string, file string, refused bool) {
	t.Helper()
	rest := func(all map[string]string) map[string]string {
		if refused {
			return all
		}
		all = maps.Clone(all)
		delete(all, "domains/"+file)
		var lines []string
		for l := range strings.Lines(all["domainips"]) {
			if !strings.HasPrefix(l, file+":") {
				lines = append(lines, l)
			}
		}
		all["domainips"] = strings.Join(lines, "")
		return all
	}
	if diff := cmp.Diff(rest(before), rest(after)); diff != "" {
		t.Errorf("work on %q (refused: %v) changed others:\n%s", file, refused, diff)
	}
}
