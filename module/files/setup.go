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
	Done []string  // one entry for each thing made or put right; empty when all was right
	Conf ConfState // Exim's main configuration file as Setup found it
	Diff string    // from that file to what Setup would have written; empty unless it stayed as it was though different
}

// Setup makes the directories of l below root and writes Exim's main
// configuration file where none stands or where an unedited one of its own
// does. Any other file stays as it is, and the report has the difference.
// Owners are set when running as root, groups where they exist on this system.
// Repeating Setup is harmless.
func Setup(ctx context.Context, root *os.Root, l Layout) (Report, error) {
	var r Report
	own := owners(l)
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
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err := r.ensureConf(root, l, own[l.EximGroup]); err != nil {
		return r, fmt.Errorf("set up %s: %w", l.EximConf, err)
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
		{path: l.Hooks(), mode: 0o750, group: l.EximGroup},
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
	own[l.EximGroup] = owner{set: true}
	if g, err := user.LookupGroup(l.EximGroup); err == nil {
		if gid, err := strconv.Atoi(g.Gid); err == nil {
			own[l.EximGroup] = owner{set: true, gid: gid}
		}
	}
	return own
}

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
