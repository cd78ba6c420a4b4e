package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/files"
)

// A Filter is one of the programs that judge letters: postgrey, spamd or clamd, over
// a directory of its own, on a free port of 127.0.0.1. Its methods may be called by
// several goroutines.
type Filter struct {
	Addr string // host:port, the same each time it is started

	program string
	args    []string
	out     string // what it printed
	answers func(context.Context, *Filter) bool
	space   *space

	mu     sync.Mutex
	daemon *daemon // nil: not running
}

// filterPackages are the Debian packages that bring the filters.
var filterPackages = map[string]string{"postgrey": "postgrey", "spamd": "spamd", "clamd": "clamav-daemon"}

// NeedFilters ends the test unless the filters are installed, in the manner of Need.
func NeedFilters(t testing.TB) {
	t.Helper()
	for _, p := range []string{"postgrey", "spamd", "clamd"} {
		if !installed(p) {
			missing(t, "%s is not installed: apt-get install %s", p, filterPackages[p])
		}
	}
}

// A Virus is a text that the clamd of a test finds in a letter. It is nobody's: no
// scanner else knows it.
const Virus = "MAILDOMAIN-LAB-VIRUS-7e3c19"

// VirusName is what clamd calls it.
const VirusName = "Lab.Virus.UNOFFICIAL"

// Spam is the text that SpamAssassin gives a thousand points (GTUBE).
const Spam = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// StartPostgrey runs postgrey, which takes a letter when delay has passed since the
// first attempt.
func StartPostgrey(t testing.TB, delay time.Duration) *Filter {
	t.Helper()
	dir := t.TempDir()
	addr := FreeAddrs(t, 1)[0]
	return startFilter(t, &Filter{Addr: addr, program: "/usr/sbin/postgrey", out: filepath.Join(dir, "out"), answers: accepts,
		args: []string{"--inet=" + addr, "--dbdir=" + dir, fmt.Sprintf("--delay=%d", int(delay.Seconds())),
			"--user=root", "--group=root", "--hostname=" + hostname, "--auto-whitelist-clients=0",
			"--whitelist-clients=" + empty(t, dir, "clients"), "--whitelist-recipients=" + empty(t, dir, "recipients")}})
}

// StartClamd runs clamd with one signature, that of Virus, and more lines of clamd.conf(5).
func StartClamd(t testing.TB, more ...string) *Filter {
	t.Helper()
	return startClamd(t, FreeAddrs(t, 1)[0], more...)
}

// StartClamdOn is StartClamd on another address of this machine.
func StartClamdOn(t testing.TB, address string, more ...string) *Filter {
	t.Helper()
	return startClamd(t, FreeAddrsOn(t, address, 1)[0], more...)
}

func startClamd(t testing.TB, addr string, more ...string) *Filter {
	t.Helper()
	dir := t.TempDir()
	f := &Filter{Addr: addr, program: "/usr/sbin/clamd", out: filepath.Join(dir, "out"), answers: pongs}
	conf := filepath.Join(dir, "clamd.conf")
	host, port, _ := net.SplitHostPort(f.Addr)
	write(t, filepath.Join(dir, "lab.ndb"), fmt.Sprintf("Lab.Virus:0:*:%x\n", Virus))
	write(t, conf, "DatabaseDirectory "+dir+"\nTCPSocket "+port+"\nTCPAddr "+host+"\nForeground yes\nMaxThreads 4\n"+strings.Join(more, "\n")+"\n")
	f.args = []string{"-c", conf}
	return startFilter(t, f)
}

// StartSpamd runs spamd with the plugins of the package and two rules, those of Spam
// and SpamLike: all of its own take 100 MB a process.
func StartSpamd(t testing.TB) *Filter {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // it reads its rules as nobody
		t.Fatal(err)
	}
	pre, err := filepath.Glob("/etc/spamassassin/*.pre")
	if err != nil || len(pre) == 0 {
		t.Fatal("no plugins of SpamAssassin: ", err)
	}
	for _, name := range pre {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, filepath.Base(name)), string(b))
	}
	write(t, filepath.Join(dir, "local.cf"), "use_bayes 0\nskip_rbl_checks 1\ndns_available no\n"+
		"body GTUBE /"+gtube+"/\nscore GTUBE 1000\nbody LAB_SPAM /"+SpamLike+"/\nscore LAB_SPAM 7\n")
	addr := FreeAddrs(t, 1)[0]
	return startFilter(t, &Filter{Addr: addr, program: "/usr/sbin/spamd", out: filepath.Join(dir, "out"), answers: pongs,
		args: []string{"-L", "-i", addr, "-u", "nobody", "-m", "2", "--min-children=1", "--configpath=" + dir, "--siteconfigpath=" + dir,
			"-x", "-r", filepath.Join(dir, "pid"), "-s", "null"}})
}

// SpamLike is a text of 7 points.
const SpamLike = "spamlike-lab"

// gtube is Spam as a pattern.
const gtube = `XJS\*C4JDBQADN1\.NSBN3\*2IDNEN\*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL\*C\.34X`

func startFilter(t testing.TB, f *Filter) *Filter {
	t.Helper()
	NeedRoot(t)
	NeedFilters(t)
	var err error
	if f.space, err = openSpace(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Kill()
		f.space.close()
	})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// filterLimit is how long spamd may take where others use the machine too.
const filterLimit = 90 * time.Second

// Start starts the filter again and returns when it answers.
func (f *Filter) Start(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.daemon != nil {
		return fmt.Errorf("%s is running already", f.program)
	}
	ctx, cancel := context.WithTimeout(ctx, filterLimit)
	defer cancel()
	d, err := startDaemon(f.space, f.out, f.program, f.args...)
	if err != nil {
		return err
	}
	for !f.answers(ctx, f) {
		select {
		case <-d.exited:
			out, _ := os.ReadFile(f.out)
			return fmt.Errorf("start %s: it ended: %s", f.program, out)
		case <-ctx.Done():
			out, _ := os.ReadFile(f.out)
			d.stop()
			return fmt.Errorf("wait for %s: %w: %s", f.program, ctx.Err(), out)
		case <-time.After(5 * glance):
		}
	}
	f.daemon = d
	return nil
}

// Kill ends the filter in the midst of what it does. Killing again does nothing.
func (f *Filter) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.daemon != nil {
		f.daemon.stop()
		f.daemon = nil
	}
}

func accepts(ctx context.Context, f *Filter) bool {
	_, err := ask(ctx, f.Addr, "")
	return err == nil
}

// pongs asks as clamd and spamd both understand it, each in its own words.
func pongs(ctx context.Context, f *Filter) bool {
	question := "PING\n"
	if strings.HasSuffix(f.program, "spamd") {
		question = "PING SPAMC/1.2\r\n\r\n"
	}
	answer, err := ask(ctx, f.Addr, question)
	return err == nil && strings.Contains(answer, "PONG")
}

// ask sends a question and reads the answer to its end.
func ask(ctx context.Context, addr, question string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if question == "" {
		return "", nil
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	if _, err := io.WriteString(conn, question); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(conn, 1<<16))
	return string(b), err
}

// PutFilters writes the file of filters by hand, as "key: value" lines. A *Filter in
// it is its address as Exim takes it.
func PutFilters(t testing.TB, root string, set map[string]any) {
	t.Helper()
	text := "# maildomain 1: a test\n"
	for key, v := range set {
		if f, ok := v.(*Filter); ok {
			host, port, err := net.SplitHostPort(f.Addr)
			if err != nil {
				t.Fatal(err)
			}
			v = strings.ReplaceAll(host, ":", "::") + " " + port
			switch key {
			case "postgrey":
				v = "inet:" + f.Addr
			case "clamd":
				text += "clamd_ping: inet:" + f.Addr + "\n"
			}
		}
		text += fmt.Sprintf("%s: %v\n", key, v)
	}
	Put(t, root, files.Debian.Filters(), text)
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func empty(t testing.TB, dir, name string) string {
	t.Helper()
	write(t, filepath.Join(dir, name), "")
	return filepath.Join(dir, name)
}
