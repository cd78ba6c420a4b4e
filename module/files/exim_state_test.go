package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

func TestSetupGivesEximItsFiles(t *testing.T) {
	root := lab.NewRoot(t)
	gid := 0
	if _, err := fmt.Sscan(group(t, "Debian-exim"), &gid); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{ // group and mode
		"etc/exim4": {0, 0o755}, "etc/exim4/exim4.conf": {gid, 0o640}, "etc/exim4/domains": {gid, 0o750},
		"etc/exim4/mailboxes": {gid, 0o750}, "etc/exim4/ssl": {gid, 0o750}, "etc/exim4/maildomain.d": {gid, 0o750},
		"var/lib/maildomain": {0, 0o700},
	} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != 0 || int(st.Gid) != want[0] || int(info.Mode().Perm()) != want[1] {
			t.Errorf("%s belongs to %d:%d with mode %o; want 0:%d, %o", name, st.Uid, st.Gid, info.Mode().Perm(), want[0], want[1])
		}
	}
}

func group(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ":"); f[0] == name {
			return f[2]
		}
	}
	t.Fatalf("no group %s", name)
	return ""
}

// As the user that Exim runs as: the marker, the settings and the hooks are
// reached through directories that others cannot enter.
func TestEximReadsTheRealModes(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	for name := range world {
		info, err := os.Stat(filepath.Join(root, files.Debian.Domains(), name))
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Fatalf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if r := ask(t, x, "x@ign.example"); r.Code != 250 {
		t.Error(r)
	}
}

func TestWithoutTheMarkerEverybodyIsPutOff(t *testing.T) {
	x, root := start(t, world, lab.Options{Relay: []string{"127.0.0.2"}})
	remove(t, root, files.Debian.Ready())
	for _, c := range []lab.Client{{Addr: x.Addr()}, {Addr: x.Addr(), Local: "127.0.0.2"}} {
		for _, to := range []string{"x@ign.example", "x@err.example", "x@gone.example", "x@foreign.test", "postmaster"} {
			r, err := c.Rcpt(limited(t), stranger, to)
			if err != nil || r.To != "connect" || r.Code != 421 || r.Text != "4.3.2 mail.lab.test is not ready, try again later" {
				t.Errorf("RCPT <%s>: %v, %v", to, r, err)
			}
		}
	}
	for _, to := range []string{"x@ign.example", "x@err.example", "x@gone.example", "x@foreign.test", "root@mail.lab.test"} {
		if r := route(t, x, to); r.Status != lab.Deferred {
			t.Errorf("exim -bt %s: %d %s", to, r.Status, r.Text)
		}
	}
	lab.Put(t, root, files.Debian.Ready(), "")
	for to, want := range map[string]int{"x@ign.example": 250, "x@err.example": 550, "postmaster": 250} {
		if r := ask(t, x, to); r.Code != want {
			t.Errorf("ready again, RCPT <%s>: %v, want %d", to, r, want)
		}
	}
	noPanic(t, x)
}

// Letters that are in already are neither returned nor sent past their domain's
// rules while the files are away.
func TestWithoutTheMarkerQueuedLettersWait(t *testing.T) {
	addr := down(t)
	x, root := start(t, world, lab.Options{Sink: addr})
	queued(t, x, "x@addr.example", "y@dom-foreign.example")
	s := up(t, addr)
	remove(t, root, files.Debian.Ready())
	lab.RemoveDomain(t, root, "addr.example")
	lab.RemoveDomain(t, root, "dom-foreign.example")
	runQueue(t, x)
	q, err := x.Queue(limited(t))
	if err != nil || len(q) != 1 || q[0].From != stranger || len(q[0].To) != 2 || q[0].Frozen || len(s.Letters()) != 0 {
		t.Fatalf("queue: %+v, %v; %d letters left", q, err, len(s.Letters()))
	}
	lab.PutDomain(t, root, "addr.example", world["addr.example"]...)
	lab.PutDomain(t, root, "dom-foreign.example", world["dom-foreign.example"]...)
	lab.Put(t, root, files.Debian.Ready(), "")
	runQueue(t, x)
	if l := letters(t, s, 1)[0]; l.From != stranger || len(l.To) != 2 {
		t.Errorf("arrived: from <%s> to %q", l.From, l.To)
	}
	emptyQueue(t, x)
}

// What may stand in the directory of settings files, and what a sender of mail
// for a domain of that name is told.
func TestWhatStandsInTheDirectory(t *testing.T) {
	x, root := start(t, map[string][]string{"real.example": action("ignore")}, lab.Options{})
	at := func(name string) string { return filepath.Join(root, files.Debian.Domains(), name) }
	for _, err := range []error{
		os.Mkdir(at("dir.example"), 0o755),
		os.Symlink("real.example", at("link.example")),
		os.Symlink("/etc/passwd", at("passwd.example")),
		os.Symlink("nothing", at("dangling.example")),
		syscall.Mkfifo(at("fifo.example"), 0o644),
		os.WriteFile(at("unreadable.example"), []byte("state: active\ndefaction: ignore\n"), 0o600),
		os.WriteFile(at("binary.example"), []byte("\x00\xff\x00state: active"), 0o644),
		os.WriteFile(at("huge.example"), []byte(strings.Repeat("x: "+strings.Repeat("y", 1000)+"\n", 1000)), 0o644),
		os.WriteFile(at("crlf.example"), []byte("state: active\r\ndefaction: ignore\r\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for to, want := range map[string]string{
		"x@real.example":       taken,
		"x@missing.example":    noRelay,
		"x@dir.example":        noRelay,
		"x@link.example":       noRelay, // only files count, so that no link leads elsewhere
		"x@passwd.example":     noRelay,
		"x@dangling.example":   noRelay,
		"x@fifo.example":       noRelay,
		"x@unreadable.example": unreadable,
		"x@binary.example":     unreadable,
		"x@huge.example":       unreadable,
	} {
		if r := ask(t, x, to); !strings.HasPrefix(replyLine(r), want) {
			t.Errorf("RCPT <%s>: %v, want %s", to, r, want)
		}
	}
	if r := ask(t, x, "x@crlf.example"); r.Code != 250 && r.Code != 451 {
		t.Errorf("line ends of another system: %v", r)
	}
}

func TestMissingDirectoryPutsOff(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	dir := filepath.Join(root, files.Debian.Domains())
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"x@ign.example", "x@err.example", "x@foreign.test"} {
		if r := ask(t, x, to); r.Code/100 != 4 {
			t.Errorf("RCPT <%s>: %v", to, r)
		}
		if r := route(t, x, to); r.Status != lab.Deferred {
			t.Errorf("exim -bt %s: %d %s", to, r.Status, r.Text)
		}
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, x, "x@ign.example"); r.Code != 250 {
		t.Errorf("directory back: %v", r)
	}
}

// The administrator of a server without any mail domain.
func TestEmptyDirectoryIsNoTrouble(t *testing.T) {
	x, _ := start(t, nil, lab.Options{})
	if r := ask(t, x, "x@example.com"); replyLine(r) != noRelay {
		t.Error(r)
	}
	noPanic(t, x)
}
