package files

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// readLsearch reads a file as Exim's lsearch does (Exim specification, section
// 9.3): a key ends at the first colon or white space; the rest without white space
// at its ends is the data, continued by lines that begin with white space, with one
// blank at each junction; empty lines and lines that begin with # are ignored, in
// the middle of an item too; a key in quotes may have anything in it. The first of
// equal keys counts, and case does not.
func readLsearch(t rapid.TB, body []byte) map[string]string {
	t.Helper()
	const space = " \t\n\v\f\r"
	got := map[string]string{}
	last := ""
	text, ended := strings.CutSuffix(string(body), "\n")
	if !ended || strings.Contains(text, "\x00") {
		t.Fatalf("the last line does not end, or a line ends in its middle: %q", body)
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "" || line[0] == '#':
			continue
		case strings.ContainsAny(line[:1], space):
			if more := strings.Trim(line, space); last != "" && more != "" {
				got[last] = strings.TrimLeft(got[last]+" "+more, space)
			}
			continue
		case line[0] == '"':
			t.Fatalf("a key in quotes: %q", line)
		}
		end := strings.IndexAny(line, ":"+space)
		if end < 0 {
			end = len(line)
		}
		last = strings.ToLower(line[:end])
		rest := strings.TrimLeft(line[end:], space)
		rest = strings.TrimPrefix(rest, ":")
		if _, twice := got[last]; twice {
			t.Fatalf("key %q stands twice", last)
		}
		got[last] = strings.Trim(rest, space)
	}
	return got
}

func TestReaderOfTheTestsIsExims(t *testing.T) {
	got := readLsearch(t, []byte("# x\nkey: data\nb  :  c d \n\n  more\n# note\n\tyet\nc d\nD::x\ne\nf:\n g\n"))
	want := map[string]string{"key": "data", "b": "c d more yet", "c": "d", "d": ":x", "e": "", "f": "g"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever a domain accepts, its file reads back as exactly that.
func TestWhatApplyAcceptsIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, err := mail.ParseName(drawText(t, "name", "example", "пример", "a-b", "x.y") + ".example")
		if err != nil {
			t.Skip("no name")
		}
		d := mail.NewDomain(n, "user1")
		d.Active = rapid.Bool().Draw(t, "active")
		e := mail.DomainEdit{
			Defaction: ptr(drawText(t, "defaction", "error", "ignore", "redirect", "redirdomain")),
			Redirval:  ptr(drawText(t, "redirval", "a@b.example", "A.b+c=d@Пример.рф", "c.example", "пример.рф")),
			Greylist:  ptr(rapid.Bool().Draw(t, "greylist")), Avcheck: ptr(rapid.Bool().Draw(t, "avcheck")),
		}
		if e.Apply(&d, mail.Facts{}) != nil {
			t.Skip("refused")
		}
		f, err := Debian.DomainFile(d)
		if err != nil {
			t.Fatalf("%v was accepted and is not written: %v", d.Values(), err)
		}
		if path := "etc/exim4/domains/" + n.String(); f.Path != path {
			t.Errorf("path %q, want %q", f.Path, path)
		}
		v := d.Values()
		want := map[string]string{"state": "active", "defaction": v["defaction"], "greylist": v["greylist"], "spamassassin": v["spamassassin"], "avcheck": v["avcheck"]}
		if !d.Active {
			want["state"] = "suspended"
		}
		if v["redirval"] != "" {
			want["redirval"] = v["redirval"]
		}
		if diff := cmp.Diff(want, readLsearch(t, f.Body)); diff != "" {
			t.Error(diff)
		}
	})
}

// drawText draws one of the words, at times with a hostile piece in it.
func drawText(t *rapid.T, label string, words ...string) string {
	s := rapid.SampledFrom(words).Draw(t, label)
	if rapid.IntRange(0, 3).Draw(t, label+" hostile") > 0 {
		return s
	}
	at := rapid.IntRange(0, len(s)).Draw(t, label+" at")
	h := rapid.SampledFrom([]string{
		"\n", "\r", "\x00", ":", "|", "/", ",", ";", "#", "$", "{", "}", `"`, "'", `\`, "`", " ", "\t", "*", "^", "!", "+", "@@", "../",
		"${run{id}}", ":include:/etc/passwd", "\x80", "\xff", "\u2028", "\nstate: active",
	}).Draw(t, label+" piece")
	return s[:at] + h + s[at:]
}

// The writer itself holds, whatever its callers checked.
func FuzzWriter(f *testing.F) {
	f.Add("state", "active")
	f.Add("a.b", ":fail: x")
	f.Add("#a", "b\n c")
	f.Add("key", "\"quoted\" # no comment")
	f.Fuzz(func(t *testing.T, key, value string) {
		l := newLines()
		l.set(key, value)
		l.set("zz-after", "it")
		file, err := l.file(Debian, "x")
		if err != nil || key == "zz-after" {
			return
		}
		if diff := cmp.Diff(map[string]string{key: value, "zz-after": "it"}, readLsearch(t, file.Body)); diff != "" {
			t.Error(diff)
		}
	})
}
