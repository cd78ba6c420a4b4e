package files

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A doveadm is the socket of a Dovecot's doveadm-server, which answers commands as
// it is told.
type doveadm struct {
	got chan string
}

// listen answers each connection: the greeting, and for each command the next answer.
func listen(t *testing.T, dir string, answers map[string]string) *doveadm {
	t.Helper()
	run := filepath.Join(dir, Debian.DovecotRun)
	must(t, os.MkdirAll(run, 0o755))
	ln, err := net.Listen("unix", filepath.Join(run, "doveadm-server"))
	must(t, err)
	d := &doveadm{got: make(chan string, 10_000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.serve(c, answers)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return d
}

func (d *doveadm) serve(c net.Conn, answers map[string]string) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	if !lines.Scan() || lines.Text() != "VERSION\tdoveadm-server\t1\t2" {
		d.got <- "not greeted: " + lines.Text()
		return
	}
	_, _ = c.Write([]byte("VERSION\tdoveadm-client\t1\t2\n+\n"))
	for lines.Scan() {
		d.got <- lines.Text()
		_, mask, _ := strings.Cut(lines.Text(), "kick\t")
		answer, is := answers[mask]
		if !is {
			return // hangs up
		}
		_, _ = c.Write([]byte(answer))
	}
}

func (d *doveadm) commands() (all []string) {
	for {
		select {
		case s := <-d.got:
			all = append(all, s)
		default:
			return all
		}
	}
}

// openShort is a tree whose sockets have names that are short enough.
func openShort(t *testing.T) (*Tree, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return treeAt(t, dir), dir
}

func TestSessionsAreEndedOverDovecotsSocket(t *testing.T) {
	tree, dir := openShort(t)
	d := listen(t, dir, map[string]string{
		"info@a.example": "kicked connections from the following users:\ninfo@a.example\n\x00+\n", "none@a.example": "-NOTFOUND\n", "*@b.example": "+\n",
	})
	if err := tree.EndSessions(t.Context(), []string{"info@a.example", "none@a.example", "*@b.example"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"\t\tkick\tinfo@a.example", "\t\tkick\tnone@a.example", "\t\tkick\t*@b.example"}
	if got := d.commands(); !slices.Equal(got, want) {
		t.Errorf("Dovecot was told %q", got)
	}
}

func TestDovecotThatRefusesIsTold(t *testing.T) {
	tree, dir := openShort(t)
	d := listen(t, dir, map[string]string{"usage@a.example": "-USAGE\n"})
	for login, want := range map[string]string{"usage@a.example": "-USAGE", "hangup@a.example": "EOF"} {
		err := tree.EndSessions(t.Context(), []string{login})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), login) {
			t.Errorf("%s: %v, want %s", login, err, want)
		}
	}
	d.commands()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tree.EndSessions(ended, []string{"x@a.example"}); err == nil {
		t.Error("a call that was given up says nothing")
	}
}

// A Dovecot that does not run has no sessions.
func TestWithoutDovecotThereAreNoSessions(t *testing.T) {
	tree, dir := openShort(t)
	if err := tree.EndSessions(t.Context(), []string{"x@a.example"}); err != nil {
		t.Errorf("no socket: %v", err)
	}
	run := filepath.Join(dir, Debian.DovecotRun)
	must(t, os.MkdirAll(run, 0o755))
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(run, "doveadm-server"), Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false)
	must(t, ln.Close())
	if err := tree.EndSessions(t.Context(), []string{"x@a.example"}); err != nil {
		t.Errorf("a socket that nobody listens on: %v", err)
	}
}
