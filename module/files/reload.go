package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"maildomain/module/mail"
)

// doveconf reads Dovecot's configuration as Dovecot does.
const doveconf = "/usr/bin/doveconf"

// checkLimit is what doveconf may take: with 1,500 certificates it takes two seconds.
const checkLimit = 30 * time.Second

// ErrNoDovecot is the error of a host that has no Dovecot.
var ErrNoDovecot = errors.New("dovecot is not installed")

// CheckDovecot finds out whether Dovecot would come up with the configuration file
// conf, an absolute path: it reads it, and every file that it names. A reload with a
// certificate that is missing is answered with success and stops all log-ins, and
// so does a start; only this look sees it.
func (t *Tree) CheckDovecot(ctx context.Context, conf string) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	// -x reads the files that are named, -n leaves out what nobody set.
	cmd := exec.CommandContext(ctx, doveconf, "-c", conf, "-n", "-x")
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout = io.Discard // holds private keys
	said := &bounded{most: 4096}
	cmd.Stderr = said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("check dovecot's configuration: %w", context.Cause(ctx))
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("check dovecot's configuration: %w", ErrNoDovecot)
	}
	return &mail.Error{Kind: mail.Unavailable, Field: "dovecot", Text: "unavailable_dovecot",
		Cause: fmt.Errorf("check dovecot's configuration: %w: %s", err, strings.TrimSpace(said.String()))}
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// reloadLimit is how long Dovecot may take to take a reload in: it reads its
// configuration before it answers.
const reloadLimit = 30 * time.Second

// ReloadDovecot has Dovecot read its configuration anew; CheckDovecot goes before.
// Sessions go on. A Dovecot that does not run needs none. It speaks the doveadm
// protocol over Dovecot's own socket, which is root's.
func (t *Tree) ReloadDovecot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	c, err := t.dialDoveadm(ctx)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err != nil:
		return fmt.Errorf("reload dovecot: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	answers := bufio.NewReader(c)
	if _, err := fmt.Fprint(c, "VERSION\tdoveadm-server\t1\t2\n"); err != nil {
		return fmt.Errorf("reload dovecot: %w", err)
	}
	if err := kicked(answers); err != nil { // it greets with its version and a plus
		return fmt.Errorf("reload dovecot: %w", err)
	}
	if _, err := fmt.Fprint(c, "\t\treload\n"); err != nil {
		return fmt.Errorf("reload dovecot: %w", err)
	}
	// The reload ends the process that would answer: a connection that closes says yes too.
	if err := kicked(answers); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("reload dovecot: %w", err)
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
