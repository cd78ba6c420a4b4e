package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// kickLimit is how long Dovecot may take to end sessions.
const kickLimit = 5 * time.Second

// EndSessions has Dovecot end the sessions of logins: "box@domain", or "*@domain"
// for all of a domain. A Dovecot that does not run has none. It speaks the doveadm
// protocol over Dovecot's own socket, which is root's.
func (t *Tree) EndSessions(ctx context.Context, logins []string) error {
	ctx, cancel := context.WithTimeout(ctx, kickLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join(t.dir, t.layout.DovecotRun, "doveadm-server"))
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err != nil:
		return fmt.Errorf("end sessions: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := fmt.Fprint(c, "VERSION\tdoveadm-server\t1\t2\n"); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	answers := bufio.NewReader(c)
	if err := kicked(answers); err != nil { // it greets with its version and a plus
		return fmt.Errorf("end sessions: %w", err)
	}
	for _, login := range logins {
		if _, err := fmt.Fprintf(c, "\t\tkick\t%s\n", login); err != nil {
			return fmt.Errorf("end sessions of %s: %w", login, err)
		}
		if err := kicked(answers); err != nil {
			return fmt.Errorf("end sessions of %s: %w", login, err)
		}
	}
	return nil
}

// kicked reads the answer to one command: lines of output, and then + or -REASON.
func kicked(r *bufio.Reader) error {
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
