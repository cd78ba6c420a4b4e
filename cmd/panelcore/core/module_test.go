package core_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestModuleStartsAtTheFirstCall(t *testing.T) {
	t.Setenv("DEMO_PASSWORD", "not for modules")
	p := paneltest.Start(t, paneltest.Options{})
	if n := p.Count(t, "start"); n != 0 {
		t.Fatalf("started %d times before a call", n)
	}
	got := p.As(t, "user1", "thing.session", "colour", "red")
	if n := p.Count(t, "start"); n != 1 {
		t.Errorf("started %d times", n)
	}
	for name, want := range map[string]string{
		"user": "user1", "level": "user", "language": "en", "su_by": "", "remote_ip": "127.0.0.1",
		"params": "colour", "environment": "",
	} {
		if v := field(got, name); v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	if id := field(got, "request_id"); len(id) < 26 {
		t.Errorf("request id %q can be guessed", id)
	}
	again := p.As(t, "user1", "thing.session")
	if field(again, "pid") != field(got, "pid") || p.Count(t, "connection") != 1 {
		t.Error("the second call did not reuse the connection")
	}
}

func TestModuleThatEndedWhenIdleIsStartedAgain(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for i := range 5 {
		if got := p.As(t, "user1", "thing.exit"); got != "OK\n" {
			t.Fatal(got)
		}
		// The end and this call race on purpose: no caller sees which came first.
		if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
			t.Fatal(i, got)
		}
	}
	if n := p.Count(t, "start"); n < 2 { // some calls may be served by one that is about to end
		t.Errorf("started %d times", n)
	}
}

// TestCallIsRepeatedWithTheSameRequestID: the module crashes, or its connection

// does, before the answer.

func TestModuleThatIsDown(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{"toy.json": `{"name": "toy", "socket": "run/toy.sock"}`}})
	p.Core.Learn(t.Context())
	for _, function := range []string{"thing", "nosuch"} { // which functions it has is not known
		if got := p.As(t, "user1", function); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
			t.Error(got)
		}
	}
	if got := p.As(t, "admin", "user"); !strings.HasPrefix(got, "name=admin ") {
		t.Errorf("the core's own functions: %s", got)
	}

	// Somebody else, such as systemd, owns the socket and starts the module.
	process := activate(t, p)
	if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
		t.Error(got)
	}
	if got := p.As(t, "user1", "nosuch"); !strings.HasPrefix(got, "ERROR missed(func): ") {
		t.Error(got)
	}
	process.Kill()
	process.Wait()
	if got := p.As(t, "user1", "thing"); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
		t.Errorf("after it went: %s", got)
	}
	if got := p.As(t, "user1", "nosuch"); !strings.HasPrefix(got, "ERROR missed(func): ") {
		t.Errorf("what it registered was forgotten: %s", got)
	}
}

// activate runs the toy as systemd does. The socket goes with the process.

func activate(t *testing.T, p *paneltest.Panel) *os.Process {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.Data, "run", "toy.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.SetUnlinkOnClose(false)
	l.Close()
	cmd := exec.Command("/proc/self/exe", "paneltest-exec-module", paneltest.Toy, "-diary", p.Diary)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Process.Wait()
	})
	return cmd.Process
}

func TestProgramThatEndsAtOnceIsHeldBack(t *testing.T) {
	for _, code := range []string{"0", "1"} {
		t.Run(code, func(t *testing.T) {
			p := paneltest.Start(t, paneltest.Options{
				Core: core.Options{BackOff: time.Hour, QuickExit: time.Hour}, Toy: []string{"-exit-at-once", code},
			})
			for range 3 {
				if got := p.As(t, "user1", "thing"); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
					t.Error(got)
				}
			}
			if n := p.Count(t, "start"); n != 3 {
				t.Errorf("started %d times", n)
			}
		})
	}
}

func TestProgramHeldBackIsTriedAgainLater(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{
		Core: core.Options{BackOff: time.Millisecond}, Toy: []string{"-exit-at-once", "1"},
	})
	paneltest.Eventually(t, "ten starts", func() bool {
		p.As(t, "user1", "thing")
		return p.Count(t, "start") >= 6
	})
}

func TestProgramThatIsNotThere(t *testing.T) {
	for _, path := range []string{"/nonexistent/program", "/etc/passwd"} {
		p := paneltest.Start(t, paneltest.Options{
			Core: core.Options{BackOff: time.Hour, QuickExit: time.Hour},
			Drop: map[string]string{"toy.json": `{"name": "toy", "socket": "run/toy.sock", "exec": ["` + path + `"]}`},
		})
		if got := p.As(t, "user1", "thing"); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
			t.Error(got)
		}
		b, err := os.ReadFile(filepath.Join(p.Data, "log", "toy.log"))
		if err != nil || !strings.Contains(string(b), "run module "+path) {
			t.Errorf("the module's log does not say why: %v %s", err, b)
		}
	}
}

func TestModuleThatNeverRegisters(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{ConnectLimit: 300 * time.Millisecond}, Toy: []string{"-mute"}})
	if got := p.As(t, "user1", "thing"); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
		t.Error(got)
	}
}

func TestModuleMayAskInTheMiddleOfACall(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	got := p.As(t, "user1", "thing.callback")
	for name, want := range map[string]string{
		"at_once": "50", "server_ips": `"[127.0.0.11 127.0.0.12]"`,
		"unknown": `"jsonrpc2: code -32601 message: method \"core.nosuch\" not found"`,
		"users": `"admin/admin//127.0.0.11/map[] reseller1/reseller/admin/127.0.0.11/map[] ` +
			`user1/user/reseller1/127.0.0.11+127.0.0.12/map[] user2/user/reseller1/127.0.0.11/map[] user3/user/admin/127.0.0.11/` + demoLimits(t) + ` "`,
	} {
		if v := field(got, name); v != want {
			t.Errorf("%s:\n got %s\nwant %s", name, v, want)
		}
	}
	if v := field(got, "wrong"); !strings.Contains(v, "-32602") {
		t.Errorf("wrong parameters: %s", v)
	}
	for _, c := range []struct{ name, value, want string }{
		{"names", "user3 nosuch user1 user3", "user1 user3"},
		{"parent", "reseller1", "user1 user2"},
		{"after", "user1", "user2 user3"},
		{"after", "s", "user1 user2 user3"},
	} {
		var names []string
		for _, u := range strings.Fields(strings.Trim(field(p.As(t, "user1", "thing.callback", c.name, c.value), "users"), `"`)) {
			if name, _, ok := strings.Cut(u, "/"); ok {
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func TestModuleIsToldOfChanges(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	p.As(t, "user1", "thing.quick")
	told := func(what string) int { return p.Count(t, `module.invalidate {"what":"`+what+`"}`) }
	paneltest.Eventually(t, "told at the connection", func() bool { return told("users") == 1 && told("params") == 1 })
	if got := p.As(t, "admin", "user.edit", "elid", "user2", "limit_x", "5", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	paneltest.Eventually(t, "told of the user", func() bool { return told("users") == 2 })
	if got := p.As(t, "admin", "param.edit", "nameservers", "ns.example", "sok", "ok"); got != "OK\n" {
		t.Fatal(got)
	}
	paneltest.Eventually(t, "told of the parameters", func() bool { return told("params") == 2 })
	for i, call := range [][]string{
		{"zone.edit", "name", "new.example", "server", "ns.example", "sok", "ok"},
		{"zone.delete", "elid", "new.example"},
		{"zone.edit", "name", "new.example", "server", "ns.example", "sok", "ok"},
	} {
		if got := p.As(t, "admin", call[0], call[1:]...); !strings.HasPrefix(got, "OK") {
			t.Fatal(got)
		}
		paneltest.Eventually(t, "told of the zones by "+call[0], func() bool { return told("zones") == i+1 })
	}
}

// TestModuleThatAnswersNothingIsLeft: calls that are given up hold their places, as

// they do at the module, until all are taken.
