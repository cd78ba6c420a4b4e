package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"maildomain/module/files"
)

// A daemon is a running Exim and all it started, in a process namespace of its
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

// Serve starts the daemon and returns when it accepts connections.
func (x *Exim) Serve(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.daemon != nil {
		return errors.New("the daemon is running already")
	}
	for try := 1; ; try++ {
		err := x.serve(ctx)
		if !errors.Is(err, errInUse) || x.opts.Listen != "" || try == ports {
			return err
		}
		// Somebody took the port between our look and Exim's.
		if err := errors.Join(x.pickAddress(), x.writeHooks(filepath.Join(x.opts.Dir, "hooks"))); err != nil {
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
	out, err := os.Create(filepath.Join(x.opts.Dir, "exim.out"))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	args := []string{"-c", firstProcess, "sh", files.Debian.EximProgram, "-bdf"}
	if x.opts.Every != "" {
		args = append(args, "-q"+x.opts.Every)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Setsid: true}
	if err := x.space.start(cmd); err != nil {
		return fmt.Errorf("start Exim: %w", err)
	}
	d := &daemon{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed, or told of in its output
		close(d.exited)
	}()
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

// Stop ends the daemon and every process it started, and returns when they are
// gone. What they had accepted stays in the queue. Stopping again does nothing.
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

// pickAddress takes the address that the options name, or a free one.
func (x *Exim) pickAddress() error {
	if x.opts.Listen != "" {
		a, err := netip.ParseAddrPort(x.opts.Listen)
		if err != nil {
			return fmt.Errorf("read address to listen on: %w", err)
		}
		x.listen = a
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	x.listen = netip.MustParseAddrPort(l.Addr().String())
	return l.Close()
}
