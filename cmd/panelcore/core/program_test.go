package core_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

// demoLimits returns the limits of user3 as the toy prints them.
func demoLimits(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("demo.json")
	if err != nil {
		t.Fatal(err)
	}
	var demo struct {
		Users []struct {
			Name   string
			Limits map[string]int64
		}
	}
	if err := json.Unmarshal(b, &demo); err != nil {
		t.Fatal(err)
	}
	limits := demo.Users[len(demo.Users)-1].Limits
	if len(limits) != 2 || limits["ssl"] != 0 {
		t.Fatalf("limits of %s: %v", demo.Users[len(demo.Users)-1].Name, limits)
	}
	return fmt.Sprint(limits)
}

func processes(t *testing.T, p *paneltest.Panel) []int {
	t.Helper()
	var pids []int
	for _, line := range p.Notes(t) {
		if pid, _, _ := strings.Cut(line, " "); strings.HasSuffix(line, " start") {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}

func TestStopLeavesNoProcessAndNoSocket(t *testing.T) {
	for _, args := range [][]string{nil, {"-stubborn"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			p := paneltest.Start(t, paneltest.Options{Core: core.Options{StopLimit: 300 * time.Millisecond}, Toy: args})
			slow := make(chan string, 1)
			go func() { defer close(slow); slow <- p.As(t, "user1", "thing.slow", "ms", "300") }()
			paneltest.Eventually(t, "a call runs", func() bool { return p.Count(t, "call thing.slow") == 1 })
			p.Stop(t)
			if got := <-slow; got != "OK\n" {
				t.Errorf("a call that ran at the stop: %s", got)
			}
			pids := processes(t, p)
			if len(pids) != 1 {
				t.Fatal(pids)
			}
			if err := syscall.Kill(pids[0], 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d is there: %v", pids[0], err)
			}
			if _, err := os.Lstat(filepath.Join(p.Data, "run", "toy.sock")); !os.IsNotExist(err) {
				t.Errorf("the socket is there: %v", err)
			}
		})
	}
}

func TestSocketIsForTheOwnerOnly(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	fi, err := os.Lstat(filepath.Join(p.Data, "run", "toy.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

func open(t *testing.T, data string) error {
	t.Helper()
	c, err := core.Open(t.Context(), core.Options{Data: data, Launcher: []string{"/proc/self/exe", "unused"}})
	if err == nil {
		err = c.Close()
	}
	return err
}

func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "core")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"modules.d", "run"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSocketOfADeadCoreIsReplaced(t *testing.T) {
	dir := dataDir(t)
	socket := filepath.Join(dir, "run", "toy.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	dropIn := filepath.Join(dir, "modules.d", "toy.json")
	if err := os.WriteFile(dropIn, []byte(`{"name": "toy", "socket": "run/toy.sock", "exec": ["/bin/true"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir); err == nil || !strings.Contains(err.Error(), "no socket is in the way") {
		t.Error(err)
	}
	if b, err := os.ReadFile(socket); string(b) != "precious" {
		t.Error("the file is gone:", err)
	}
}

func TestOneCoreForADataDirectory(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	if err := open(t, p.Data); err == nil || !strings.Contains(err.Error(), "another panelcore runs") {
		t.Error(err)
	}
}

func TestDropInsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name, file, text, want string
		mode                   os.FileMode
	}{
		{"good", "a.json", `{"name": "a", "socket": "run/a.sock"}`, "", 0o644},
		{"not JSON", "a.json", `{`, "unexpected EOF", 0o644},
		{"unknown field", "a.json", `{"name": "a", "socket": "s", "user": "root"}`, "unknown field", 0o644},
		{"other name", "a.json", `{"name": "b", "socket": "s"}`, "named after it", 0o644},
		{"name with a slash", "a.json", `{"name": "../a", "socket": "s"}`, `"../a"`, 0o644},
		{"no socket", "a.json", `{"name": "a"}`, "socket is missing", 0o644},
		{"program without a path", "a.json", `{"name": "a", "socket": "s", "exec": ["sh"]}`, "PATH is not searched", 0o644},
		{"everyone can write it", "a.json", `{"name": "a", "socket": "run/a.sock"}`, "everyone can write it", 0o666},
		{"path too long", "a.json", `{"name": "a", "socket": "/` + strings.Repeat("x", 120) + `", "exec": ["/bin/true"]}`, "longer than 107 bytes", 0o644},
		{"another suffix", "a.json.old", `nonsense`, "", 0o644},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := dataDir(t)
			path := filepath.Join(dir, "modules.d", c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			err := open(t, dir)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRegistrationThatCannotBeIsRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-level", "emperor"}, "no such level"},
		{[]string{"-claim", "user.edit"}, "the core's own"},
		{[]string{"-claim", "auth"}, "the core's own"},
		{[]string{"-claim", "a b"}, "not a name"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			p := paneltest.Start(t, paneltest.Options{Toy: c.args})
			if got := p.As(t, "user1", "thing"); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
				t.Error(got)
			}
			paneltest.Eventually(t, "the module is told", func() bool { return p.Count(t, "refused jsonrpc2: code -32602") > 0 })
			if !strings.Contains(p.Log.String(), c.want) {
				t.Errorf("the log does not say %q", c.want)
			}
			if got := p.As(t, "admin", "user.edit", "elid", "user1"); !strings.HasPrefix(got, "name=user1\n") {
				t.Errorf("the core's own function: %s", got)
			}
		})
	}
}

func TestFunctionBelongsToTheModuleThatRegisteredItFirst(t *testing.T) {
	diary := filepath.Join(dataDir(t), "diary")
	second := strings.NewReplacer(`"toy"`, `"zoo"`, "toy.sock", "zoo.sock").Replace(paneltest.ToyDropIn(diary))
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{"toy.json": paneltest.ToyDropIn(diary), "zoo.json": second}})
	p.Core.Learn(t.Context())
	got := p.As(t, "admin", "module")
	if strings.Count(got, "connected=on") != 1 || strings.Count(got, "functions=0") != 1 {
		t.Error(got)
	}
	if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
		t.Error(got)
	}
}
