package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"maildomain/module/mail"
)

// The mail of a domain lies in a directory that only root writes in, each mailbox
// in one of Dovecot's user below it: Dovecot fills a mailbox, and can neither make
// one nor bring one back that was deleted.
const (
	domainMode = 0o710
	boxMode    = 0o700
)

// MakeBox makes the directory of a mailbox, empty. What an earlier mailbox of that
// name left there goes to the trash, where nothing brings it back by itself.
func (t *Tree) MakeBox(a mail.Address) error {
	if err := t.makeBox(a); err != nil {
		return explain(fmt.Errorf("make the directory of %s: %w", a, err))
	}
	return nil
}

func (t *Tree) makeBox(a mail.Address) error {
	box := t.layout.BoxPath(a)
	if empty, err := t.isEmpty(box); err == nil && !empty {
		left := path.Join(t.layout.Trash(), "left."+t.run+"."+strconv.FormatUint(t.staged.Add(1), 10))
		if err := t.root.Rename(box, left); err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.KeepBox(a)
}

// isEmpty says that nothing lies in a directory.
func (t *Tree) isEmpty(p string) (bool, error) {
	d, err := t.openDir(p)
	if err != nil {
		return false, err
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// openDir opens a directory, and follows no link in its place.
func (t *Tree) openDir(p string) (*os.File, error) {
	return t.root.OpenFile(p, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
}

// KeepBox makes the directory of a mailbox where it is missing, and puts its owner
// and mode right. What lies in it stays.
func (t *Tree) KeepBox(a mail.Address) error {
	for _, d := range []struct {
		path string
		mode fs.FileMode
		own  owner
	}{
		{t.layout.MailPath(a.Domain), domainMode, t.own[t.layout.MailUser]},
		{t.layout.BoxPath(a), boxMode, t.own[mailOwner]},
	} {
		if err := t.root.Mkdir(d.path, d.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		f, err := t.openDir(d.path)
		if err != nil {
			return err
		}
		_, err = d.own.give(f, d.mode)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// BoxDrift says how the directory of a mailbox differs from what it is to be; false
// where it does not.
func (t *Tree) BoxDrift(a mail.Address) (Finding, bool, error) {
	f := Finding{Path: t.layout.BoxPath(a)}
	info, err := t.root.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Drift = FileMissing
	case err != nil:
		return f, false, fmt.Errorf("compare %s: %w", f.Path, err)
	case !info.IsDir():
		f.Drift = FileForeign
	case info.Mode().Perm() != boxMode, t.own[mailOwner].set && !t.own[mailOwner].has(info):
		f.Drift = FileOwner
	default:
		return f, false, nil
	}
	return f, true, nil
}

// DropBox removes the directory of a mailbox that did not come to be; one that
// holds anything stays.
func (t *Tree) DropBox(a mail.Address) {
	_ = t.root.Remove(t.layout.BoxPath(a)) // not empty: it is somebody's mail
	_ = t.root.Remove(t.layout.MailPath(a.Domain))
}

// trashed is where the mail of something deleted lies, by the number of its row.
func (t *Tree) trashed(id int64) string {
	return path.Join(t.layout.Trash(), strconv.FormatInt(id, 10))
}

// Lay puts the directory of a domain or a mailbox into the trash under a number.
// Repeating it is harmless, and so is a directory that is not there.
func (t *Tree) Lay(id int64, from string) error {
	return t.carry(from, t.trashed(id))
}

// Bring is Lay the other way round.
func (t *Tree) Bring(id int64, to string) error {
	if err := t.root.Mkdir(path.Dir(to), domainMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(fmt.Errorf("bring mail back to %s: %w", to, err))
	}
	// An empty directory in its place was made by reconcile, or is left of another.
	if empty, err := t.isEmpty(to); err == nil && empty {
		if err := t.root.Remove(to); err != nil {
			return explain(fmt.Errorf("bring mail back to %s: %w", to, err))
		}
	}
	return t.carry(t.trashed(id), to)
}

func (t *Tree) carry(from, to string) error {
	if _, err := t.root.Lstat(to); err == nil {
		return nil // it was carried before
	}
	if err := t.root.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(fmt.Errorf("move %s to %s: %w", from, to, err))
	}
	return nil
}

// Erase removes mail from the trash for good.
func (t *Tree) Erase(id int64) error {
	if err := t.root.RemoveAll(t.trashed(id)); err != nil {
		return fmt.Errorf("erase deleted mail: %w", err)
	}
	return nil
}

// Used is how many bytes a mailbox holds, as Dovecot counts them for its quota
// (Maildir++, the file maildirsize); false where it has not counted yet.
func (t *Tree) Used(a mail.Address) (int64, bool, error) {
	box, err := t.root.OpenRoot(t.layout.BoxPath(a))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer box.Close()
	// What lies in the box is its user's: no link is followed, and no pipe waited for.
	f, err := box.OpenFile("Maildir/maildirsize", os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, false, nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, false, err
	}
	return sumMaildirsize(io.LimitReader(f, 1<<20))
}

// sumMaildirsize adds up the lines after the first, "bytes messages" each, which
// may be negative.
func sumMaildirsize(r io.Reader) (sum int64, counted bool, err error) {
	lines := bufio.NewScanner(r)
	for first := true; lines.Scan(); first = false {
		if first {
			continue
		}
		size, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return 0, false, nil // torn: it is counted anew with the next letter
		}
		sum, counted = sum+n, true
	}
	return max(0, sum), counted, lines.Err()
}
