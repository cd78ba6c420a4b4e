package systemd_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc"
	"maildomain/rpc/wire"
	"maildomain/systemd"
)

// act says, in the environment of this test's own program, that it is started as
// a module: "serve", or "listener" to say what Listener finds.
const act = "MAILDOMAIN_ACT"

// quickExit spares the second that the race detector waits at the end of a process.
const quickExit = "GORACE=atexit_sleep_ms=0"

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("LISTEN_PID") == "self" { // the parent cannot know it
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	switch os.Getenv(act) {
	case "serve":
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "listener":
		ln, err := systemd.Listener()
		fmt.Println(ln != nil, err)
	default:
		os.Exit(m.Run())
	}
}

// serve is a module that answers every call with its own process id, and may be
// idle only after it was asked to rest.
func serve() error {
	ln, err := systemd.Listener()
	if err != nil || ln == nil {
		return fmt.Errorf("listener %v: %w", ln, err)
	}
	var resting atomic.Bool
	server := rpc.NewServer(rpc.Config{
		Call: func(_ context.Context, c wire.Call) (any, error) {
			resting.Store(c.Func == "rest")
			return wire.OK{Kind: wire.KindOK, ID: strconv.Itoa(os.Getpid())}, nil
		},
		WireError: func(err error, _ string) (*jsonrpc2.Error, bool) { return &jsonrpc2.Error{Message: err.Error()}, true },
		Health:    func(context.Context) wire.Health { return wire.Health{Status: "ok"} },
		Register:  wire.Register{Protocol: wire.Protocol, Module: "maildomain"},
		Working:   func() bool { return !resting.Load() },
		Idle:      time.Millisecond,
		Log:       zerolog.New(os.Stderr),
	})
	if err := systemd.Ready(); err != nil {
		return err
	}
	if err := server.Serve(context.Background(), ln); err != nil {
		return err
	}
	return systemd.Stopping()
}

// session is what somebody types who knows the contract: the answer to
// core.register, a call, and leave to rest. It returns the module's process id.
func session(t *testing.T, path string) string {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewReader(nc)
	var last string
	for _, step := range []struct{ read, write string }{
		{`"method":"core.register"`, `{"jsonrpc":"2.0","id":0,"result":{"protocol":1,"core":{"name":"me","version":"0"}}}`},
		{"", `{"jsonrpc":"2.0","id":"a","method":"module.health"}`},
		{`"id":"a","result":{"status":"ok"`, `no JSON`},
		{`"code":-32700`, `{"jsonrpc":"2.0","id":"b","method":"module.call","params":{"func":"rest","params":{},"session":{"user":"admin","level":"admin"}}}`},
		{`"id":"b","result":{"kind":"ok","id":"`, ""},
	} {
		if step.read != "" {
			if last, err = lines.ReadString('\n'); err != nil || !strings.Contains(last, step.read) {
				t.Fatalf("read %q, %v; want %s", last, err, step.read)
			}
		}
		if step.write != "" {
			if _, err := fmt.Fprintln(nc, step.write); err != nil {
				t.Fatal(err)
			}
		}
	}
	if line, err := lines.ReadString('\n'); err == nil {
		t.Errorf("an idle module says %s", line)
	}
	_, pid, _ := strings.Cut(last, `"kind":"ok","id":"`)
	pid, _, _ = strings.Cut(pid, `"`)
	return pid
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts a command that the test ends with.
func start(t *testing.T, cmd *exec.Cmd) (ended <-chan error) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return result
}

func wantEnd(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the module ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the idle module does not end")
	}
}

// systemd's own tool holds the socket, starts the module at the first connection,
// and hears that it is ready. An idle module ends with 0, and is started again.
func TestModuleIsActivatedByItsSocket(t *testing.T) {
	const tool = "systemd-socket-activate"
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: apt-get install systemd", tool)
		}
		t.Skipf("%s is not installed: apt-get install systemd", tool)
	}
	dir := shortDir(t)
	socket, notify := filepath.Join(dir, "module.sock"), filepath.Join(dir, "notify")
	hears, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer hears.Close()

	pids := map[string]bool{}
	for range 2 {
		cmd := exec.Command(tool, "--listen="+socket, "-E", act+"=serve", "-E", "NOTIFY_SOCKET="+notify, "-E", quickExit, os.Args[0])
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		ended := start(t, cmd)
		if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Listening on "+socket) {
			t.Fatalf("%s says %q, %v", tool, line, err)
		}
		pids[session(t, socket)] = true
		wantEnd(t, ended)
		for _, want := range []string{"READY=1", "STOPPING=1"} {
			_ = hears.SetReadDeadline(time.Now().Add(patience))
			b := make([]byte, 100)
			if n, err := hears.Read(b); err != nil || string(b[:n]) != want {
				t.Errorf("systemd hears %q, %v; want %s", b[:n], err, want)
			}
		}
	}
	if len(pids) != 2 {
		t.Errorf("two activations have the process ids %v", pids)
	}
}

// While nobody runs, connections wait in the socket for the next process.
func TestConnectionWaitsForTheNextActivation(t *testing.T) {
	path := filepath.Join(shortDir(t), "module.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	activate := func() <-chan error { return start(t, handed(socket, "serve")) }

	first := activate()
	pid := session(t, path)
	wantEnd(t, first)

	pids := make(chan string)
	const waiting = 10
	for range waiting {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := fmt.Fprintln(nc, `{"jsonrpc":"2.0","id":1,"method":"module.call","params":{"func":"f"}}`); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = nc.SetDeadline(time.Now().Add(patience))
			lines := bufio.NewReader(nc)
			_, _ = lines.ReadString('\n') // core.register, whose answer the call waits for
			fmt.Fprintln(nc, `{"jsonrpc":"2.0","id":0,"result":{"protocol":1}}`)
			line, _ := lines.ReadString('\n')
			pids <- line
		}()
	}
	second := activate()
	for range waiting {
		if line := <-pids; !strings.Contains(line, `"kind":"ok"`) || strings.Contains(line, `"`+pid+`"`) {
			t.Errorf("answer %q", line)
		}
	}
	session(t, path)
	wantEnd(t, second)
}

// handed is this program as one that was handed f as its socket.
func handed(f *os.File, what string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), act+"="+what, "LISTEN_PID=self", "LISTEN_FDS=1", "LISTEN_FDNAMES=module", quickExit)
	cmd.ExtraFiles = []*os.File{f}
	return cmd
}

func TestOnlyAListeningUnixSocketIsTaken(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	dialled, err := net.DialUnix("unix", nil, ln.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path + "g", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()

	for _, c := range []struct {
		from interface{ File() (*os.File, error) }
		want string
	}{
		{ln, "true <nil>"},
		{tcp, "false socket activation: module: not a Unix socket"},
		{dialled, "false socket activation: module: not listening; Accept=yes is not served"},
		{datagrams, "false socket activation: module: not a stream socket"},
	} {
		f, err := c.from.File()
		if err != nil {
			t.Fatal(err)
		}
		out, err := handed(f, "listener").Output()
		f.Close()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%T: %q, %v; want %q", c.from, got, err, c.want)
		}
	}

	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if out, err := handed(f, "listener").Output(); err != nil || !strings.HasPrefix(string(out), "false socket activation: module: not a socket: ") {
		t.Errorf("a file: %q, %v", out, err)
	}
	two := handed(f, "listener")
	two.ExtraFiles = append(two.ExtraFiles, f)
	two.Env = append(two.Env, "LISTEN_FDS=2")
	if out, err := two.Output(); err != nil || !strings.HasPrefix(string(out), "false socket activation: 2 sockets were handed over, one is wanted") {
		t.Errorf("two: %q, %v", out, err)
	}
	another := handed(f, "listener")
	another.Env = append(another.Env, "LISTEN_PID=1")
	if out, err := another.Output(); err != nil || string(out) != "false <nil>\n" {
		t.Errorf("meant for another process: %q, %v", out, err)
	}
}
