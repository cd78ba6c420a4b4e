package module

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"maildomain/module/files"
	"maildomain/module/mail"
)

func enter(t *testing.T, w *world, by Actor, list mail.List, domain, senders string) error {
	_, err := w.AddListed(t.Context(), by, list, mail.ListedEdit{Domain: domain, Sender: &senders})
	return err
}

func (w *world) listFile(name string) string {
	b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Lists(), name))
	if err != nil {
		return ""
	}
	return string(b)
}

func TestListsReachTheFilesAndGoWithTheDomain(t *testing.T) {
	w := newWorld(t)
	reconcile(t, w)
	for _, d := range []string{"a.example", "b.example"} {
		add(t, w, as("user1"), d)
	}
	for _, err := range []error{
		enter(t, w, as("user1"), mail.White, "a.example", "friend@x.test good.test\n192.0.2.0/24, 2001:db8::/32"),
		enter(t, w, as("user1"), mail.Black, "A.Example.", "foe@x.test"),
		enter(t, w, as("user1"), mail.White, "b.example", "friend@x.test"),
		enter(t, w, as("admin"), mail.Black, "", "bad.test 198.51.100.7"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"a.example": {"a friend@x.testw", "d good.testw", "n 192.0.2.0/24:w", "n 2001.0db8.0000.0000.0000.0000.0000.0000/32:w", "a foe@x.testb", "m 4/24=", "m 6/32="},
		"b.example": {"a friend@x.testw"},
		"server":    {"d bad.testb", "n 198.51.100.7/32:b"},
	} {
		for _, pair := range want {
			if !strings.Contains(w.listFile(name), pair) {
				t.Errorf("lists/%s lacks %q", name, pair)
			}
		}
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("reconcile finds %q", got)
	}
	for _, name := range []string{"a.example", "server"} {
		if err := os.Remove(filepath.Join(w.dir, files.Debian.Lists(), name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := reconcile(t, w); len(got) != 2 {
		t.Errorf("two files were gone, reconcile finds %q", got)
	}

	note := "my friend"
	if _, err := w.EditListed(t.Context(), as("user1"), mail.White, "a.example|friend@x.test", mail.ListedEdit{Note: &note}); err != nil {
		t.Error(err)
	}
	f, err := w.OpenListed(t.Context(), as("user1"), mail.White, "a.example|friend@x.test", mail.ListedEdit{})
	if err != nil || f.Listed.Note != note {
		t.Errorf("%+v, %v", f, err)
	}
	done, err := w.DeleteListed(t.Context(), as("user1"), mail.White, []string{"a.example|friend@x.test", "a.example|2001:db8::/32", "b.example|friend@x.test"})
	all(t, done, err)
	if s := w.listFile("a.example"); strings.Contains(s, "friend") || strings.Contains(s, "m 6") || !strings.Contains(s, "good.test") {
		t.Errorf("after deleting: %q", s)
	}
	if w.listFile("b.example") != "" {
		t.Error("a list without entries has a file")
	}
	done, err = w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})
	all(t, done, err)
	if w.listFile("a.example") != "" || w.listFile("server") == "" {
		t.Error("the list of a deleted domain stays, or that of the server went")
	}
	deleted, _, err := w.ListDeleted(t.Context(), as("user1"), mail.Query{Sort: "id", Limit: 1})
	if err != nil || len(deleted) != 1 {
		t.Fatal(deleted, err)
	}
	done, err = w.RestoreDeleted(t.Context(), as("user1"), []string{strconv.FormatInt(deleted[0].ID, 10)})
	all(t, done, err)
	if s := w.listFile("a.example"); !strings.Contains(s, "d good.testw") || !strings.Contains(s, "a foe@x.testb") {
		t.Errorf("the list of a restored domain: %q", s)
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("reconcile finds %q", got)
	}
	done, err = w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})
	all(t, done, err)
	add(t, w, as("user2"), "a.example")
	if ls, n, err := w.Listed(t.Context(), as("user2"), "a.example", mail.ListedQuery{List: mail.White, Sort: "sender", Limit: 10}); err != nil || n != 0 {
		t.Errorf("the next owner finds %v, %v", ls, err)
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("reconcile finds %q", got)
	}
}

func TestListsOfOthersAreNone(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	add(t, w, as("user3"), "c.example")
	for _, err := range []error{
		enter(t, w, as("user1"), mail.White, "a.example", "friend@x.test"),
		enter(t, w, as("admin"), mail.White, "", "server.test"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	page := mail.ListedQuery{List: mail.White, Sort: "sender", Limit: 10}
	for who, want := range map[string]int64{"user1": 1, "user3": 0, "reseller1": 1, "reseller2": 0, "admin": 2} {
		if ls, n, err := w.Listed(t.Context(), as(who), "", page); err != nil || n != want || len(ls) != int(want) {
			t.Errorf("%s sees %v, %v", who, ls, err)
		}
	}
	for _, elid := range []string{"a.example|friend@x.test", "server.test", "a.example|nobody@x.test", "|", "x", "a.example|", "nowhere.example|friend@x.test"} {
		_, open := w.OpenListed(t.Context(), as("user3"), mail.White, elid, mail.ListedEdit{})
		_, edit := w.EditListed(t.Context(), as("user3"), mail.White, elid, mail.ListedEdit{})
		done, err := w.DeleteListed(t.Context(), as("user3"), mail.White, []string{elid})
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"open": open, "edit": edit, "delete": done[0].Err} {
			if x, ok := err.(*mail.Error); !ok || x.Kind != mail.NotFound {
				t.Errorf("%s %s: %v", what, elid, err)
			}
		}
	}
	for _, domain := range []string{"a.example", "", "nowhere.example", "x", "server"} {
		if err := enter(t, w, as("user3"), mail.White, domain, "me@x.test"); err == nil || err.Error() != "value(domainname): value_listed_domain" {
			t.Errorf("user3 adds to %q: %v", domain, err)
		}
	}
	// An entry is in one list, and a call adds all or nothing.
	if err := enter(t, w, as("user1"), mail.Black, "a.example", "new@x.test FRIEND@x.test"); err == nil || err.Error() != "exists(sender): exists_listed" {
		t.Errorf("in both lists: %v", err)
	}
	if _, n, err := w.Listed(t.Context(), as("user1"), "", mail.ListedQuery{List: mail.Black, Sort: "sender", Limit: 10}); err != nil || n != 0 {
		t.Errorf("%d entries came in, %v", n, err)
	}
}

// Whatever is taken is one word that matches itself.
func TestHostileEntriesAreRefused(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	for _, bad := range []string{
		"*@x.test", "*", "*.x.test", "^.*@x.test", "!x.test", "+x.test", "@@x", "a@b@", "@", "x", "a b@", "${run{id}}@x.test", "${run{id}}", "a|b@x.test", "a:b@x.test",
		"a/b@x.test", `"a b"@x.test`, `a\b@x.test`, "a`b@x.test", "a;b@x.test", "a#b@x.test", "#x.test", "a$b@x.test", "a{b@x.test", "'", "a\x00b@x.test", "a\x7fb@x.test",
		":include:/etc/passwd", "../../etc/passwd", "lsearch;/etc/passwd", "net-lsearch;x", "192.0.2.0/0", "192.0.2.0/7", "192.0.2.0/33", "2001:db8::/15", "2001:db8::/33", "2001:db8::/65",
		"::ffff:192.0.2.0/112", "fe80::1%eth0", "0.0.0.0", "::", "192.0.2.256", "192.0.2", strings.Repeat("a", 65) + "@x.test", strings.Repeat("a", 64<<10), "ж@x.test", ".a@x.test", "a.@x.test", "a..b@x.test",
	} {
		if err := enter(t, w, as("user1"), mail.White, "a.example", bad); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
	for _, none := range []string{"", " ", ",,\n"} {
		if err := enter(t, w, as("user1"), mail.White, "a.example", none); err == nil || err.Error() != "value(sender): value_sender_required" {
			t.Errorf("%q: %v", none, err)
		}
	}
	if w.listFile("a.example") != "" {
		t.Error("a list was written")
	}
}

// alphabet is what means something in one of the languages that an entry goes through.
var alphabet = []string{
	"\n", "\r", "\x00", ":", "|", "/", ",", ";", "#", "$", "{", "}", `"`, "'", `\`, "`", " ", "\t", "*", "^", "!", "+", "@@", "../",
	"${run{id}}", ":include:/etc/passwd", "\x7f", "\x80", "\xff", "\u2028", "<", ">", "(", ")", "[", "]", "=", "%", "?", "&", "~", strings.Repeat("x", 64<<10),
}

// literal are those of them that a local part may have: none is a pattern where entries
// are looked up.
var literal = map[string]bool{"'": true, "+": true, "=": true, "%": true, "?": true, "&": true, "~": true}

func TestHostileCharactersAreRefusedInEveryField(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	for _, c := range alphabet {
		for _, place := range []string{"%", "a%b@x.test", "%b@x.test", "a%@x.test", "a@x%y.test", "a@x.test%", "x%y.test", "%x.test", "192.0.2.7%", "192.0.2%.7", "192.0.2.0/%24", "192.0.2.0/24%", "2001:db8%::1", "2001:db8::/%32"} {
			text := strings.Replace(place, "%", c, 1)
			inLocal := strings.Contains(place, "%b@") || strings.Contains(place, "%@")
			if blank := strings.Trim(c, " \t\n\r,\u2028") == ""; blank && (strings.HasPrefix(text, c) || strings.HasSuffix(text, c)) || literal[c] && inLocal {
				continue // between entries, or of the entry
			}
			if err := enter(t, w, as("user1"), mail.White, "a.example", text); err == nil {
				t.Errorf("sender %q is taken", text)
			}
		}
		for _, domain := range []string{c, "a" + c + "example", c + "a.example", "a.example" + c} {
			if strings.TrimSpace(domain) == "a.example" || domain == "" {
				continue
			}
			if err := enter(t, w, as("user1"), mail.White, domain, "me@x.test"); err == nil {
				t.Errorf("domain %q is taken", domain)
			}
		}
		for _, elid := range []string{c, "a.example|" + c, "a.example" + c + "|me@x.test", "a.example|me@x" + c + ".test"} {
			if _, err := w.EditListed(t.Context(), as("user1"), mail.White, elid, mail.ListedEdit{}); err == nil {
				t.Errorf("elid %q is an entry", elid)
			}
		}
	}
	if err := enter(t, w, as("user1"), mail.White, "a.example", "me@x.test"); err != nil {
		t.Fatal(err)
	}
	before := w.listFile("a.example")
	for _, c := range alphabet {
		note := "n" + c + "n"
		_, err := w.EditListed(t.Context(), as("user1"), mail.White, "a.example|me@x.test", mail.ListedEdit{Note: &note})
		if bad := strings.ContainsAny(c, "\n\r\x00\t\x7f") || !utf8.ValidString(c) || len(c) > 1000; bad != (err != nil) && c != "\u2028" {
			t.Errorf("note %q: %v", note, err)
		}
	}
	if after := w.listFile("a.example"); after != before {
		t.Errorf("a note reached the file: %q", after)
	}
}

func TestEntriesHaveOneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"Friend@Example.TEST": "friend@example.test", "@x.test": "x.test", "x.TEST.": "x.test", "пример.рф": "xn--e1afmkfd.xn--p1ai", "me@пример.рф": "me@xn--e1afmkfd.xn--p1ai",
		"192.0.2.7": "192.0.2.7", "192.0.2.7/32": "192.0.2.7", "192.0.2.7/24": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.7", "2001:DB8:0::1": "2001:db8::1", "2001:db8:1::/32": "2001:db8::/32",
		"bounce+a=b.test@x.test": "bounce+a=b.test@x.test", "o'neil@x.test": "o'neil@x.test", "10.0.0.0/8": "10.0.0.0/8",
	} {
		s, ok := mail.ParseSender(text)
		if !ok || s.String() != want || mail.StoredSender(want) != s {
			t.Errorf("%q: %q, %v, want %q", text, s, ok, want)
		}
	}
}

// A list is no text, and its preview is.
func TestPreviewOfAListIsReadable(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	if err := enter(t, w, as("user1"), mail.White, "a.example", "old@x.test"); err != nil {
		t.Fatal(err)
	}
	by := as("user1")
	by.Preview = &Preview{}
	if err := enter(t, w, by, mail.White, "a.example", "new@x.test"); err != nil {
		t.Fatal(err)
	}
	c := by.Preview.Changes()
	if len(c) != 1 || len(c[0].Files) != 1 || !strings.Contains(c[0].Files[0].Diff, "\n+\"a new@x.test\": \"w\"\n \"a old@x.test\": \"w\"\n") {
		t.Errorf("%+v", c)
	}
	if strings.Contains(w.listFile("a.example"), "new@") {
		t.Error("a preview changed the file")
	}
}
