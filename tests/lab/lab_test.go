package lab

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
)

// orphan makes the test binary start Exim and Dovecot over the root it names, tell
// the process ids and wait to be killed.
const orphan = "LAB_TEST_ORPHAN_ROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(orphan)
	if root == "" {
		os.Exit(m.Run())
	}
	x, err := Open(Options{Root: root, Dir: filepath.Join(root, "lab"), Dovecot: true})
	if err == nil {
		err = x.Serve(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(x.daemon.cmd.Process.Pid, x.Dovecot.daemon.cmd.Process.Pid)
	select {}
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// someDomains is a root with a domain that forwards and one that refuses.
func someDomains(t *testing.T) string {
	t.Helper()
	root := NewRoot(t)
	PutDomain(t, root, "a.example", "state: active", "defaction: redirect", "redirval: me@foreign.test")
	PutDomain(t, root, "b.example", "state: active", "defaction: error")
	return root
}

func TestEximObeysTheRoot(t *testing.T) {
	root := someDomains(t)
	x := Start(t, root, Options{})
	for to, want := range map[string]int{"x@a.example": 250, "x@b.example": 550, "x@c.example": 550} {
		if r, err := x.Rcpt(limited(t), "me@sender.test", to); err != nil || r.Code != want || r.To != "RCPT" {
			t.Errorf("%s: %v, %v; want %d", to, r, err, want)
		}
	}
	for to, want := range map[string]int{"x@a.example": Routed, "x@b.example": Undeliverable} {
		if r, err := x.Route(limited(t), to); err != nil || r.Status != want {
			t.Errorf("%s: %+v, %v; want %d", to, r, err, want)
		}
	}
	if r, err := x.Route(limited(t), "x@a.example", "x@b.example"); err != nil || r.Status != Undeliverable || !strings.Contains(r.Text, "me@foreign.test") {
		t.Errorf("two at once: %+v, %v", r, err)
	}
	r, err := x.Send(limited(t), "me@sender.test", "x@a.example", "Subject: x\n\n.dot\n")
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	l, err := x.Sink.Wait(limited(t), 1)
	if err != nil || l[0].To[0] != "me@foreign.test" || !strings.HasSuffix(string(l[0].Data), "\r\n\r\n.dot\r\n") {
		t.Errorf("arrived: %+v, %v", l, err)
	}
}

// What the lab mounts is seen by nobody else, and nothing is written into the root but
// Exim's log.
func TestMachineAndRootStayAsTheyAre(t *testing.T) {
	root, dir := someDomains(t), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, logDir), 0o755); err != nil {
		t.Fatal(err)
	}
	Put(t, root, filepath.Join(files.Debian.Hooks(), "macros.conf"), "MD_MESSAGE_SIZE = 1M\n")
	mounts := mountsOf(t, dir)
	etc, before := list(t, "/etc/exim4"), list(t, root)
	x := Start(t, root, Options{})
	if _, err := x.Rcpt(limited(t), "me@sender.test", "x@a.example"); err != nil {
		t.Fatal(err)
	}
	if now := mountsOf(t, dir); now != mounts {
		t.Errorf("mounts changed:\n%s", now)
	}
	if now := list(t, "/etc/exim4"); !maps.Equal(now, etc) {
		t.Errorf("/etc/exim4: %v, was %v", now, etc)
	}
	if now := list(t, root); !maps.Equal(now, before) {
		t.Errorf("root: %v, was %v", now, before)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, logDir) {
			return filepath.SkipDir
		}
		all[p] = fmt.Sprint(info.Mode(), info.ModTime(), info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Exim starts a process for each client and each delivery, and those outlive
// the daemon where nobody takes care.
func TestStopLeavesNoProcess(t *testing.T) {
	root := someDomains(t)
	tarpit, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tarpit.Close() }()
	x := Start(t, root, Options{Sink: tarpit.Addr().String()})
	if r, err := x.Send(limited(t), "me@sender.test", "x@a.example", "Subject: x\n\nx\n"); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if _, err := tarpit.Accept(); err != nil { // the delivery is under way
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", x.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := bufio.NewReader(client).ReadString('\n'); err != nil { // so is a session
		t.Fatal(err)
	}
	space := pidSpace(x.daemon.cmd.Process.Pid)
	if n := len(inSpace(t, space)); n < 4 { // shell, daemon, session, delivery
		t.Errorf("%d processes, want at least 4", n)
	}
	if err := x.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := inSpace(t, space); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if q, err := x.Queue(limited(t)); err != nil || len(q) != 1 || q[0].From != "me@sender.test" || q[0].To[0] != "x@a.example" || q[0].Frozen {
		t.Errorf("queue: %+v, %v", q, err)
	}
}

func pidSpace(pid int) string {
	s, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return ""
	}
	return s
}

func inSpace(t *testing.T, space string) (pids []int) {
	t.Helper()
	if space == "" || space == pidSpace(os.Getpid()) {
		t.Fatalf("namespace %q is not one of its own", space)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pidSpace(pid) == space {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestServersDieWithTheTest(t *testing.T) {
	NeedDovecot(t)
	root := someDomains(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphan+"="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var spaces []string
	for word := range strings.FieldsSeq(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(line)
		}
		space := pidSpace(pid)
		spaces = append(spaces, space)
		if n := len(inSpace(t, space)); n < 2 {
			t.Errorf("%d processes run, want 2", n)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for _, space := range spaces {
		for ; len(inSpace(t, space)) > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("left behind: %v", inSpace(t, space))
			}
		}
	}
}

func TestStartsAgain(t *testing.T) {
	x := Start(t, someDomains(t), Options{})
	if err := x.Serve(limited(t)); err == nil {
		t.Error("started twice at once")
	}
	for range 3 {
		if err := x.Stop(); err != nil {
			t.Fatal(err)
		}
		if x.Exited() != nil {
			t.Error("ended, yet running")
		}
		if err := x.Serve(limited(t)); err != nil {
			t.Fatal(err)
		}
		if r, err := x.Rcpt(limited(t), "me@sender.test", "x@a.example"); err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Route(limited(t), "x@a.example"); err == nil {
		t.Error("closed, yet it answers")
	}
	if err := x.Serve(limited(t)); err == nil {
		t.Error("closed, yet it starts")
	}
}

func TestDirectoryIsOneEximsAtATime(t *testing.T) {
	root, dir := someDomains(t), t.TempDir()
	x := Prepare(t, root, Options{Dir: dir})
	if _, err := Open(Options{Root: root, Dir: dir}); err == nil || !strings.Contains(err.Error(), "another Exim uses "+dir) {
		t.Errorf("error %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	y, err := Open(Options{Root: root, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := y.Close(); err != nil {
		t.Error(err)
	}
}

func TestTakenAddressIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	x := Prepare(t, someDomains(t), Options{Listen: l.Addr().String()})
	if err := x.Serve(limited(t)); err == nil || !strings.Contains(err.Error(), l.Addr().String()+": address already in use") {
		t.Errorf("error %v", err)
	}
}

// Another process may take a port between our look and Exim's.
func TestTakenPortIsExchanged(t *testing.T) {
	x := Prepare(t, someDomains(t), Options{})
	l, err := net.Listen("tcp", x.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := x.Serve(limited(t)); err != nil {
		t.Fatal(err)
	}
	if x.Addr() == l.Addr().String() {
		t.Error("it listens where somebody else does")
	}
	if r, err := x.Rcpt(limited(t), "me@sender.test", "x@a.example"); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
}

func TestBrokenConfigurationIsShown(t *testing.T) {
	root := someDomains(t)
	Put(t, root, filepath.Join(files.Debian.Hooks(), "main.conf"), "no_such_option = 1\n")
	x := Prepare(t, root, Options{})
	if err := x.Serve(limited(t)); err == nil || !strings.Contains(err.Error(), "no_such_option") {
		t.Errorf("error %v", err)
	}
}

func TestRootWithoutSetupIsRefused(t *testing.T) {
	NeedRoot(t)
	Need(t, "exim4")
	_, err := Open(Options{Root: t.TempDir(), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "run maildomain setup on ") {
		t.Errorf("error %v", err)
	}
}

// Below the home of root, say, where Exim's user cannot go.
func TestEximReachesARootThatItsUserCannot(t *testing.T) {
	root := someDomains(t)
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(closed, "root")
	if err := os.Rename(root, moved); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "lab")
	x := Start(t, moved, Options{Dir: dir})
	if r, err := x.Send(limited(t), "me@sender.test", "x@a.example", "Subject: x\n\nx\n"); err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	if _, err := x.Sink.Wait(limited(t), 1); err != nil {
		t.Error(err)
	}
}

// "make run" as an ordinary user and "make mail" as root.
func TestEximReadsARootOfAnotherUser(t *testing.T) {
	root := someDomains(t)
	err := filepath.Walk(root, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, 4711, 4712)
	})
	if err != nil {
		t.Fatal(err)
	}
	x := Start(t, root, Options{})
	for to, want := range map[string]int{"x@a.example": 250, "x@b.example": 550} {
		if r, err := x.Rcpt(limited(t), "me@sender.test", to); err != nil || r.Code != want {
			t.Errorf("%s: %v, %v; want %d", to, r, err, want)
		}
	}
	name := filepath.Join(root, files.Debian.Domains(), "c.example")
	if err := os.WriteFile(name, []byte("state: active\ndefaction: ignore\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(name, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	if r, err := x.Rcpt(limited(t), "me@sender.test", "x@c.example"); err != nil || r.Code != 250 {
		t.Errorf("written later: %v, %v", r, err)
	}
}

func TestQueueTellsWhoWaitsForWhat(t *testing.T) {
	x := Start(t, someDomains(t), Options{Sink: "127.0.0.1:9"})
	if q, err := x.Queue(limited(t)); err != nil || len(q) != 0 {
		t.Fatalf("%+v, %v", q, err)
	}
	for _, from := range []string{"me@sender.test", ""} {
		r, err := x.Send(limited(t), from, "x@a.example", "Subject: x\n\nx\n")
		if err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
		if _, err := x.WaitLog(limited(t), strings.TrimPrefix(r.Text, "OK id=")+" == me@foreign.test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Rest(limited(t)); err != nil {
		t.Fatal(err)
	}
	q, err := x.Queue(limited(t))
	if err != nil || len(q) != 2 {
		t.Fatalf("%+v, %v", q, err)
	}
	from := map[string]bool{}
	for _, l := range q {
		from[l.From] = true
		if l.Frozen || len(l.To) != 1 || l.To[0] != "x@a.example" || len(l.ID) != 16 {
			t.Errorf("%+v", l)
		}
	}
	if !from[""] || !from["me@sender.test"] {
		t.Errorf("%+v", q)
	}
	if status, out, err := x.Run(limited(t), "-Mf", q[0].ID); err != nil || status != 0 {
		t.Fatal(status, out, err)
	}
	frozen, err := x.Queue(limited(t))
	if err != nil || len(frozen) != 2 || frozen[0].Frozen == frozen[1].Frozen {
		t.Errorf("one is frozen: %+v, %v", frozen, err)
	}
}

func TestCommandThatHangsEndsWithItsContext(t *testing.T) {
	x := Prepare(t, someDomains(t), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := x.run(ctx, "/bin/sleep", "60"); err == nil {
		t.Error("no error")
	}
}

func TestClientNamesTheCommandThatWasRefused(t *testing.T) {
	x := Start(t, someDomains(t), Options{})
	for _, c := range []struct{ from, to, text, at string }{
		{"me@sender.test", "x@a.example", "Subject: x\n\nx\n", "."},
		{"me@sender.test", "x@a.example", strings.Repeat("y", 1000) + "\n", "."},
		{"me@sender.test", "x@b.example", "x", "RCPT"},
		{"not an address", "x@b.example", "x", "MAIL"},
	} {
		if r, err := x.Send(limited(t), c.from, c.to, c.text); err != nil || r.To != c.at {
			t.Errorf("from <%s> to <%s>: %v, %v; want an answer to %s", c.from, c.to, r, err, c.at)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Rcpt(ctx, "me@sender.test", "x@a.example"); err == nil {
		t.Error("asked, though nobody wants to know any more")
	}
}

func TestDNSAnswersFromItsZone(t *testing.T) {
	NeedRoot(t)
	d, err := ListenDNS(Zone{
		"a.test":      {"MX 10 mail.a.test", "MX 20 mail2.a.test"},
		"mail.a.test": {"A 127.0.0.5", "AAAA ::5"},
		"broken.test": {"SERVFAIL"},
		"empty.test":  {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", net.JoinHostPort(d.Addr(), "53"))
	}}
	mx, err := r.LookupMX(limited(t), "A.test.")
	if err != nil || len(mx) != 2 || mx[0].Host != "mail.a.test." || mx[1].Pref != 20 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	ips, err := r.LookupNetIP(limited(t), "ip", "mail.a.test.")
	if err != nil || len(ips) != 2 {
		t.Errorf("addresses: %v, %v", ips, err)
	}
	for name, notFound := range map[string]bool{"gone.test.": true, "empty.test.": true, "broken.test.": false} {
		_, err := r.LookupMX(limited(t), name)
		dns, ok := err.(*net.DNSError) //nolint:errorlint // the resolver's own
		if !ok || dns.IsNotFound != notFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"A ::1", "AAAA x", "MX mail.a.test", "TXT x"} {
		if _, err := ListenDNS(Zone{"a.test": {bad}}); err == nil {
			t.Errorf("record %q is taken", bad)
		}
	}
	if ip := netip.MustParseAddr(d.Addr()); !ip.IsLoopback() {
		t.Errorf("listens on %s", ip)
	}
}

// A double of a test, to see how it ends.
type double struct {
	testing.TB
	ended string
}

func (d *double) Helper() {}
func (d *double) Skipf(f string, a ...any) {
	d.ended = "skipped: " + fmt.Sprintf(f, a...)
	runtime.Goexit()
}
func (d *double) Fatalf(f string, a ...any) {
	d.ended = "failed: " + fmt.Sprintf(f, a...)
	runtime.Goexit()
}

func TestMissingProgramIsNamed(t *testing.T) {
	packages["no-such-program"] = "some-package"
	defer delete(packages, "no-such-program")
	for ci, want := range map[string]string{
		"":     "skipped: no-such-program is not installed: apt-get install some-package",
		"true": "failed: no-such-program is not installed: apt-get install some-package",
	} {
		t.Setenv("CI", ci)
		d := &double{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Need(d, "sh", "no-such-program")
		}()
		<-done
		if d.ended != want {
			t.Errorf("CI=%q: %s", ci, d.ended)
		}
	}
}
