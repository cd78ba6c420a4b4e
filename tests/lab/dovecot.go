package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Dovecot is a real Dovecot beside Exim, in the same mount namespace. Exim's Serve
// starts it and Close ends it; a test that wants it gone stops it in between. Its
// methods may be called by several goroutines.
type Dovecot struct {
	exim *Exim

	mu      sync.Mutex
	daemon  *daemon // nil: not running
	madeRun []string
}

// What the lab lays over the machine's own.
const (
	runDir   = "/run/dovecot"
	stateDir = "/var/lib/dovecot"
	program  = "/usr/sbin/dovecot"
)

func (d *Dovecot) dir(name string) string {
	return filepath.Join(d.exim.opts.Dir, "dovecot", name)
}

// sockets is where Dovecot's sockets are for who is outside of the namespace: below
// the root, as everything else that the module knows of.
func (d *Dovecot) sockets() string { return filepath.Join(d.exim.opts.Root, runDir) }

// Serve starts Dovecot and returns when it accepts connections.
func (d *Dovecot) Serve(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.daemon != nil {
		return errors.New("dovecot is running already")
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := d.writeHooks(); err != nil {
		return err
	}
	// A Dovecot that was killed leaves these.
	old, err := filepath.Glob(filepath.Join(d.sockets(), "*"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	daemon, err := startDaemon(d.exim.space, d.dir("out"), program, "-F")
	if err != nil {
		return err
	}
	if err := d.waitStarted(ctx, daemon); err != nil {
		daemon.stop()
		return err
	}
	d.daemon = daemon
	return nil
}

// waitStarted waits for the first greeting.
func (d *Dovecot) waitStarted(ctx context.Context, running *daemon) error {
	for {
		if greets(ctx, d.exim.services.IMAP) {
			return nil
		}
		select {
		case <-running.exited:
			return d.whyNot()
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for Dovecot to start: %w", ctx.Err()), d.whyNot())
		case <-time.After(glance):
		}
	}
}

func greets(ctx context.Context, addr string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 4)
	_, err = conn.Read(buf)
	return err == nil && string(buf) == "* OK"
}

func (d *Dovecot) whyNot() error {
	out, err := os.ReadFile(d.dir("out"))
	if err != nil {
		return err
	}
	log, err := d.Log()
	if err != nil {
		return err
	}
	if strings.Contains(string(out)+log, "Address already in use") {
		return fmt.Errorf("start Dovecot: %w: %s", errInUse, strings.TrimSpace(string(out)))
	}
	return fmt.Errorf("start Dovecot: %s", strings.TrimSpace(string(out)+log))
}

func (d *Dovecot) running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.daemon != nil
}

// Stop ends Dovecot and every process it started, at once. Stopping again does
// nothing.
func (d *Dovecot) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.daemon != nil {
		d.daemon.stop()
		d.daemon = nil
	}
}

// Exited is closed when Dovecot has ended; nil while none runs.
func (d *Dovecot) Exited() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.daemon == nil {
		return nil
	}
	return d.daemon.exited
}

func (d *Dovecot) close() error {
	d.Stop()
	if len(d.madeRun) == 0 {
		return nil
	}
	err := os.RemoveAll(d.sockets())
	for _, dir := range d.madeRun {
		if rm := os.Remove(dir); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	d.madeRun = nil
	return err
}

// Run runs a program of Dovecot's, as "doveadm" or "doveconf", and returns its exit
// status and what it printed.
func (d *Dovecot) Run(ctx context.Context, program string, args ...string) (status int, out string, err error) {
	return d.exim.run(ctx, "/usr/bin/"+program, args...)
}

// Dial connects to one of Dovecot's sockets, as "lmtp" or "doveadm-server".
func (d *Dovecot) Dial(ctx context.Context, name string) (net.Conn, error) {
	dir, err := os.Open(d.sockets())
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	var dialer net.Dialer
	// A socket's path has at most 107 bytes; a test's directory may have more.
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name))
}

// Log is Dovecot's log so far; empty before the first line.
func (d *Dovecot) Log() (string, error) {
	b, err := os.ReadFile(d.dir("log/dovecot.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read Dovecot's log: %w", err)
	}
	return string(b), nil
}

// Faults are the lines of the log that tell of something wrong with its
// configuration or files; none when all is well.
func (d *Dovecot) Faults() ([]string, error) {
	log, err := d.Log()
	if err != nil {
		return nil, err
	}
	var faults []string
	for line := range strings.Lines(log) {
		for _, word := range []string{" Error: ", " Fatal: ", " Panic: "} {
			if strings.Contains(line, word) {
				faults = append(faults, strings.TrimSpace(line))
			}
		}
	}
	return faults, nil
}
