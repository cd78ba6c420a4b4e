package files

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
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
