package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"maildomain/module/mail"
)

// errNotFound is the error of a place whose file is not there any more.
var errNotFound = errors.New("the file that was read is not there any more")

// findLog is the file that a place is in, and the names of those that are newer, newest
// first.
func (t *Tree) findLog(name string, p mail.LogPlace) (_ *logFile, newer []string, err error) {
	if p == (mail.LogPlace{}) {
		return nil, nil, errNotFound
	}
	var before []string
	for {
		names, err := t.logNames(name)
		if err != nil {
			return nil, nil, err
		}
		for i, n := range names {
			f, err := t.openKnown(n, p)
			if err != nil {
				return nil, nil, fmt.Errorf("look into %s: %w", n, err)
			}
			if f != nil {
				return f, names[:i], nil
			}
		}
		if slices.Equal(names, before) { // nothing was moved while it was looked for
			return nil, nil, errNotFound
		}
		before = names
	}
}

// nextLog opens the oldest of some files that has anything in it; nil where none has,
// or one that is empty may not stay so. What is empty cannot be known again.
func (t *Tree) nextLog(newer []string, settles time.Duration) (*logFile, error) {
	for _, n := range slices.Backward(newer) {
		f, err := t.openLog(n)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // moved meanwhile
		}
		if err != nil {
			return nil, err
		}
		b, err := f.head(1)
		if len(b) > 0 && err == nil {
			return f, nil
		}
		if f.brokenForGood() {
			err = nil
		}
		if err := errors.Join(err, f.close()); err != nil {
			return nil, fmt.Errorf("look into %s: %w", n, err)
		}
		if !f.restedFor(settles) {
			return nil, nil
		}
	}
	return nil, nil
}

// openKnown opens a file of the log if it is the one that a place is in, else it is nil.
func (t *Tree) openKnown(name string, p mail.LogPlace) (*logFile, error) {
	f, err := t.openLog(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // moved meanwhile
	}
	if err != nil {
		return nil, err
	}
	is, err := f.known(p)
	if err != nil && f.brokenForGood() {
		is, err = false, nil
	}
	if is && err == nil {
		return f, nil
	}
	return nil, errors.Join(err, f.close())
}

// mostLogs bounds the files in the directory of the log that are looked at.
const mostLogs = 10_000

// logNames are the files of the log that there are, newest first: itself, and what was
// moved away, as "mainlog.1" or "mainlog-20261123", compressed or not.
func (t *Tree) logNames(name string) (names []string, err error) {
	dir, base := path.Split(name)
	d, err := t.root.Open(path.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := d.Readdirnames(mostLogs)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	slices.Sort(all) // what is not compressed comes before what is
	var moved []movedLog
	for _, n := range all {
		m, ok := parseMoved(base, n)
		if ok && !slices.ContainsFunc(moved, func(o movedLog) bool { return o.compare(m) == 0 }) {
			moved = append(moved, m)
		}
	}
	slices.SortFunc(moved, movedLog.compare)
	if slices.Contains(all, base) {
		names = append(names, name)
	}
	for _, m := range moved {
		names = append(names, dir+m.name)
	}
	return names, nil
}

// A movedLog is a log that was moved away: a number grows with its age, a date falls.
type movedLog struct{ name, number, date string }

// compare orders from the newest to the oldest; dates come last.
func (m movedLog) compare(o movedLog) int {
	if m.date != "" || o.date != "" {
		if m.date == "" || o.date == "" {
			return strings.Compare(m.date, o.date)
		}
		return strings.Compare(o.date, m.date)
	}
	return cmp.Or(cmp.Compare(len(m.number), len(o.number)), strings.Compare(m.number, o.number))
}

// parseMoved reads the name that logrotate(8) gives a log.
func parseMoved(base, name string) (movedLog, bool) {
	m := movedLog{name: name}
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		return m, false
	}
	for _, p := range packings {
		rest = strings.TrimSuffix(rest, p)
	}
	if n, is := strings.CutPrefix(rest, "."); is && n != "" && strings.Trim(n, "0123456789") == "" {
		m.number = strings.TrimLeft(n, "0")
		return m, true
	}
	if d, is := strings.CutPrefix(rest, "-"); is && len(d) >= len("20261123") && strings.Trim(d, "0123456789-") == "" {
		m.date = d
		return m, true
	}
	return m, false
}
