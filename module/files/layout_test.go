package files

import (
	"io/fs"
	"path"
	"testing"
)

func TestParseLayoutKnowsBothColumns(t *testing.T) {
	for _, want := range []Layout{Debian, RHEL} {
		got, err := ParseLayout(want.Name)
		if err != nil || got != want {
			t.Errorf("ParseLayout(%q) = %+v, %v; want %+v", want.Name, got, err, want)
		}
	}
	for _, name := range []string{"", "Debian", "debian ", "../rhel"} {
		if l, err := ParseLayout(name); err == nil {
			t.Errorf("ParseLayout(%q) = %+v, want an error", name, l)
		}
	}
}

// Every path is handed to os.Root, which takes only what fs.ValidPath does.
func TestLayoutPathsLieUnderTheRoot(t *testing.T) {
	for _, l := range []Layout{Debian, RHEL} {
		for _, p := range []string{
			l.Exim, l.EximConf, l.Dovecot, l.Mail, l.State,
			l.Domains(), l.Mailboxes(), l.DomainIPs(), l.SSL(), l.Ready(), l.Hooks(),
		} {
			if !fs.ValidPath(p) || p == "." {
				t.Errorf("%s: %q is no path below a root", l.Name, p)
			}
		}
		if !path.IsAbs(l.EximProgram) {
			t.Errorf("%s: program %q is not absolute", l.Name, l.EximProgram)
		}
		if path.Dir(l.EximConf) != l.Exim {
			t.Errorf("%s: %q is not in %q", l.Name, l.EximConf, l.Exim)
		}
	}
}

// The columns of the table in the design, word by word: a typing error here
// puts files where no Exim looks.
func TestLayoutIsTheTable(t *testing.T) {
	for l, want := range map[Layout][]string{
		Debian: {"etc/exim4/domains", "etc/exim4/mailboxes", "etc/exim4/domainips", "etc/exim4/ssl", "etc/exim4/maildomain.ready", "etc/exim4/maildomain.d"},
		RHEL:   {"etc/exim/domains", "etc/exim/mailboxes", "etc/exim/domainips", "etc/exim/ssl", "etc/exim/maildomain.ready", "etc/exim/maildomain.d"},
	} {
		got := []string{l.Domains(), l.Mailboxes(), l.DomainIPs(), l.SSL(), l.Ready(), l.Hooks()}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %q, want %q", l.Name, got[i], want[i])
			}
		}
	}
}
