package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"maildomain/module/files"
)

// A daemon is a running server and all it started, in a process namespace of its
// own: when the first process there is killed, the kernel kills the others.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when all its processes are gone
}

// The first process is a shell that only waits. Exim cannot be it: it changes
// its user, and with that the kernel forgets to kill it when we die.
const firstProcess = `"$@" & wait $!`

const (
	startLimit = 20 * time.Second
	glance     = 3 * time.Millisecond // between two looks at a log
	ports      = 10                   // that are tried before giving up
)

var errInUse = errors.New("address already in use")

// startDaemon starts a server that stays in the foreground, and writes what it
// prints to the file out.
func startDaemon(s *space, out, program string, args ...string) (*daemon, error) {
	f, err := os.Create(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command("/bin/sh", append([]string{"-c", firstProcess, "sh", program}, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Setsid: true}
	if err := s.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	d := &daemon{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed, or told of in its output
		close(d.exited)
	}()
	return d, nil
}

// Serve starts the daemon, and Dovecot unless it runs already, and returns when
// they accept connections.
func (x *Exim) Serve(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.daemon != nil {
		return errors.New("the daemon is running already")
	}
	for try := 1; ; try++ {
		err := x.serve(ctx)
		if err == nil && x.Dovecot != nil && !x.Dovecot.running() {
			if err = x.Dovecot.Serve(ctx); err != nil {
				x.daemon.stop()
				x.daemon = nil
			}
		}
		if !errors.Is(err, errInUse) || x.opts.Listen != "" || try == ports {
			return err
		}
		// Somebody took a port between our look and the servers'.
		if err := errors.Join(x.pickAddresses(), x.writeHooks(filepath.Join(x.opts.Dir, "hooks"))); err != nil {
			return err
		}
	}
}

func (x *Exim) serve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	before, err := x.Log()
	if err != nil {
		return err
	}
	args := []string{"-bdf"}
	if x.opts.Every != "" {
		args = append(args, "-q"+x.opts.Every)
	}
	d, err := startDaemon(x.space, filepath.Join(x.opts.Dir, "exim.out"), files.Debian.EximProgram, args...)
	if err != nil {
		return err
	}
	if err := x.waitStarted(ctx, d, len(before)); err != nil {
		d.stop()
		return err
	}
	x.daemon = d
	return nil
}

// waitStarted waits for what Exim logs once it listens.
func (x *Exim) waitStarted(ctx context.Context, d *daemon, from int) error {
	for {
		log, err := x.Log()
		if err != nil {
			return err
		}
		if strings.Contains(log[min(from, len(log)):], " daemon started: ") {
			return nil
		}
		select {
		case <-d.exited:
			return x.whyNot()
		case <-ctx.Done():
			return fmt.Errorf("wait for Exim to start: %w", ctx.Err())
		case <-time.After(glance):
		}
	}
}

// whyNot is what an Exim that would not start left behind.
func (x *Exim) whyNot() error {
	out, err := os.ReadFile(filepath.Join(x.opts.Dir, "exim.out"))
	if err != nil {
		return err
	}
	panics, err := x.PanicLog()
	if err != nil {
		return err
	}
	if strings.Contains(string(out)+panics, "Address already in use") {
		return fmt.Errorf("start Exim on %s: %w", x.listen, errInUse)
	}
	return fmt.Errorf("start Exim: it ended at once: %s", strings.TrimSpace(string(out)+panics))
}

// Stop ends Exim's daemon and every process it started, and returns when they are
// gone. What they had accepted stays in the queue; Dovecot goes on. Stopping again
// does nothing.
func (x *Exim) Stop() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.daemon != nil {
		x.daemon.stop()
		x.daemon = nil
	}
	return nil
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Kill() // an error means that it is gone
	<-d.exited
}

// Exited is closed when the daemon has ended; nil while none runs.
func (x *Exim) Exited() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.daemon == nil {
		return nil
	}
	return x.daemon.exited
}

// Addr is the host:port where the daemon listens.
func (x *Exim) Addr() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.listen.String()
}
