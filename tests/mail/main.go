// Command mail is "make mail": a real Exim and a real Dovecot over the files that the
// module of "make run" writes, in a private mount namespace, and a sink for what would
// leave the server. It needs root, and leaves the machine's own mail alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
	"maildomain/tests/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := demo{data: variable("DATA", "var"), out: os.Stdout}
	for _, l := range d.listeners() {
		*l.addr = variable(l.variable, l.byDefault)
	}
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "make mail:", err)
		os.Exit(1)
	}
}

func variable(name, byDefault string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return byDefault
}

// A demo is one run of "make mail".
type demo struct {
	data     string // the directory that "make run" writes in
	listen   string // address and port for other servers
	services lab.Services
	out      io.Writer
}

// A listener is an address that the demo listens on.
type listener struct {
	name, variable, byDefault string
	addr                      *string
}

func (d *demo) listeners() []listener {
	s := &d.services
	return []listener{
		{"smtp", "SMTP_LISTEN", "127.0.0.1:2525", &d.listen},
		{"submission", "SUBMISSION_LISTEN", "127.0.0.1:2587", &s.Submission},
		{"submissions", "SUBMISSIONS_LISTEN", "127.0.0.1:2465", &s.Submissions},
		{"imap", "IMAP_LISTEN", "127.0.0.1:2143", &s.IMAP},
		{"imaps", "IMAPS_LISTEN", "127.0.0.1:2993", &s.IMAPS},
		{"pop3", "POP3_LISTEN", "127.0.0.1:2110", &s.POP3},
		{"pop3s", "POP3S_LISTEN", "127.0.0.1:2995", &s.POP3S},
		{"managesieve", "MANAGESIEVE_LISTEN", "127.0.0.1:2419", &s.Sieve},
	}
}

// insider is the loopback address whose mail goes anywhere, as that of the
// server's own programs does. Everybody else is a stranger from the network.
const insider = "127.0.0.2"

func (d demo) run(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("running Exim and Dovecot needs root, for a private mount namespace; try: sudo make mail")
	}
	for _, l := range d.listeners() {
		if _, err := netip.ParseAddrPort(*l.addr); err != nil {
			return fmt.Errorf("%s is %q, and not an IP address and port such as %s", l.variable, *l.addr, l.byDefault)
		}
	}
	root := filepath.Join(d.data, "root")
	if _, err := os.Stat(root); err != nil {
		return fmt.Errorf("%s is not there; start `make run` first, it makes it", root)
	}
	if err := setup(ctx, root); err != nil {
		return err
	}

	mail := filepath.Join(d.data, "mail")
	letters := &sink.Dir{Path: filepath.Join(mail, "sent"), Out: d.out, Now: time.Now}
	s, err := sink.Listen("127.0.0.1:0", letters.Take)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := lab.Open(lab.Options{
		Root: root, Dir: mail, Listen: d.listen, Hostname: "mail.demo.test", Relay: []string{insider},
		Sink: s.Addr(), Every: "1m", Dovecot: true, Services: d.services,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := x.Serve(ctx); err != nil {
		return err
	}
	if err := d.explain(root, mail); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-x.Exited():
		return fmt.Errorf("exim ended by itself; its log is in %s", filepath.Join(root, "var/log/exim4"))
	case <-x.Dovecot.Exited():
		return fmt.Errorf("dovecot ended by itself; its log is in %s", filepath.Join(mail, "dovecot/log"))
	}
}

// setup has the module write the configurations, as the user whose root it is:
// "make run" may be an ordinary user's, and goes on writing there.
func setup(ctx context.Context, root string) error {
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	program, err := beside("maildomain")
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	cmd := exec.CommandContext(ctx, program, "setup", "--root", root)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if owner.Uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s setup: %w\n%s", program, err, out)
	}
	return nil
}

// beside is a program that was built with this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, program := range []string{filepath.Join(filepath.Dir(self), name), filepath.Join("bin", name)} {
		if _, err := os.Stat(program); err == nil {
			return filepath.Abs(program)
		}
	}
	return "", fmt.Errorf("bin/%s is not there; run `make build` first", name)
}

func (d demo) explain(root, mail string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Exim listens on %s and obeys %s. Dovecot does too.\n\n", d.listen, root)
	for _, l := range d.listeners() {
		fmt.Fprintf(&b, "%s %s\n", l.name, *l.addr)
	}
	fmt.Fprintf(&b, `
Send to one of the mail domains:
  swaks --server %[1]s --from you@sender.test --to someone@example.com
Send as somebody who has a mailbox, with its password:
  swaks --server %[2]s --tls --auth-user box@example.com --from box@example.com --to you@sender.test
Read it, with any IMAP program, or with curl:
  curl --user box@example.com 'imap://%[3]s/INBOX;MAILINDEX=*'
Send as a program on this server, which may send anywhere:
  swaks --server %[1]s --local-interface %[4]s --from someone@example.com --to you@sender.test
Ask where a letter would go: the first swaks with --quit-after RCPT.

Letters that would leave this server go to %[5]s/sent; the logs are %[6]s/var/log/exim4/mainlog and
%[5]s/dovecot/log/dovecot.log. Ctrl-C ends it.
`, reachable(d.listen), reachable(d.services.Submission), reachable(d.services.IMAP), insider, mail, root)
	text := b.String()
	if _, err := os.Stat(filepath.Join(root, files.Debian.Ready())); errors.Is(err, fs.ErrNotExist) {
		text += "\nExim puts everybody off (421) until the module has put all files in place. The module starts with the first call at the panel.\n"
	}
	_, err := io.WriteString(d.out, text)
	return err
}

// reachable is where a client on this machine connects for addr.
func reachable(addr string) string {
	a := netip.MustParseAddrPort(addr)
	if a.Addr().IsUnspecified() {
		a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
	}
	return a.String()
}
