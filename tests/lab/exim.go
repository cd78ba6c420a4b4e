package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"maildomain/module/files"
	"maildomain/tests/sink"
)

// Options say how Exim runs. Root and Dir are needed by Open; everything else
// may be left out.
type Options struct {
	Root     string   // the directory whose etc/exim4 Exim reads; "maildomain setup" was run on it
	Dir      string   // where queue (spool) and mailboxes of system users (mail) are kept; logs go to Root's var/log/exim4
	Listen   string   // address and port to listen on; default: a free port of 127.0.0.1
	Hostname string   // the server's own name; default mail.lab.test
	Relay    []string // addresses that may send to foreign domains; default none, so that the tester is a stranger
	Sink     string   // address and port that takes all mail for foreign domains; default: it stays in the queue
	DNS      string   // address of a name server on port 53: Exim asks it, and sends to Sink's port of whatever it answers
	Aliases  string   // text of /etc/aliases; default empty
	Every    string   // how often the queue is run, as "30s"; default never
	Dovecot  bool     // run Dovecot too, over Root's etc/dovecot and var/vmail
	Services Services // where people's programs connect; default: free ports of 127.0.0.1
}

// Exim is a real Exim over a root, in a private mount namespace. Its methods may
// be called by several goroutines.
type Exim struct {
	Sink    *sink.Server // where foreign mail arrives, if Start made it; else nil
	Dovecot *Dovecot     // nil without Options.Dovecot

	opts     Options
	lock     *os.File // on Dir
	listen   netip.AddrPort
	services Services
	space    *space

	mu     sync.Mutex
	daemon *daemon // nil: not running
}

// What the lab lays over the machine's own, as Debian's Exim was built to find it.
const (
	spoolDir   = "/var/spool/exim4"
	logDir     = "/var/log/exim4"
	mailDir    = "/var/mail"
	aliasFile  = "/etc/aliases"
	resolvConf = "/etc/resolv.conf"
	pidFile    = spoolDir + "/lab.pid"
)

// Open prepares Exim over o.Root, without starting it. Close ends it.
func Open(o Options) (*Exim, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("running Exim needs root, for a private mount namespace")
	}
	if !installed("exim4") {
		return nil, errors.New("exim4 is not installed: apt-get install " + packages["exim4"])
	}
	if o.Hostname == "" {
		o.Hostname = hostname
	}
	if o.Dovecot && !installed("dovecot") {
		return nil, errors.New("dovecot is not installed: apt-get install " + packages["dovecot"])
	}
	x := &Exim{opts: o}
	if err := x.pickAddresses(); err != nil {
		return nil, err
	}
	if o.Dovecot {
		x.Dovecot = &Dovecot{exim: x}
	}
	var err error
	if x.lock, err = lock(o.Dir); err != nil {
		return nil, err
	}
	mounts, err := x.prepare()
	if err == nil && x.Dovecot != nil {
		var more []mount
		more, err = x.Dovecot.prepare()
		mounts = append(mounts, more...)
	}
	if err == nil {
		x.space, err = openSpace(mounts)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare Exim: %w", err), x.lock.Close())
	}
	return x, nil
}

// lock keeps a second Exim off the first one's queue and hooks.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create directory for Exim: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock directory of Exim: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another Exim uses %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// prepare makes the directories that are laid over the machine's own.
func (x *Exim) prepare() ([]mount, error) {
	uid, gid, err := ids(files.Debian.EximUser)
	if err != nil {
		return nil, err
	}
	dir := func(name string) string {
		if name == "log" { // where the module looks for it
			return filepath.Join(x.opts.Root, logDir)
		}
		return filepath.Join(x.opts.Dir, name)
	}
	if err := makeParents(x.opts.Root, logDir); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		name     string
		mode     fs.FileMode
		uid, gid int
	}{
		{"spool", 0o750, uid, gid},
		{"log", 0o750, uid, gid},
		{"mail", 0o777 | os.ModeSticky, 0, 0},
		{"hooks", 0o755, 0, 0},
	} {
		if err := makeDir(dir(d.name), d.mode, d.uid, d.gid); err != nil {
			return nil, err
		}
	}
	resolver := "nameserver 127.255.255.254\n" // nobody there: a refusal at once
	if x.opts.DNS != "" {
		resolver = "nameserver " + x.opts.DNS + "\n"
	}
	resolver += "options timeout:1 attempts:1\n"
	if err := errors.Join(
		os.WriteFile(dir("resolv.conf"), []byte(resolver), 0o644),
		os.WriteFile(dir("aliases"), []byte(x.opts.Aliases), 0o644),
		x.writeHooks(dir("hooks")),
	); err != nil {
		return nil, err
	}

	mounts, err := x.mountConfiguration(gid)
	if err != nil {
		return nil, err
	}
	for _, m := range []mount{
		{from: "spool", over: spoolDir},
		{from: "log", over: logDir},
		{from: "mail", over: mailDir},
		{from: "hooks", over: "/" + files.Debian.Hooks()},
		{from: "resolv.conf", over: resolvConf},
		{from: "aliases", over: aliasFile},
	} {
		if _, err := os.Stat(m.over); errors.Is(err, fs.ErrNotExist) && (m.over == resolvConf || m.over == aliasFile) {
			continue // nothing of the machine's to hide
		}
		mounts = append(mounts, mount{from: dir(m.from), over: m.over})
	}
	return mounts, nil
}

// ids are the numbers of a user and his group.
func ids(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// mountConfiguration lays etc/exim4 of the root over the machine's.
func (x *Exim) mountConfiguration(gid int) ([]mount, error) {
	over := "/" + files.Debian.Exim
	if _, err := os.Stat(over); err != nil {
		return nil, fmt.Errorf("nothing to lay the configuration over, reinstall exim4-config: %w", err)
	}
	for _, must := range []string{files.Debian.EximConf, files.Debian.Hooks()} {
		if _, err := os.Stat(filepath.Join(x.opts.Root, must)); err != nil {
			return nil, fmt.Errorf("run maildomain setup on %s first: %w", x.opts.Root, err)
		}
	}
	from := filepath.Join(x.opts.Root, files.Debian.Exim)
	owned, err := ownershipOf(from, 0, gid)
	if err != nil {
		return nil, err
	}
	return []mount{{from: from, over: over, owned: owned}}, nil
}

// makeParents makes the directories above name below root, as its owner would: the
// module may run as an ordinary user, and writes there too.
func makeParents(root, name string) error {
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	at := root
	for part := range strings.SplitSeq(strings.Trim(filepath.Dir(name), "/"), "/") {
		at = filepath.Join(at, part)
		err := os.Mkdir(at, 0o755)
		if err == nil {
			err = os.Chown(at, int(owner.Uid), int(owner.Gid))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func makeDir(name string, mode fs.FileMode, uid, gid int) error {
	if err := os.MkdirAll(name, 0o755); err != nil {
		return err
	}
	if err := os.Chown(name, uid, gid); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// Run runs Exim with the given arguments, as "-bt" and an address, and returns
// its exit status and what it printed.
func (x *Exim) Run(ctx context.Context, args ...string) (status int, out string, err error) {
	return x.run(ctx, files.Debian.EximProgram, args...)
}

func (x *Exim) run(ctx context.Context, program string, args ...string) (int, string, error) {
	out, err := os.CreateTemp("", "lab-exim")
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// A file, not a pipe: Exim leaves deliveries behind that would keep a pipe open.
	cmd.Stdout, cmd.Stderr = out, out
	if err := x.space.start(cmd); err != nil {
		return 0, "", fmt.Errorf("run %s: %w", program, err)
	}
	err = cmd.Wait()
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		return 0, "", readErr
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), string(text), nil
	}
	if err != nil {
		return 0, string(text), fmt.Errorf("run %s %q: %w", program, args, err)
	}
	return 0, string(text), nil
}

// Close stops Exim and Dovecot and everything they started. Closing again does
// nothing.
func (x *Exim) Close() error {
	err := x.Stop()
	if x.Dovecot != nil {
		err = errors.Join(err, x.Dovecot.close())
	}
	x.space.close()
	if closeErr := x.lock.Close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// Exec runs a program of the system's where Exim's configuration is, and returns its
// exit status and what it printed.
func (x *Exim) Exec(ctx context.Context, program string, args ...string) (status int, out string, err error) {
	return x.run(ctx, program, args...)
}
