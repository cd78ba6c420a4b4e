package core_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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
	if field(again, "pid") != field(got, "pid") || p.Count(t, "registered") != 1 {
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
	if n := p.Count(t, "start"); n < 5 {
		t.Errorf("started %d times", n)
	}
}

// TestCallIsRepeatedWithTheSameRequestID: the module crashes, or its connection
// does, before the answer.
func TestCallIsRepeatedWithTheSameRequestID(t *testing.T) {
	for _, function := range []string{"thing.crash", "thing.hangup"} {
		for breaks, want := range []string{"OK\n", "OK\n", "OK\n", "ERROR unavailable(func): "} {
			t.Run(fmt.Sprintf("%s %d", function, breaks), func(t *testing.T) {
				p := paneltest.Start(t, paneltest.Options{})
				fuse := filepath.Join(p.Data, "fuse")
				if err := os.WriteFile(fuse, []byte(strings.Repeat("x", breaks)), 0o600); err != nil {
					t.Fatal(err)
				}
				body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", function, "fuse", fuse), nil)
				if !strings.HasPrefix(body, want) {
					t.Errorf("got %q, want %q", body, want)
				}
				if strings.HasPrefix(want, "ERROR") && !strings.Contains(body, "may have been made") {
					t.Errorf("the caller is not told that it may have happened: %q", body)
				}
				calls := min(breaks+1, 3)
				if n := p.Count(t, "call "+function+" "+header.Get("X-Request-Id")); n != calls {
					t.Errorf("called %d times with that id, want %d", n, calls)
				}
				if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
					t.Errorf("the next call: %s", got)
				}
			})
		}
	}
}

func TestClientCanRepeatACallByItsOwnID(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id := func(user, header string, more ...string) string {
		form := paneltest.Form(append([]string{"out", "text", "authinfo", user + ":" + paneltest.Password, "func", "thing.session"}, more...)...)
		body, _ := p.Do(t, form, http.Header{"X-Request-Id": {header}})
		if strings.HasPrefix(body, "ERROR") {
			return strings.TrimSpace(body)
		}
		return field(body, "request_id")
	}
	first := id("user1", "order-66")
	if first == "" || first != id("user1", "order-66") {
		t.Error("the same id of a client is another id at the module")
	}
	for _, other := range []string{id("user2", "order-66"), id("user1", "order-67"), id("admin", "order-66", "su", "user1"), id("user1", "")} {
		if other == first {
			t.Errorf("another caller's id is the same: %s", other)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a b", "ü", "a/b"} {
		if got := id("user1", bad); !strings.HasPrefix(got, "ERROR value(request_id)") {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

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

func TestModuleThatTalksNonsense(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, call := range [][]string{
		{"thing.garbage"}, {"thing.long", "bytes", fmt.Sprint(1 << 20)}, {"thing.long", "endless", "on"},
	} {
		if got := p.As(t, "user1", call[0], call[1:]...); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
			t.Errorf("%s: %.100s", call, got)
		}
		if n := p.Count(t, "start"); n != 1 {
			t.Errorf("started %d times", n)
		}
		if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
			t.Errorf("after %s: %.100s", call, got)
		}
	}
	if got := p.Call(t, "out", "json", "authinfo", "user1:"+paneltest.Password, "func", "thing.long", "bytes", fmt.Sprint(1<<20-200)); len(got) < 1<<20-200 {
		t.Errorf("the longest answer: %.300s", got)
	}
}

func TestFaultsOfAModuleGiveNothingAway(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, function := range []string{"thing.raw", "thing.strange"} {
		body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", function), nil)
		id := header.Get("X-Request-Id")
		if want := "ERROR internal: internal error; it stands in the log under " + id + "\n"; body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	if !strings.Contains(p.Log.String(), "permission denied") {
		t.Error("the cause does not stand in the log")
	}
	if got := p.As(t, "user1", "thing.busy"); got != "ERROR busy(func): later\n" {
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
}

func TestCallThatTakesTooLongIsCancelled(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{CallLimit: 2 * time.Second}})
	p.As(t, "user1", "thing.quick") // starting is not what is timed
	body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", "thing.hang"), nil)
	if !strings.HasPrefix(body, "ERROR unavailable(func): ") || !strings.Contains(body, "in time") {
		t.Error(body)
	}
	paneltest.Eventually(t, "cancelled", func() bool { return p.Count(t, "cancelled "+header.Get("X-Request-Id")) == 1 })
	if n := p.Count(t, "start"); n != 1 {
		t.Errorf("started %d times", n)
	}
}

func TestCallsBeyondTheBoundWaitAndAreThenBusy(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{QueueLimit: 100 * time.Millisecond}})
	p.As(t, "user1", "thing.quick")
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { p.As(t, "user1", "thing.hang") })
	}
	paneltest.Eventually(t, "64 calls run", func() bool { return p.Count(t, "call thing.hang") == 64 })
	if got := p.As(t, "user1", "thing.quick"); !strings.HasPrefix(got, "ERROR busy(func): ") {
		t.Error(got)
	}
	if err := syscall.Kill(processes(t, p)[0], syscall.SIGUSR1); err != nil { // the toy ends what hangs
		t.Fatal(err)
	}
	wg.Wait()
	paneltest.Eventually(t, "calls go through again", func() bool { return p.As(t, "user1", "thing.quick") == "OK\n" })
}

// TestModuleThatAnswersNothingIsLeft: calls that are given up hold their places, as
// they do at the module, until all are taken.
func TestModuleThatAnswersNothingIsLeft(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{CallLimit: 2 * time.Second}})
	p.As(t, "user1", "thing.quick")
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { p.As(t, "user1", "thing.deaf") })
	}
	wg.Wait()
	if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
		t.Error(got)
	}
	if n := p.Count(t, "registered"); n != 2 {
		t.Errorf("registered %d times, want once more", n)
	}
}

func TestManyCallsShareOneConnection(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 8 {
				id := fmt.Sprintf("n%d-%d", i, j)
				got := p.Call(t, "out", "sjson", "authinfo", "user1:"+paneltest.Password, "func", "thing.edit", "name", id, "sok", "ok")
				if !strings.Contains(got, `"id":"`+id+`"`) {
					t.Errorf("%s: %s", id, got)
				}
			}
		})
	}
	wg.Wait()
	if s, r := p.Count(t, "start"), p.Count(t, "registered"); s != 1 || r != 1 {
		t.Errorf("%d starts, %d connections", s, r)
	}
}

func TestRequestThatIsTooLongForTheModule(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	body := "out=text&func=thing.quick&authinfo=user1:" + paneltest.Password + "&name=" + strings.Repeat("<", 400_000) // six bytes each in JSON
	resp, err := http.Post(p.URL, "application/x-www-form-urlencoded", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	n, _ := resp.Body.Read(b)
	if !strings.HasPrefix(string(b[:n]), "ERROR value(request): ") {
		t.Errorf("%s", b[:n])
	}
	p.As(t, "user1", "thing.quick")
	if n := p.Count(t, "registered"); n != 1 {
		t.Errorf("%d connections", n)
	}
}
