package module

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/module/files"
	"maildomain/module/mail"
)

// A filter is offered while it is installed, and Exim told where it is; what domains
// have on stays on without it.
func TestFiltersComeAndGo(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	change(t, w, as("user1"), "a.example", edit("greylist", "on"))
	told := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Filters()))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	program := filepath.Join(w.dir, "usr/sbin/postgrey")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	reconcile(t, w)
	for _, there := range []bool{false, true, false} {
		if there {
			if err := os.WriteFile(program, nil, 0o755); err != nil {
				t.Fatal(err)
			}
		} else {
			_ = os.Remove(program) // at first there is none
		}
		if _, err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(told(), "\npostgrey: inet:127.0.0.1:10023\n"); got != there {
			t.Errorf("there: %v, but Exim is told\n%s", there, told())
		}
		f, err := w.OpenDomain(t.Context(), as("user1"), "a.example", mail.DomainEdit{})
		if err != nil || f.Filters.Postgrey.IsZero() == there || !f.Domain.Greylist {
			t.Errorf("there: %v, but the form has %+v, %v", there, f, err)
		}
	}
}

// Exim gives clamd no more than clamd takes, wherever it is by TCP.
func TestWhatClamdTakesReachesExim(t *testing.T) {
	w := newWorld(t)
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	told := func(want string) {
		t.Helper()
		if err := w.LookForFilters(t.Context()); err != nil {
			t.Fatal(err)
		}
		reconcile(t, w)
		b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Filters()))
		if err != nil || !strings.Contains(string(b), "\nclamd: 127.0.0.1 3310\nclamd_ping: inet:127.0.0.1:3310\n"+want+"spam_down") {
			t.Errorf("want %q: %s, %v", want, b, err)
		}
	}
	reconcile(t, w)
	at := "127.0.0.1:3310"
	if err := w.EditSettings(t.Context(), as("admin"), mail.SettingsEdit{Clamd: &at}); err != nil {
		t.Fatal(err)
	}
	told("clamd_size: 104792064\n") // on another machine
	put("usr/sbin/clamd", "")
	put("etc/clamav/clamd.conf", "LocalSocket /run/clamd.sock\nStreamMaxLength 25M\n")
	told("clamd_size: 26148864\n")
	put("etc/clamav/clamd.conf", "TCPSocket 3310\nStreamMaxLength 0\n")
	told("clamd_size: 104792064\n") // what it looks at
	put("etc/clamav/clamd.conf", "TCPSocket 3310\nStreamMaxLength 0\nAlertExceedsMax yes\n")
	told("")
}

func TestSettingsOfFiltersReachExim(t *testing.T) {
	w := newWorld(t)
	reconcile(t, w)
	ptrs := func(spamd, mark, reject string) mail.SettingsEdit {
		return mail.SettingsEdit{Spamd: &spamd, SpamMark: &mark, SpamReject: &reject}
	}
	if err := w.EditSettings(t.Context(), as("admin"), ptrs("127.0.0.1:7830", "4.5", "12")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Filters()))
	if want := "spam_down: pass\nspam_mark: 45\nspam_reject: 120\nspamd: 127.0.0.1 7830\nvirus_down: defer\n"; err != nil || !strings.HasSuffix(string(b), "\n"+want) {
		t.Errorf("%s, %v", b, err)
	}
	if found := reconcile(t, w); len(found) != 0 {
		t.Errorf("and reconcile finds %q", found)
	}
	for _, e := range []mail.SettingsEdit{ptrs("localhost", "5", "6"), ptrs("auto", "0", "6"), ptrs("auto", "5.55", "6"), ptrs("auto", "7", "6"), ptrs("auto", "1e1", "20"), ptrs("/x\nspam_down: defer", "5", "6")} {
		if err := w.EditSettings(t.Context(), as("admin"), e); err == nil {
			t.Errorf("taken: %s %s %s", *e.Spamd, *e.SpamMark, *e.SpamReject)
		}
	}
}
