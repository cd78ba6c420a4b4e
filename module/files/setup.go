package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"syscall"
)

// A Report says what Setup found and did.
type Report struct {
	Done  []string    // one entry for each thing made or put right; empty when all was right
	Confs []FoundConf // the main configuration files, Exim's and Dovecot's
	Lacks []string    // users that the layout names and this system does not have
}

// A FoundConf is a main configuration file as Setup found it.
type FoundConf struct {
	Path  string // below the root
	State ConfState
	Diff  string // from it to what Setup would have written; empty unless it stayed as it was though different
}

// Others is what becomes of a main configuration file that is not ours, or that
// somebody has changed.
type Others int

// What can become of it.
const (
	KeepOthers    Others = iota // it stays, and the report has the difference
	ReplaceOthers               // ours is written; it goes beside, see Beside
)

// Setup makes the directories of l below root and writes the main configuration
// files of Exim and Dovecot where none stands or where an unedited one of its own
// does; others says what becomes of any other. Owners are set when running as
// root, groups where they exist on this system. Repeating Setup is harmless.
func Setup(ctx context.Context, root *os.Root, l Layout, others Others) (Report, error) {
	var r Report
	own := owners(l)
	if _, err := user.Lookup(l.MailUser); err != nil {
		r.Lacks = append(r.Lacks, l.MailUser)
	}
	if err := closeGate(root, l); err != nil {
		return r, err
	}
	for _, d := range directories(l) {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		done, err := ensureDir(root, d, own[d.group])
		if err != nil {
			return r, fmt.Errorf("set up %s: %w", d.path, err)
		}
		if done != "" {
			r.Done = append(r.Done, "/"+d.path+": "+done)
		}
	}
	for _, c := range mainConfs(l) {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		found, done, err := c.ensure(root, l, own[c.group], others)
		if err != nil {
			return r, fmt.Errorf("set up %s: %w", c.path, err)
		}
		r.Confs = append(r.Confs, found)
		if done != "" {
			r.Done = append(r.Done, "/"+c.path+": "+done)
		}
	}
	return r, nil
}

// closeGate takes the ready marker away where the directory of settings is
// missing. Exim defers without that directory, and refuses every mail domain
// once it is there and empty; reconcile fills it and puts the marker back.
func closeGate(root *os.Root, l Layout) error {
	if _, err := root.Lstat(l.Domains()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Remove(l.Ready()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take the ready marker away: %w", err)
	}
	return nil
}

// A directory of the layout. The distribution's own ones are made where they
// are missing and otherwise left alone.
type directory struct {
	path   string
	mode   fs.FileMode
	group  string // empty: root's
	theirs bool
}

func directories(l Layout) []directory {
	return []directory{
		{path: l.Exim, mode: 0o755, theirs: true},
		{path: l.Domains(), mode: 0o750, group: l.EximGroup},
		{path: l.Mailboxes(), mode: 0o750, group: l.EximGroup},
		{path: l.SSL(), mode: 0o750, group: l.EximGroup},
		{path: l.Lists(), mode: 0o750, group: l.EximGroup},
		{path: l.Hooks(), mode: 0o750, group: l.EximGroup},
		{path: l.Dovecot, mode: 0o755, theirs: true},
		{path: l.Users(), mode: 0o750, group: l.DovecotGroup},
		{path: l.Certs(), mode: 0o755},
		{path: l.DovecotHooks(), mode: 0o755},
		// Dovecot goes through it, and makes nothing in it: what was deleted cannot come back.
		{path: l.Mail, mode: 0o751, group: l.MailUser},
		{path: l.Trash(), mode: 0o700},
		{path: l.State, mode: 0o700},
	}
}

// An owner is who a file is to belong to; the zero owner leaves that open.
type owner struct {
	set      bool
	uid, gid int
}

// owners are the owners by group name, as far as this process may set them.
func owners(l Layout) map[string]owner {
	own := map[string]owner{}
	if os.Geteuid() != 0 {
		return own
	}
	own[""] = owner{set: true}
	for _, name := range []string{l.EximGroup, l.DovecotGroup, l.MailUser} {
		own[name] = owner{set: true}
		if g, err := user.LookupGroup(name); err == nil {
			if gid, err := strconv.Atoi(g.Gid); err == nil {
				own[name] = owner{set: true, gid: gid}
			}
		}
	}
	boxes := own[l.MailUser]
	if u, err := user.Lookup(l.MailUser); err == nil {
		if uid, err := strconv.Atoi(u.Uid); err == nil {
			boxes.uid = uid
		}
	}
	own[mailOwner] = boxes
	return own
}

// mailOwner is the key of the owner of mailboxes' directories, who is no group's root.
const mailOwner = "mailboxes"

func ensureDir(root *os.Root, d directory, own owner) (done string, err error) {
	info, err := root.Lstat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		done = "created"
		if err := root.MkdirAll(path.Dir(d.path), 0o755); err != nil {
			return "", err
		}
		if err := root.Mkdir(d.path, d.mode); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", errors.New("it is no directory")
	case d.theirs:
		return "", nil
	}
	f, err := root.OpenFile(d.path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	mended, err := own.give(f, d.mode)
	if mended && done == "" {
		done = "owner and mode put right"
	}
	return done, errors.Join(err, f.Close())
}

// give sets owner and mode of f where they differ: a file or directory comes
// into being with less than mode, if the umask says so, never with more.
func (o owner) give(f *os.File, mode fs.FileMode) (changed bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if o.set && !o.has(info) {
		if err := f.Chown(o.uid, o.gid); err != nil {
			return false, err
		}
		changed = true
	}
	if info.Mode().Perm() != mode {
		return true, f.Chmod(mode)
	}
	return changed, nil
}

func (o owner) has(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == o.uid && int(st.Gid) == o.gid
}
