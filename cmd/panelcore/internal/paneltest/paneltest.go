// Package paneltest runs a panel core in a temporary directory for tests: a real
// core over real HTTP, with the toy of toy/ as a module process of its own.
package paneltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/api"
	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/ui"
)

// Password is that of the demonstration users, with a colon as passwords may have.
const Password = "demo:password"

const launch = "paneltest-exec-module"

// Toy is the path of the built toy; Main sets it.
var Toy string

// Main builds the toy and runs the tests. It is also the launcher of modules, as
// the real program is.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == launch {
		fmt.Fprintln(os.Stderr, core.ExecModule(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(Build(m.Run))
}

// Build builds the toy, runs f and removes the toy.
func Build(f func() int) int {
	dir, err := os.MkdirTemp("", "toy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	Toy = filepath.Join(dir, "toy")
	cmd := exec.Command("go", "build", "-o", Toy, "maildomain/cmd/panelcore/internal/paneltest/toy")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build toy:", err)
		return 1
	}
	return f()
}

// A Panel is a running core with its HTTP server.
type Panel struct {
	Core  *core.Core
	Clock *Clock
	Log   *Log
	Data  string
	Diary string // what the toy noted
	URL   string // of the address for scripts
	Pages string // of the pages, without a path

	server *http.Server
	closed bool
}

// Options of a Panel.
type Options struct {
	Core core.Options      // limits
	Toy  []string          // arguments of the toy
	Drop map[string]string // drop-in files by name, instead of the toy's
}

// Start runs a panel until the test ends.
func Start(t testing.TB, o Options) *Panel {
	t.Helper()
	dir, err := os.MkdirTemp("", "panel") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Panel{Clock: newClock(), Log: &Log{}, Data: dir, Diary: filepath.Join(dir, "diary")}
	if o.Drop == nil {
		o.Drop = map[string]string{"toy.json": ToyDropIn(p.Diary, o.Toy...)}
	}
	if err := os.Mkdir(filepath.Join(dir, "modules.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range o.Drop {
		if err := os.WriteFile(filepath.Join(dir, "modules.d", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "panelcore.db"), template(t), 0o600); err != nil {
		t.Fatal(err)
	}
	p.open(t, o.Core)
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			p.tell(t)
		}
	})
	return p
}

// template returns a database with the demonstration users. It is made once: the
// hashes of five passwords take longer than most tests.
var template = func() func(testing.TB) []byte {
	var once sync.Once
	var db []byte
	var err error
	return func(t testing.TB) []byte {
		t.Helper()
		once.Do(func() { db, err = makeTemplate(t) })
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
}()

func makeTemplate(t testing.TB) ([]byte, error) {
	dir := t.TempDir()
	c, err := core.Open(t.Context(), core.Options{Data: dir, Demo: true, DemoPassword: Password})
	if err != nil {
		return nil, err
	}
	_, err = c.Prepare(t.Context())
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "panelcore.db"))
}

// ToyDropIn returns the drop-in file of a toy that the core starts.
func ToyDropIn(diary string, args ...string) string {
	b, err := json.Marshal(map[string]any{
		"name": "toy", "socket": "run/toy.sock", "exec": append([]string{Toy, "-diary", diary}, args...),
	})
	if err != nil {
		panic(err) // strings marshal
	}
	return string(b)
}

func (p *Panel) open(t testing.TB, o core.Options) {
	t.Helper()
	o.Data, o.Version = p.Data, "test"
	o.Now, o.Launcher = p.Clock.Now, []string{"/proc/self/exe", launch}
	o.Log = zerolog.New(p.Log)
	c, err := core.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	p.Core = c
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	p.server = api.New(c, o.Log)
	mux := http.NewServeMux()
	mux.Handle(api.Path, p.server.Handler)
	mux.Handle("/", ui.New(c, o.Log, p.Clock.Now))
	p.server.Handler = api.BehindProxy(api.Challenges(c, mux), netip.MustParseAddr("127.0.0.1"))
	go p.server.Serve(l)
	p.Pages = "http://" + l.Addr().String()
	p.URL = p.Pages + api.Path
}

// Restart stops the panel and starts it again over the same data.
func (p *Panel) Restart(t testing.TB, o core.Options) {
	t.Helper()
	p.Stop(t)
	p.open(t, o)
	p.closed = false
}

// Stop ends the server and the core.
func (p *Panel) Stop(t testing.TB) {
	t.Helper()
	if p.closed {
		return
	}
	p.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		t.Error("shutdown:", err)
	}
	if err := p.Core.Close(); err != nil {
		t.Error("close:", err)
	}
}

// tell shows what happened in a test that failed.
func (p *Panel) tell(t testing.TB) {
	t.Logf("log:\n%s", p.Log)
	for _, path := range []string{p.Diary, filepath.Join(p.Data, "log", "toy.log")} {
		if b, err := os.ReadFile(path); err == nil {
			t.Logf("%s:\n%s", path, b)
		}
	}
}
