package rpc

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
	"maildomain/module/store"
	"maildomain/rpc/wire"
)

// real serves a real module over a directory of the test's, and returns its socket.
func real(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tree, err := files.OpenTree(dir, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(dir, "test.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	core := NewCore(0, nil)
	m := module.New(db, tree, PanelOf(core), zerolog.Nop())
	if _, err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "maildomain.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Config{
		Call: NewMethods(m).Call, WireError: WireError, Register: Registration("test"), Core: core, Log: zerolog.Nop(),
		Health: func(context.Context) wire.Health { return wire.Health{Status: "ok"} },
	})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for _, c := range []interface{ Close() error }{ln, db, tree} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return socket
}

func TestReadmeSessionIsTrue(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, session, ok := strings.Cut(string(text), "```session\n")
	if !ok {
		t.Fatal("README.md has no session")
	}
	session, _, _ = strings.Cut(session, "```")
	conn, err := net.Dial("unix", real(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, wire.MaxMessage)
	for line := range strings.Lines(session) {
		line = strings.TrimSuffix(line, "\n")
		if typed, ok := strings.CutPrefix(line, "> "); ok {
			if _, err := conn.Write([]byte(typed + "\n")); err != nil {
				t.Fatalf("type %s: %v", typed, err)
			}
			continue
		}
		want, ok := strings.CutPrefix(line, "< ")
		if !ok {
			t.Fatalf("the session has the line %q", line)
		}
		if !lines.Scan() {
			t.Fatalf("want %s, got nothing: %v", want, lines.Err())
		}
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$"
		if !regexp.MustCompile(pattern).Match(lines.Bytes()) {
			t.Fatalf("want %s\ngot  %.2000s", want, lines.Bytes())
		}
	}
}
