package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
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

// DovecotConf is the configuration that Dovecot reads, as CheckDovecot takes it; empty
// where the tree is a part of the system, and the paths in it are another's.
func (t *Tree) DovecotConf() string {
	if t.dir != "/" {
		return ""
	}
	return "/" + path.Join(t.layout.Dovecot, "dovecot.conf")
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

// reloadLimit is how long Dovecot may take to be spoken to: with 1,500 certificates
// a reload that is under way takes it some seconds.
const reloadLimit = 30 * time.Second

// ReloadDovecot has Dovecot read its configuration anew; CheckDovecot goes before. It
// returns when Dovecot has begun; false where none runs, which needs none. Sessions go
// on; who logs in at that very moment may be sent away and has to try again, so
// reloads are to be few.
func (t *Tree) ReloadDovecot(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	switch err := t.doveadm(ctx, []string{"reload"}); {
	case err == nil:
		return true, nil
	case errors.Is(err, errNoDoveadm):
		return false, nil
	default:
		return false, fmt.Errorf("reload dovecot: %w", err)
	}
}
