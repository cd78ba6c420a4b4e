package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"maildomain/module/mail"
)

// ErrNoLog is the error of a server whose Exim does not log to a file that can be
// found: by syslog, or to one whose name changes every day.
var ErrNoLog = errors.New("exim does not log to a file that can be read")

// Bounds of reading the log.
const (
	logHead   = 1 << 10   // bytes that a file is known by
	logLine   = 64 << 10  // a longer line is none of Exim's, and is passed over
	logPart   = 512 << 10 // bytes between two commits: as long as they take, other changes wait
	logRound  = 256 << 20 // bytes of one call
	logPacked = time.Hour // after that nobody compresses it any more
)

// LogSettles is how long after a file was moved away nobody writes to it any more: Exim
// looks whether its log is still the same, and then writes.
const LogSettles = 2 * time.Second

// ReadLog reads Exim's main log on from a place, whole lines only. Each line goes to
// line, and after each part commit gets the place that was reached, so that what was
// read counts once; what came after the last commit counts as not read. A file that was
// moved away meanwhile (by renaming, by copying and truncating; compressed since) is
// read to its end before the next is begun, which is when nobody has touched it for
// settles. At most 256 MiB are read at one go. Lost
// says that lines were missed: the file was not there any more, or cut off.
func (t *Tree) ReadLog(ctx context.Context, from mail.LogPlace, settles time.Duration, line func([]byte), commit func(mail.LogPlace) error) (lost bool, err error) {
	name, err := t.eximLog()
	if err != nil {
		return false, err
	}
	r := reading{tree: t, name: name, at: from, stored: from, settles: settles, left: logRound, line: line, commit: commit}
	for more := true; more && r.left > 0; {
		if err := ctx.Err(); err != nil {
			return r.lost, err
		}
		more, err = r.file(ctx)
		if errors.Is(err, errTruncated) {
			return r.lost, nil // the next call finds what it is now
		}
		if err != nil {
			return r.lost, fmt.Errorf("read Exim's log: %w", err)
		}
	}
	return r.lost, nil
}

// A reading goes through the files of the log.
type reading struct {
	tree       *Tree
	name       string
	at, stored mail.LogPlace // behind the last whole line; as it was committed last
	settles    time.Duration
	left       int64 // bytes that may be read yet
	lost       bool
	line       func([]byte)
	commit     func(mail.LogPlace) error
}

// store commits the place where it is another.
func (r *reading) store() error {
	if r.at == r.stored {
		return nil
	}
	r.stored = r.at
	return r.commit(r.at)
}

// file reads the file that the place is in to its end, and goes to the beginning of the
// next where there is one. More: there may be something to read at once.
func (r *reading) file(ctx context.Context) (more bool, err error) {
	f, newer, err := r.tree.findLog(r.name, r.at)
	if errors.Is(err, errNotFound) {
		if f, err = r.tree.openLog(r.name); errors.Is(err, fs.ErrNotExist) {
			return false, nil // nothing was logged yet, or nothing since
		}
		r.lost = r.lost || r.at.Bytes > 0
		r.at = mail.LogPlace{}
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	settled := f.restedFor(r.settles) // before it is read
	if err := f.mark(&r.at); err != nil {
		return false, err
	}
	end := true
	switch err := f.skip(ctx, r.at.Bytes); {
	case err == nil:
		end, err = r.lines(ctx, f)
		if errors.Is(err, errBroken) && f.brokenForGood() {
			end, r.lost, err = true, true, nil
		}
		if err != nil {
			return false, err
		}
	case ctx.Err() == nil && f.brokenForGood():
		r.lost = true
	case !errors.Is(err, io.EOF):
		return false, err
	case len(newer) == 0 && f.packed == "": // the last one has less than was read
		r.at.Bytes, r.lost = f.size, true
	}
	if err := r.store(); err != nil || !end || len(newer) == 0 || !settled {
		return !end, err
	}
	return r.next()
}

// next goes to the beginning of the file after the one that the place is in, if there is
// one. Logs may be moved on at any time, so it looks whether what it opened is the next
// still.
func (r *reading) next() (found bool, err error) {
	n, err := r.following()
	if n == nil || err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	again, err := r.following()
	if again == nil || err != nil {
		return false, err
	}
	if err := again.close(); err != nil {
		return false, err
	}
	if n.device == again.device && n.inode == again.inode {
		r.at = mail.LogPlace{}
		if err := n.mark(&r.at); err != nil {
			return false, err
		}
	}
	return true, r.store()
}

// following is the file after the one that the place is in; nil where there is none.
func (r *reading) following() (*logFile, error) {
	f, newer, err := r.tree.findLog(r.name, r.at)
	if err != nil {
		return nil, err
	}
	if err := f.close(); err != nil {
		return nil, err
	}
	return r.tree.nextLog(newer, r.settles)
}

// Errors of reading lines.
var (
	errTruncated = errors.New("the file was truncated meanwhile")
	errBroken    = errors.New("the file cannot be read further")
)

// lines reads on to the end of the file, or until all is read that may be.
func (r *reading) lines(ctx context.Context, f *logFile) (end bool, err error) {
	in := bufio.NewReaderSize(f.text, logLine)
	part, pending, whole := int64(0), int64(0), true
	done := func() error {
		if is, err := f.still(r.at); err != nil {
			return err
		} else if !is {
			return errTruncated
		}
		r.left -= part
		part = 0
		return errors.Join(f.mark(&r.at), r.store())
	}
	for {
		b, err := in.ReadSlice('\n')
		pending += int64(len(b))
		switch {
		case err == nil:
			if whole {
				r.line(b[:len(b)-1])
			}
			r.at.Bytes += pending
			part += pending
			pending, whole = 0, true
		case errors.Is(err, bufio.ErrBufferFull):
			whole = false
			if err := ctx.Err(); err != nil {
				return false, err
			}
			continue
		case errors.Is(err, io.EOF):
			return true, done() // half a line waits for the rest of it
		default:
			if err := done(); err != nil {
				return false, err
			}
			return false, fmt.Errorf("%w: %w", errBroken, err)
		}
		if part >= logPart {
			if err := errors.Join(ctx.Err(), done()); err != nil || r.left <= 0 {
				return false, err
			}
		}
	}
}
