package files

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

var update = flag.Bool("update", false, "write the golden files")

func mustName(t rapid.TB, s string) mail.Name {
	t.Helper()
	n, err := mail.ParseName(s)
	if err != nil {
		t.Fatalf("ParseName(%q): %v", s, err)
	}
	return n
}

// newDomain is a domain with the settings of e.
func newDomain(t rapid.TB, name string, e mail.DomainEdit) *mail.Domain {
	t.Helper()
	d := mail.NewDomain(mustName(t, name), "user1")
	f := mail.Facts{Owner: mail.User{IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}}
	if err := e.Apply(&d, f); err != nil {
		t.Fatal(err)
	}
	return &d
}

func suspended(d *mail.Domain) *mail.Domain {
	s := *d
	s.Active = false
	return &s
}

func ptr[T any](v T) *T { return &v }

// golden holds files against the archive of that name.
func golden(t *testing.T, name string, got []File) {
	t.Helper()
	p := filepath.Join("testdata", name)
	var a txtar.Archive
	for _, f := range got {
		a.Files = append(a.Files, txtar.File{Name: f.Path, Data: f.Body})
	}
	if *update {
		if err := os.WriteFile(p, txtar.Format(&a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(txtar.Format(&a))); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", p, diff)
	}
}

func TestSettingsFilesAreAsDocumented(t *testing.T) {
	var got []File
	for _, d := range []*mail.Domain{
		newDomain(t, "error.example", mail.DomainEdit{}),
		suspended(newDomain(t, "suspended.example", mail.DomainEdit{})),
		newDomain(t, "ignore.example", mail.DomainEdit{Defaction: ptr("ignore"), Greylist: ptr(true), Spamassassin: ptr(true), Avcheck: ptr(true)}),
		newDomain(t, "redirect.example", mail.DomainEdit{Defaction: ptr("redirect"), Redirval: ptr("Info+tag@Пример.рф")}),
		newDomain(t, "redirdomain.example", mail.DomainEdit{Defaction: ptr("redirdomain"), Redirval: ptr("Bücher.example")}),
		newDomain(t, "Пример.рф", mail.DomainEdit{IP: ptr("192.0.2.1")}),
	} {
		f, err := Debian.DomainFile(*d)
		if err != nil {
			t.Fatal(err)
		}
		if f.Mode != 0o640 || f.Group != "Debian-exim" {
			t.Errorf("%s: mode %v, group %q", f.Path, f.Mode, f.Group)
		}
		got = append(got, f)
	}
	golden(t, "domains.txtar", got)
}

func TestOutgoingAddressesAreOneLineEach(t *testing.T) {
	f, err := RHEL.DomainIPsFile([]mail.SourceIP{
		{Name: mustName(t, "a.example"), IP: netip.MustParseAddr("192.0.2.1")},
		{Name: mustName(t, "пример.рф"), IP: netip.MustParseAddr("2001:db8::1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	none, err := Debian.DomainIPsFile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.Group != "exim" || f.Mode != 0o640 {
		t.Errorf("%s: mode %v, group %q", f.Path, f.Mode, f.Group)
	}
	golden(t, "domainips.txtar", []File{f, none})
}

func TestWriterRefusesLineBreak(t *testing.T) {
	for _, v := range []string{"", "a\nb", "a\n", "\na", "a\rb", "a\r\nstate: active", "a\x00b", " a", "a ", "\ta", "a\t", "a\v", "a\f", "a\u0085", "\u00a0a", " "} {
		l := newLines()
		l.set("redirval", v)
		l.set("state", "active") // an error stays
		if f, err := l.file(Debian, "x"); err == nil {
			t.Errorf("value %q was written: %q", v, f.Body)
		}
	}
}

func TestWriterRefusesKeysThatAreMore(t *testing.T) {
	for _, k := range []string{"", "a b", "a:b", "a\tb", "a\nb", "#a", `"a`, "a\x00", "ü", "A", "a*", "!a", "a/b", "a;b", "a,b"} {
		l := newLines()
		l.set(k, "v")
		if f, err := l.file(Debian, "x"); err == nil {
			t.Errorf("key %q was written: %q", k, f.Body)
		}
	}
}

// A setting that no parser let through must not reach a file by way of a struct.
func TestRenderRefusesWhatWasNotParsed(t *testing.T) {
	d := mail.NewDomain(mustName(t, "a.example"), "user1")
	d.Defaction = "error\nstate: active"
	if f, err := Debian.DomainFile(d); err == nil {
		t.Errorf("written: %q", f.Body)
	}
	d.Defaction = mail.ForwardAll // to nowhere
	if f, err := Debian.DomainFile(d); err == nil {
		t.Errorf("written: %q", f.Body)
	}
	ip := netip.MustParseAddr("192.0.2.1")
	if f, err := Debian.DomainIPsFile([]mail.SourceIP{{Name: mail.StoredName("a.b: x\nc.d"), IP: ip}}); err == nil {
		t.Errorf("written: %q", f.Body)
	}
}

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

func TestPlanPublishesDataBeforeTheGate(t *testing.T) {
	plain := newDomain(t, "a.example", mail.DomainEdit{})
	own := newDomain(t, "a.example", mail.DomainEdit{IP: ptr("192.0.2.1")})
	other := newDomain(t, "a.example", mail.DomainEdit{IP: ptr("2001:db8::1")})
	forward := newDomain(t, "a.example", mail.DomainEdit{Defaction: ptr("ignore")})
	forwardOwn := newDomain(t, "a.example", mail.DomainEdit{Defaction: ptr("ignore"), IP: ptr("192.0.2.1")})
	const gate, ips = "etc/exim4/domains/a.example", "etc/exim4/domainips"
	for what, c := range map[string]struct {
		before, after *mail.Domain
		want          []string
	}{
		"add":                              {nil, plain, []string{gate}},
		"add with an address":              {nil, own, []string{ips, gate}},
		"delete":                           {plain, nil, []string{"-" + gate}},
		"delete with an address":           {own, nil, []string{"-" + gate, ips}},
		"suspend":                          {own, suspended(own), []string{gate}},
		"take an address":                  {plain, own, []string{ips}},
		"take another address":             {own, other, []string{ips}},
		"lose an address":                  {own, plain, []string{ips}},
		"another action":                   {plain, forward, []string{gate}},
		"another action and an address":    {plain, forwardOwn, []string{ips, gate}},
		"another action and no address":    {forwardOwn, plain, []string{ips, gate}},
		"nothing":                          {plain, plain, nil},
		"no domain before and none after":  {nil, nil, nil},
		"a setting that is in no file":     {plain, newDomain(t, "a.example", mail.DomainEdit{DMARC: ptr(true)}), nil},
		"the same address, another action": {own, forwardOwn, []string{gate}},
	} {
		asked := 0
		plan, err := Debian.Plan(c.before, c.after, func() ([]mail.SourceIP, error) {
			asked++
			if c.after == nil || !c.after.IP.IsValid() {
				return nil, nil
			}
			return []mail.SourceIP{{Name: c.after.Name, IP: c.after.IP}}, nil
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []string
		for _, ch := range plan {
			p := ch.Path
			if ch.Body == nil {
				p = "-" + p
			}
			got = append(got, p)
			if ch.Path != gate {
				continue
			}
			checkGate(t, what, ch, c.before, c.after)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if wanted := strings.Count(fmt.Sprint(c.want), ips); asked != wanted {
			t.Errorf("%s: the addresses of all domains were read %d times, want %d", what, asked, wanted)
		}
	}
}

// checkGate holds a change of a settings file against the files before and after.
func checkGate(t *testing.T, what string, ch Change, before, after *mail.Domain) {
	t.Helper()
	for _, c := range []struct {
		d    *mail.Domain
		body []byte
	}{{before, ch.Was}, {after, ch.Body}} {
		var want []byte
		if c.d != nil {
			f, err := Debian.DomainFile(*c.d)
			if err != nil {
				t.Fatal(err)
			}
			want = f.Body
		}
		if !bytes.Equal(c.body, want) {
			t.Errorf("%s: %q, want %q", what, c.body, want)
		}
	}
}

func TestPlanFailsWhereAddressesCannotBeRead(t *testing.T) {
	broken := fmt.Errorf("no database")
	_, err := Debian.Plan(nil, newDomain(t, "a.example", mail.DomainEdit{IP: ptr("192.0.2.1")}), func() ([]mail.SourceIP, error) { return nil, broken })
	if err != broken {
		t.Errorf("error %v", err)
	}
}
