package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// patience is how long a test waits for what must come; nothing waits that long
// unless it fails.
const patience = 20 * time.Second

// A served is a Server on a Unix socket of its own.
type served struct {
	srv  *Server
	ln   *net.UnixListener
	stop context.CancelFunc // SIGTERM
	end  chan error         // of Serve
	log  logLines
}

// serve runs a server until the test ends; what cfg leaves out is filled in.
func serve(t testing.TB, cfg Config) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "rpc") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return serveOn(t, ln, cfg)
}

func serveOn(t testing.TB, ln *net.UnixListener, cfg Config) *served {
	s := &served{ln: ln, end: make(chan error, 1), log: make(logLines, 10_000)}
	if cfg.Call == nil {
		cfg.Call = func(context.Context, wire.Call) (any, error) { return wire.OK{Kind: wire.KindOK}, nil }
	}
	if cfg.Health == nil {
		cfg.Health = func(context.Context) wire.Health { return wire.Health{Status: "ok"} }
	}
	cfg.WireError = plainWireError
	cfg.Register.Protocol, cfg.Register.Module = wire.Protocol, "maildomain"
	cfg.Log = zerolog.New(s.log)
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.Context())
	ended := make(chan struct{})
	s.srv = NewServer(cfg)
	go func() {
		s.end <- s.srv.Serve(ctx, ln)
		close(ended)
	}()
	t.Cleanup(func() { s.stop(); await(t, ended, "Serve to return") })
	return s
}

// plainWireError is a border as small as one can be.
func plainWireError(err error, lang string) (*jsonrpc2.Error, bool) {
	for i, known := range []error{ErrBusy, ErrCancelled, ErrTimeLimit, ErrUnavailable} {
		if errors.Is(err, known) {
			w := &jsonrpc2.Error{Code: -32001 - int64(i), Message: known.Error()}
			w.SetError(wire.ErrorData{Type: []string{"busy", "cancelled", "limit", "unavailable"}[i], Msg: lang})
			return w, false
		}
	}
	w := &jsonrpc2.Error{Code: -32010, Message: "internal error"}
	w.SetError(wire.ErrorData{Type: "internal", Msg: "internal error"})
	return w, true
}

// logLines takes a logger's lines.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default: // a test that lets ten thousand lie does not ask for them
	}
	return len(p), nil
}

// find returns the next line that contains all of the words.
func (l logLines) find(t testing.TB, words ...string) map[string]any {
	t.Helper()
next:
	for {
		line := await(t, l, "a log line with "+strings.Join(words, " "))
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %s: %v", line, err)
		}
		return m
	}
}

// await takes from ch what must come.
func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// A peer is the other end, line by line.
type peer struct {
	t  testing.TB
	nc *net.UnixConn
	r  *bufio.Reader
}

// dial connects and takes the module's core.register, unanswered.
func (s *served) dial(t testing.TB) *peer {
	t.Helper()
	p := s.connect(t)
	if got := p.next(); !strings.Contains(got, `"core.register"`) {
		t.Fatalf("first line is %s", got)
	}
	return p
}

// core connects as a core that has agreed to the registration.
func (s *served) core(t testing.TB) *peer {
	t.Helper()
	p := s.connect(t)
	id := p.nextRequest("core.register").ID
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"protocol":1,"core":{"name":"test","version":"0"}}}`, id)
	return p
}

func (s *served) connect(t testing.TB) *peer {
	t.Helper()
	nc, err := net.DialUnix("unix", nil, s.ln.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t, nc, bufio.NewReaderSize(nc, 64<<10)}
}

// send writes one line.
func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	_ = p.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(p.nc, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
}

// call sends a module.call.
func (p *peer) call(id int, c wire.Call) {
	p.t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(`{"jsonrpc":"2.0","id":%d,"method":"module.call","params":%s}`, id, b)
}

// next reads one line.
func (p *peer) next() string {
	p.t.Helper()
	line, err := p.read()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return line
}

func (p *peer) read() (string, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
	line, err := p.r.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

type sent struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
}

// nextRequest reads a request of the module's.
func (p *peer) nextRequest(method string) sent {
	p.t.Helper()
	var req sent
	line := p.next()
	if err := json.Unmarshal([]byte(line), &req); err != nil || req.Method != method {
		p.t.Fatalf("line %s is not a %s", line, method)
	}
	return req
}

// want reads one line and compares it as JSON.
func (p *peer) want(want string) {
	p.t.Helper()
	if diff := cmp.Diff(asJSON(p.t, want), asJSON(p.t, p.next())); diff != "" {
		p.t.Fatalf("answer (-want +got):\n%s", diff)
	}
}

// wantEnd says that the module ends the connection now.
func (p *peer) wantEnd() {
	p.t.Helper()
	if line, err := p.read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("connection goes on: %q, %v", line, err)
	}
}

func asJSON(t testing.TB, s string) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}
