package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Queued is a letter that waits.
type Queued struct {
	ID     string
	From   string // envelope sender; empty for a bounce
	Frozen bool
	To     []string // those it still has to go to
}

var (
	queuedHead = regexp.MustCompile(`^ *\d+[smhdw] +\S+ (\S{16,23}) <(.*)>( \*\*\* frozen \*\*\*)?`)
	queuedTo   = regexp.MustCompile(`^ {8} ?([D ]) (\S+)$`)
)

// Queue is what waits for delivery: exim -bp.
func (x *Exim) Queue(ctx context.Context) ([]Queued, error) {
	status, out, err := x.Run(ctx, "-bp")
	if err != nil {
		return nil, err
	}
	if status != 0 {
		return nil, fmt.Errorf("list the queue: status %d: %s", status, out)
	}
	var q []Queued
	for line := range strings.SplitSeq(out, "\n") {
		if m := queuedHead.FindStringSubmatch(line); m != nil {
			q = append(q, Queued{ID: m[1], From: m[2], Frozen: m[3] != ""})
			continue
		}
		if m := queuedTo.FindStringSubmatch(line); m != nil && len(q) > 0 {
			if m[1] == " " {
				q[len(q)-1].To = append(q[len(q)-1].To, m[2])
			}
			continue
		}
		if strings.TrimSpace(line) != "" {
			return nil, fmt.Errorf("list the queue: line not understood: %q", line)
		}
	}
	return q, nil
}

// RunQueue tries every queued letter now, also those whose time has not come,
// and returns when all were tried. It rests first, for Exim passes over a letter
// that is being handled.
func (x *Exim) RunQueue(ctx context.Context) error {
	if err := x.Rest(ctx); err != nil {
		return fmt.Errorf("run the queue: %w", err)
	}
	status, out, err := x.Run(ctx, "-qff")
	if err == nil && status != 0 {
		err = fmt.Errorf("status %d: %s", status, out)
	}
	if err != nil {
		return fmt.Errorf("run the queue: %w", err)
	}
	return nil
}

// Rest returns when no letter is being handled.
func (x *Exim) Rest(ctx context.Context) error {
	for {
		busy, err := x.handling()
		if err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the queue is at rest: %w", ctx.Err())
		case <-time.After(glance):
		}
	}
}

// handling says whether some process of Exim's is at work on a letter: it then
// holds a lock on the letter's data file.
func (x *Exim) handling() (bool, error) {
	names, err := filepath.Glob(filepath.Join(x.opts.Dir, "spool", "input", "*", "*-D"))
	if err != nil {
		return false, err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // delivered meanwhile
		}
		if err != nil {
			return false, err
		}
		lock := syscall.Flock_t{Type: syscall.F_WRLCK, Len: 1}
		err = errors.Join(syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock), f.Close())
		if err != nil || lock.Type != syscall.F_UNLCK {
			return err == nil, err
		}
	}
	return false, nil
}

// Log is Exim's main log so far; empty before the first line.
func (x *Exim) Log() (string, error) { return x.log("mainlog") }

// PanicLog is where Exim writes that something is wrong with its configuration
// or files; empty when all is well.
func (x *Exim) PanicLog() (string, error) { return x.log("paniclog") }

// RejectLog is where Exim writes whom it refused.
func (x *Exim) RejectLog() (string, error) { return x.log("rejectlog") }

func (x *Exim) log(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(x.opts.Root, logDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read Exim's log: %w", err)
	}
	return string(b), nil
}

// WaitLog returns the first line of the main log that contains what, as soon as
// there is one.
func (x *Exim) WaitLog(ctx context.Context, what string) (string, error) {
	for {
		log, err := x.Log()
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, what) && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(line), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %q in Exim's log: %w; it says:\n%s", what, ctx.Err(), log)
		case <-time.After(glance):
		}
	}
}
