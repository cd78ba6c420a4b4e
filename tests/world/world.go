// Package world runs the whole program for tests and benchmarks: the reference
// core and the module that it starts, over one temporary directory, reached as
// people and scripts reach them.
package world

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Password of every demonstration user.
const Password = "a password for tests"

// A World is a running core with its module.
type World struct {
	Data string // everything that the two write
	Root string // the module's --root
	URL  string // of /ispmgr

	bin    string
	core   *exec.Cmd
	ended  chan struct{}
	client *http.Client
}

// Options of a World.
type Options struct {
	Data   string   // empty: a directory of the test's
	Bin    string   // directory of the programs; empty: built for tests, with the race detector
	Module []string // further arguments of the module
	Env    []string // of the module, each NAME=VALUE; it has no other
}

// Start runs a world for the length of a test.
func Start(t testing.TB, o Options) *World {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	if o.Bin == "" {
		o.Bin = programs(t)
	}
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the core's log:\n%s\nof the module's:\n%s", tail(w.Log("core")), tail(w.Log("maildomain")))
		}
	})
	return w
}

// tail is the end of a log.
func tail(s string) string {
	const most = 4 << 10
	return s[max(0, len(s)-most):]
}

// Open prepares a world in o.Data and starts it.
func Open(o Options) (*World, error) {
	w := &World{
		Data: o.Data, Root: filepath.Join(o.Data, "root"), bin: o.Bin,
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
	}
	for _, d := range []string{"modules.d", "run", "log", "root"} {
		if err := os.MkdirAll(filepath.Join(w.Data, d), 0o755); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command(w.Program("maildomain"), "setup", "--root", w.Root).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("set up: %w\n%s", err, out)
	}
	drop, err := json.Marshal(map[string]any{
		"name": "maildomain", "socket": "run/maildomain.sock",
		"exec": slices.Concat([]string{"/usr/bin/env"}, o.Env, []string{w.Program("maildomain"), "serve", "--root", w.Root}, o.Module),
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.Data, "modules.d", "maildomain.json"), drop, 0o644); err != nil {
		return nil, err
	}
	return w, w.Run()
}

// Program is the path of one of the project's programs.
func (w *World) Program(name string) string { return filepath.Join(w.bin, name) }

// startLimit is how long the core may take to say where it listens.
const startLimit = 30 * time.Second

// Run starts the core, again after a Stop.
func (w *World) Run() error {
	log, err := os.OpenFile(filepath.Join(w.Data, "log", "core.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	w.core = exec.Command(w.Program("panelcore"), "serve", "--demo")
	w.core.Env = append(os.Environ(), "DATA="+w.Data, "LISTEN=127.0.0.1:0", "DEMO_PASSWORD="+Password)
	w.core.Stderr = log
	w.core.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // the core dies with the test
	said, err := w.core.StdoutPipe()
	if err != nil {
		return err
	}
	w.ended = make(chan struct{})
	started := make(chan error, 1)
	address := make(chan string, 1)
	go func() {
		defer close(w.ended)
		// The death of a parent is, to Linux, the death of the thread that started the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := w.core.Start()
		if started <- err; err != nil {
			return
		}
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if u, ok := strings.CutPrefix(lines.Text(), "scripts:"); ok {
				address <- strings.TrimSpace(u)
			}
		}
		_ = w.core.Wait() // how it ended is in its log
	}()
	if err := <-started; err != nil {
		return err
	}
	select {
	case w.URL = <-address:
	case <-w.ended:
		return fmt.Errorf("the core did not start:\n%s", w.Log("core"))
	case <-time.After(startLimit):
		return errors.Join(errors.New("the core did not say where it listens"), w.Stop())
	}
	// The first call waits until the module runs and all files are in place.
	a, err := w.started(context.Background(), "admin", "emaildomain")
	if err == nil && a.Error != "" {
		err = fmt.Errorf("the module does not answer: %s %s\n%s", a.Error, a.Msg, w.Log("maildomain"))
	}
	if err != nil {
		return errors.Join(err, w.Stop())
	}
	return nil
}

// Stop ends the core and the module, in order.
func (w *World) Stop() error {
	w.client.CloseIdleConnections()
	select {
	case <-w.ended:
		return nil
	default:
	}
	if err := w.core.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-w.ended:
		return nil
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the core did not end"), w.core.Process.Kill())
	}
}

// Log is the log of core or maildomain.
func (w *World) Log(name string) string {
	b, err := os.ReadFile(filepath.Join(w.Data, "log", name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// ModulePID is the process of the running module; 0 where none runs. One that is about to
// be gone runs still: it may have its locks.
func (w *World) ModulePID() int {
	p := fmt.Sprintf("/proc/%d/task/%[1]d/children", w.core.Process.Pid)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", w.core.Process.Pid))
	if err != nil {
		tasks = []string{p}
	}
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for pid := range strings.FieldsSeq(string(b)) {
			// Not exe, which is gone while the process still gives up what it has.
			comm, err := os.ReadFile("/proc/" + pid + "/comm")
			if err == nil && strings.TrimSpace(string(comm)) == "maildomain" {
				n, _ := strconv.Atoi(pid)
				return n
			}
		}
	}
	return 0
}

// Call calls a function over HTTP as a demonstration user, or with nothing that
// proves who calls where user is ""; parameters are name, value, name, value.
func (w *World) Call(ctx context.Context, user, function string, params ...string) (Answer, error) {
	form := url.Values{"func": {function}, "out": {"json"}}
	if user != "" {
		form.Set("authinfo", user+":"+Password)
	}
	for i := 0; i+1 < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := w.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return Answer{}, err
	}
	return parse(b)
}

// Must calls and ends the test unless the answer is a success.
func (w *World) Must(t testing.TB, user, function string, params ...string) Answer {
	t.Helper()
	a, err := w.started(t.Context(), user, function, params...)
	if err != nil {
		t.Fatalf("%s %s %q: %v", user, function, params, err)
	}
	if a.Error != "" {
		t.Fatalf("%s %s %q: %s: %s", user, function, params, a.Error, a.Msg)
	}
	return a
}

// Refused calls and ends the test unless the answer is that error, such as
// "value(name)".
func (w *World) Refused(t testing.TB, want, user, function string, params ...string) Answer {
	t.Helper()
	a, err := w.Call(t.Context(), user, function, params...)
	if err != nil {
		t.Fatalf("%s %s %q: %v", user, function, params, err)
	}
	if a.Error != want {
		t.Errorf("%s %s %.200q: answered %q (%s), want %q", user, function, params, a.Error, a.Msg, want)
	}
	return a
}

// Ctl runs panelcore ctl and returns what it wrote and its exit status.
func (w *World) Ctl(args ...string) (out, errs string, status int, err error) {
	c := exec.Command(w.Program("panelcore"), append([]string{"ctl", "--data", w.Data}, args...)...)
	var o, e strings.Builder
	c.Stdout, c.Stderr = &o, &e
	err = c.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	return o.String(), e.String(), c.ProcessState.ExitCode(), err
}
