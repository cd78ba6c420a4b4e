package lab

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/module/files"
)

func oneBox(t *testing.T) (*Exim, string) {
	t.Helper()
	NeedDovecot(t)
	root := someDomains(t)
	PutBoxes(t, root, "a.example", Box{Name: "box"})
	return Start(t, root, Options{Dovecot: true}), root
}

func TestDovecotObeysTheRoot(t *testing.T) {
	x, _ := oneBox(t)
	if r, err := x.Send(limited(t), "me@sender.test", "box@a.example", "Subject: x\n\nx\n"); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	l, err := x.WaitLetters(limited(t), "box@a.example", 1)
	if err != nil || len(l) != 1 || !strings.HasSuffix(l[0], "\r\n\r\nx\r\n") {
		t.Fatalf("%q, %v", l, err)
	}
	again, err := x.POP3(limited(t), "box@a.example", Secret)
	if err != nil || len(again) != 1 || again[0] != strings.ReplaceAll(l[0], "\r\n", "\n") {
		t.Errorf("%q, %v", again, err)
	}
	if _, err := x.IMAP(limited(t), "box@a.example", "wrong"); err == nil {
		t.Error("any password will do")
	}
	if f, err := x.Dovecot.Faults(); err != nil || len(f) > 0 {
		t.Errorf("faults: %q, %v", f, err)
	}
	status, out, err := x.Dovecot.Run(limited(t), "doveconf", "-n", "-x")
	if err != nil || status != 0 || !strings.Contains(out, "first_valid_uid = 100") {
		t.Errorf("doveconf: %d, %v\n%s", status, err, out)
	}
}

// Also where the machine has no directory to mount over.
func TestMachineStaysAsItIsBesideDovecot(t *testing.T) {
	dir := t.TempDir()
	seen := func() map[string]string {
		all := map[string]string{"mounts": mountsOf(t, dir)}
		for _, dir := range []string{"/run/dovecot", "/var/vmail", "/var/lib/dovecot", "/etc/dovecot"} {
			entries, err := os.ReadDir(dir)
			if err != nil {
				all[dir] = err.Error()
			}
			for _, e := range entries {
				all[filepath.Join(dir, e.Name())] = e.Type().String()
			}
		}
		return all
	}
	before := seen()
	NeedDovecot(t)
	root := someDomains(t)
	x, err := Open(Options{Root: root, Dir: dir, Dovecot: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Serve(limited(t)); err != nil {
		t.Fatal(err)
	}
	if now := seen(); !maps.Equal(now, before) {
		t.Errorf("while it runs: %v, was %v", now, before)
	}
	status, out, err := x.run(limited(t), "/bin/ls", "-d", "/var/lib/dpkg", "/var/vmail/.trash", "/run/dovecot/lmtp", "/run/lock")
	if err != nil || status != 0 {
		t.Errorf("what the servers see: %v\n%s", err, out)
	}
	addr := x.Services().IMAP
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if now := seen(); !maps.Equal(now, before) {
		t.Errorf("afterwards: %v, was %v", now, before)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("somebody listens still")
	}
	if _, err := os.Stat(filepath.Join(root, "run")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sockets below the root: %v", err)
	}
}

// mountsOf are the machine's mounts but for those of other tests, which go on
// meanwhile, in temporary directories of theirs.
func mountsOf(t *testing.T, own string) string {
	t.Helper()
	var mounts []string
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		at := strings.Fields(line)[4] // proc_pid_mountinfo(5)
		if !strings.HasPrefix(at, os.TempDir()+"/") || strings.HasPrefix(at, filepath.Dir(own)+"/") {
			mounts = append(mounts, line)
		}
	}
	return strings.Join(mounts, "")
}

func TestDovecotStopsAndStartsBesideExim(t *testing.T) {
	x, _ := oneBox(t)
	x.Dovecot.Stop()
	x.Dovecot.Stop()
	if _, err := x.IMAP(limited(t), "box@a.example", Secret); err == nil {
		t.Error("somebody answers")
	}
	if r, err := x.Rcpt(limited(t), "me@sender.test", "box@a.example"); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	if err := x.Dovecot.Serve(limited(t)); err != nil {
		t.Fatal(err)
	}
	if err := x.Dovecot.Serve(limited(t)); err == nil {
		t.Error("started twice")
	}
	if l, err := x.Letters(limited(t), "box@a.example", Secret, "INBOX"); err != nil || len(l) != 0 {
		t.Error(l, err)
	}
}

func TestDovecotThatCannotStartSaysWhy(t *testing.T) {
	NeedDovecot(t)
	root := NewRoot(t)
	hook := filepath.Join(root, files.Debian.DovecotHooks(), "mine.conf")
	if err := os.WriteFile(hook, []byte("no_such_setting = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	x, err := Open(Options{Root: root, Dir: t.TempDir(), Dovecot: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Serve(limited(t)); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error %v", err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}
