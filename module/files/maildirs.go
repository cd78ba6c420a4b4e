package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

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
		if err := t.setAside(box); err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.KeepBox(a)
}

// leftPrefix begins the names of mail that nobody knows of, in the trash.
const leftPrefix = "left."

// setAside moves mail that nobody knows of to a name in the trash that no row has.
// EraseLeft removes it later.
func (t *Tree) setAside(p string) error {
	left := path.Join(t.layout.Trash(), leftPrefix+t.run+"."+strconv.FormatUint(t.staged.Add(1), 10))
	return t.root.Rename(p, left)
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

// openDir opens a directory, and follows no link in its place: os.Root would follow
// one that stays below the root.
func (t *Tree) openDir(p string) (*os.File, error) {
	above, err := t.openPlace(path.Dir(p))
	if err != nil {
		return nil, err
	}
	defer above.dir.Close()
	return above.openFile(path.Base(p), unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// KeepBox makes the directory of a mailbox where it is missing, and puts its owner
// and mode right. What lies in it stays.
func (t *Tree) KeepBox(a mail.Address) error {
	if err := t.keepMail(a.Domain); err != nil {
		return err
	}
	return t.keepDir(t.layout.BoxPath(a), boxMode, t.own[mailOwner])
}

// keepMail is KeepBox for the directory of all mailboxes of a domain.
func (t *Tree) keepMail(n mail.Name) error {
	return t.keepDir(t.layout.MailPath(n), domainMode, t.own[t.layout.MailUser])
}

func (t *Tree) keepDir(p string, mode fs.FileMode, o owner) error {
	if err := t.root.Mkdir(p, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(fmt.Errorf("make %s: %w", p, err))
	}
	f, err := t.openDir(p)
	if err != nil {
		return explain(fmt.Errorf("open %s: %w", p, err))
	}
	_, err = o.give(f, mode)
	if err := errors.Join(err, f.Close()); err != nil {
		return explain(fmt.Errorf("give %s to its owner: %w", p, err))
	}
	return nil
}

// BoxDrift says how the directory of a mailbox, or that of its domain, differs from
// what it is to be; false where neither does. What is no directory, such as a link that
// somebody put there, is foreign.
func (t *Tree) BoxDrift(a mail.Address) (Finding, bool) {
	f := Finding{Path: t.layout.BoxPath(a)}
	domain, err := t.root.Lstat(t.layout.MailPath(a.Domain))
	var box fs.FileInfo
	if err == nil {
		box, err = t.root.Lstat(f.Path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Drift = FileMissing
	case err != nil, !domain.IsDir(), !box.IsDir():
		f.Drift = FileForeign
	case !t.own[t.layout.MailUser].keeps(domain, domainMode), !t.own[mailOwner].keeps(box, boxMode):
		f.Drift = FileOwner
	default:
		return f, false
	}
	return f, true
}

// keeps says that a directory has this owner, where that is not open, and mode.
func (o owner) keeps(d fs.FileInfo, mode fs.FileMode) bool {
	return d.Mode().Perm() == mode && (!o.set || o.has(d))
}

// DropBox removes the directory of a mailbox that did not come to be; one that
// holds anything stays.
func (t *Tree) DropBox(a mail.Address) {
	t.dropDir(t.layout.BoxPath(a)) // not empty: it is somebody's mail
	t.dropDir(t.layout.MailPath(a.Domain))
}

// trashed is where the mail of something deleted lies, by the number of its row.
func (t *Tree) trashed(id int64) string {
	return path.Join(t.layout.Trash(), strconv.FormatInt(id, 10))
}

// FreeTrash makes sure that nothing lies in the trash under a number that was given
// just now: it would be mail of a database that is no longer this one.
func (t *Tree) FreeTrash(id int64) error {
	if err := t.setAside(t.trashed(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(fmt.Errorf("make room in the trash: %w", err))
	}
	return nil
}

// Lay puts the directory of a domain or a mailbox into the trash under a number.
// Repeating it is harmless, and so is a directory that is not there.
func (t *Tree) Lay(id int64, from string) error {
	to := t.trashed(id)
	if _, err := t.root.Lstat(to); err == nil {
		return nil // it was laid there before; what stands in its place is somebody else's
	}
	if err := t.root.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(fmt.Errorf("move %s to %s: %w", from, to, err))
	}
	return nil
}

// Bring is Lay the other way round. It says whether a directory stands in the place
// then. It never puts mail over other mail.
func (t *Tree) Bring(id int64, to string) (there bool, err error) {
	if there, err = t.bring(t.trashed(id), to); err != nil {
		err = explain(fmt.Errorf("bring mail back to %s: %w", to, err))
	}
	return there, err
}

func (t *Tree) bring(from, to string) (there bool, err error) {
	if _, err := t.root.Lstat(from); errors.Is(err, fs.ErrNotExist) { // it was brought before, or there was none
		info, err := t.root.Lstat(to)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && info.IsDir(), err
	}
	if domain := path.Dir(to); domain != t.layout.Mail {
		if err := t.keepMail(mail.StoredName(path.Base(domain))); err != nil {
			return false, err
		}
	} else if err := t.dropEmpty(to); err != nil {
		return false, err
	}
	t.dropDir(to)
	if err := t.root.Rename(from, to); err != nil {
		return false, err
	}
	return true, nil
}

// dropDir removes a directory; one that holds anything stays.
func (t *Tree) dropDir(p string) {
	if info, err := t.root.Lstat(p); err == nil && info.IsDir() {
		_ = t.root.Remove(p)
	}
}

// dropEmpty removes the empty directories of mailboxes below a domain's directory:
// reconcile made them while their mail was on its way back.
func (t *Tree) dropEmpty(p string) error {
	err := t.names(p, func(name string) error {
		t.dropDir(path.Join(p, name))
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Erase removes mail from the trash for good.
func (t *Tree) Erase(id int64) error {
	if err := t.root.RemoveAll(t.trashed(id)); err != nil {
		return fmt.Errorf("erase deleted mail: %w", err)
	}
	return nil
}

// Bounds of what a maildirsize says: Dovecot writes it anew when it passes 5 KB.
const (
	longestMaildirsize = 64 << 10
	mostUsed           = 1 << 50 // bytes
)

// Used is how many bytes a mailbox holds, as Dovecot counts them for its quota
// (Maildir++, the file maildirsize); false where that is not known. What lies in the
// box is its user's: no link is followed, no pipe waited for, and what is not as
// Dovecot writes it says nothing.
func (t *Tree) Used(a mail.Address) (int64, bool) {
	box, err := t.openDir(t.layout.BoxPath(a))
	if err != nil {
		return 0, false
	}
	defer box.Close()
	maildir, err := (&place{dir: box}).openFile("Maildir", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, false
	}
	defer maildir.Close()
	f, err := (&place{dir: maildir}).openFile("maildirsize", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Nlink != 1 { // it is another file too
		return 0, false
	}
	text, err := io.ReadAll(io.LimitReader(f, longestMaildirsize+1))
	if err != nil || len(text) > longestMaildirsize {
		return 0, false
	}
	return sumMaildirsize(string(text))
}

// sumMaildirsize adds up the lines after the first, "bytes messages" each, which
// may be negative; false where one is not like that, or torn.
func sumMaildirsize(text string) (sum int64, counted bool) {
	_, rest, _ := strings.Cut(text, "\n")
	for rest != "" {
		line, after, whole := strings.Cut(rest, "\n")
		fields := strings.Fields(line)
		if !whole || len(fields) != 2 {
			return 0, false
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || n > mostUsed || n < -mostUsed {
			return 0, false
		}
		sum, counted, rest = sum+n, true, after
	}
	if sum > mostUsed {
		return 0, false
	}
	return max(0, sum), counted
}
