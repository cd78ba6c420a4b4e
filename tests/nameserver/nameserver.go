// Package nameserver runs BIND as a child process for tests: on a free port of
// loopback, in a directory of its own, with a key that may change its zones. It
// asks nobody outside; a server that resolves asks another one of the test.
package nameserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The key that every server here knows: its name, algorithm and secret.
const (
	KeyName      = "maildomain.test"
	KeyAlgorithm = "hmac-sha256"
	KeySecret    = "bWFpbGRvbWFpbiBpbiBhIHRlc3QsIG5vdCBzZWNyZXQ="
)

// A second key, for the longest of the algorithms.
const (
	LongKeyName      = "long.maildomain.test"
	LongKeyAlgorithm = "hmac-sha512"
	LongKeySecret    = "YSBsb25nZXIgb25lIG9mIHRoZSBtYWlsZG9tYWluIGluIGEgdGVzdCwgd2hpY2ggaXMgbm90IHNlY3JldCBlaXRoZXI="
)

// A Zone is what a server is authoritative for.
type Zone struct {
	Name    string // in A-labels, without the final dot
	Records string // lines of a zone file; SOA is written before them, $TTL is 60
	Fixed   bool   // no key may change it
}

// Options say what a server is.
type Options struct {
	Zones   []Zone
	Forward netip.AddrPort // if valid, the server resolves: it asks this one for everything else, and caches
}

// A Server is a BIND, running or stopped.
type Server struct {
	t    testing.TB
	dir  string
	addr netip.AddrPort
	opts Options
	run  *process

	keyless bool
}

// Start starts a server, that the end of the test stops. Where BIND is not
// installed the test is skipped, or failed under CI.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), opts: o}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, z := range o.Zones {
		text := "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 1\n" + z.Records
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if err := os.WriteFile(filepath.Join(s.dir, z.Name+".zone"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	const tries = 10
	for i := range tries {
		s.addr = freePort(t)
		err := s.start()
		if err == nil {
			return s
		}
		if !strings.Contains(err.Error(), "address in use") || i == tries-1 {
			t.Fatal(err)
		}
	}
	return nil
}

// Addr is where the server listens, over UDP and TCP.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Restart starts a stopped server again at its address, with what its zones became.
func (s *Server) Restart() {
	s.t.Helper()
	err := s.start()
	for end := time.Now().Add(startLimit); err != nil && strings.Contains(err.Error(), "address in use") && time.Now().Before(end); err = s.start() {
		time.Sleep(100 * time.Millisecond) // what it listened at may take a moment to be free
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends the server and waits until it is gone; stopping again does nothing.
func (s *Server) Stop() {
	if s.run != nil {
		s.run.stop()
		s.run = nil
	}
}

// Admit says whether the server goes on to answer those who sign with a key: if not, its
// zones are for all others. It is started anew.
func (s *Server) Admit(keys bool) {
	s.t.Helper()
	s.Stop()
	s.keyless = !keys
	s.Restart()
}

func (s *Server) start() error {
	named, err := program()
	if err != nil {
		if os.Getenv("CI") != "" {
			s.t.Fatal(err)
		}
		s.t.Skip(err)
	}
	conf := filepath.Join(s.dir, "named.conf")
	if err := os.WriteFile(conf, []byte(s.config()), 0o600); err != nil {
		return err
	}
	log := filepath.Join(s.dir, "log")
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(named, "-g", "-n", "1", "-c", conf)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = out, out
	if s.run, err = run(cmd); err != nil {
		return fmt.Errorf("start BIND: %w", err)
	}
	return s.waitUp(log)
}

const (
	startLimit = 20 * time.Second
	glance     = 5 * time.Millisecond // between two looks at the log
)

func (s *Server) waitUp(log string) error {
	end := time.After(startLimit)
	for over := false; ; {
		b, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		text := string(b)
		switch {
		case strings.Contains(text, "address in use"), strings.Contains(text, "could not listen"), strings.Contains(text, "unable to listen"):
			s.Stop()
			return fmt.Errorf("start BIND: address in use\n%s", text)
		case over:
			return fmt.Errorf("start BIND: it ended at once\n%s", text)
		case strings.Contains(text, " running\n"):
			return nil
		}
		select {
		case <-s.run.exited:
			over = true // what it said last is read yet
		case <-end:
			s.Stop()
			return fmt.Errorf("start BIND: not up after %s\n%s", startLimit, text)
		case <-time.After(glance):
		}
	}
}

func (s *Server) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `options {
	directory "%[1]s";
	listen-on port %[2]d { %[3]s; };
	listen-on-v6 { none; };
	pid-file "%[1]s/pid";
	lock-file none;
	session-keyfile "%[1]s/session.key";
	managed-keys-directory "%[1]s";
	notify no;
	dnssec-validation no;
	empty-zones-enable no;
	allow-query { any; };
	allow-transfer { none; };
	minimal-responses no-auth-recursive;
	tcp-clients 200;
`, s.dir, s.addr.Port(), s.addr.Addr())
	if f := s.opts.Forward; f.IsValid() {
		fmt.Fprintf(&b, "\trecursion yes;\n\tallow-recursion { any; };\n\tforward only;\n\tforwarders { %s port %d; };\n", f.Addr(), f.Port())
	} else {
		b.WriteString("\trecursion no;\n")
	}
	b.WriteString("};\ncontrols { };\n")
	for _, k := range [][3]string{{KeyName, KeyAlgorithm, KeySecret}, {LongKeyName, LongKeyAlgorithm, LongKeySecret}} {
		fmt.Fprintf(&b, "key \"%s\" { algorithm %s; secret \"%s\"; };\n", k[0], k[1], k[2])
	}
	for _, z := range s.opts.Zones {
		may := fmt.Sprintf("key \"%s\"; key \"%s\";", KeyName, LongKeyName)
		asks := "any;"
		if s.keyless {
			asks = fmt.Sprintf("!key \"%s\"; !key \"%s\"; any;", KeyName, LongKeyName)
		}
		if z.Fixed || s.keyless {
			may = "none;"
		}
		fmt.Fprintf(&b, "zone \"%s\" { type primary; file \"%s.zone\"; allow-query { %s }; allow-update { %s }; };\n", z.Name, z.Name, asks, may)
	}
	return b.String()
}

func program() (string, error) {
	for _, p := range []string{"named", "/usr/sbin/named"} {
		if path, err := exec.LookPath(p); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("named is not installed: apt-get install bind9")
}

// freePort is a port of loopback that is free for UDP and TCP.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	for range 100 {
		// Below those that systems hand out: nobody else gets it while a server is stopped.
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(20000))))
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return netip.MustParseAddrPort(l.Addr().String())
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return netip.AddrPort{}
}

// A process is a child that the kernel kills when we die.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	once   sync.Once
}

func run(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel means the death of the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // told to stop
		}
		close(p.exited)
	}()
	return p, <-started
}

// stopLimit is what BIND has to write its zones down.
const stopLimit = 5 * time.Second

func (p *process) stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it is gone
		select {
		case <-p.exited:
		case <-time.After(stopLimit):
			_ = p.cmd.Process.Kill()
		}
	})
	<-p.exited
}
