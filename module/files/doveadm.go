package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"syscall"
	"time"
)

// Dovecot makes its sockets anew when it reloads, and cuts off who is connected to
// the old ones. Before it is taken for one that does not run it is tried for a while.
const (
	comesBack  = 3 * time.Second
	doveadmTry = 20 * time.Millisecond
)

// errNoDoveadm is the error of a Dovecot that does not run.
var errNoDoveadm = errors.New("dovecot does not run")

// doveadm has Dovecot carry commands out, over its own socket, which is root's. What
// was cut off is said again: each command is to bear that.
func (t *Tree) doveadm(ctx context.Context, commands []string) error {
	since := time.Now()
	for {
		err := t.tryDoveadm(ctx, commands)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), err)
		case errors.Is(err, errNoDoveadm) && (!t.dovecotStarted() || time.Since(since) > comesBack):
			return errNoDoveadm
		case !errors.Is(err, errNoDoveadm) && (!cutOff(err) || time.Since(since) > comesBack):
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(doveadmTry):
		}
	}
}

func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// dovecotStarted says that Dovecot was started and not stopped in an orderly way.
func (t *Tree) dovecotStarted() bool {
	_, err := t.root.Lstat(path.Join(t.layout.DovecotRun, "master.pid"))
	return err == nil
}

func (t *Tree) tryDoveadm(ctx context.Context, commands []string) error {
	c, err := t.dialDoveadm(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNoDoveadm
	case err != nil:
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	answers := bufio.NewReader(c)
	if _, err := fmt.Fprint(c, "VERSION\tdoveadm-server\t1\t2\n"); err != nil {
		return err
	}
	if err := answered(answers); err != nil { // it greets with its version and a plus
		return err
	}
	for _, command := range commands {
		if _, err := fmt.Fprintf(c, "\t\t%s\n", command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if err := answered(answers); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

// dialDoveadm goes by the directory's descriptor: a socket's path has at most 107
// bytes, and a root may have more.
func (t *Tree) dialDoveadm(ctx context.Context) (net.Conn, error) {
	dir, err := t.root.Open(t.layout.DovecotRun)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/doveadm-server", dir.Fd()))
}

// answered reads the answer to one command: lines of output, and then + or -REASON.
// That nobody was there to do it to is no error.
func answered(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line[strings.LastIndexByte(line, 0)+1:], "\n")
		switch {
		case line == "+", line == "-NOTFOUND":
			return nil
		case strings.HasPrefix(line, "-"):
			return fmt.Errorf("dovecot answers %q", line)
		}
	}
}
