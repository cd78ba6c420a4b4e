package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"maildomain/module/mail"
)

// A Tree is the part of the file system that the module writes: everything below
// one root, which no path and no symbolic link leads out of.
type Tree struct {
	root   *os.Root
	base   string // what the paths of the layout begin with above root; empty for the whole tree
	layout Layout
	own    map[string]owner // by group
	run    string           // names the staged files of this process, in no other's way
	staged *atomic.Uint64   // numbers them
}

// OpenTree opens the tree below the directory root. Ownership of files is set
// only where the program runs as root.
func OpenTree(root string, l Layout) (*Tree, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return &Tree{root: r, layout: l, own: owners(l), run: rand.Text(), staged: new(atomic.Uint64)}, nil
}

// Layout is what the tree was opened with.
func (t *Tree) Layout() Layout { return t.layout }

// Close closes the tree.
func (t *Tree) Close() error { return t.root.Close() }

// MakeDirectories makes the directories that are missing, and puts their owners
// and modes right. It returns what it did, one sentence for each.
//
// A missing directory of settings makes Exim defer, an empty one makes it refuse:
// before it is made, the ready marker goes, for SetReady to put back.
func (t *Tree) MakeDirectories() ([]string, error) {
	var did []string
	if _, err := t.root.Lstat(t.layout.Domains()); errors.Is(err, fs.ErrNotExist) {
		if err := t.SetReady(false); err != nil {
			return nil, err
		}
	}
	for _, d := range directories(t.layout) {
		done, err := ensureDir(t.root, d, t.own[d.group])
		if err != nil {
			return did, explain(fmt.Errorf("make %s: %w", d.path, err))
		}
		if done != "" {
			did = append(did, d.path+": "+done)
		}
	}
	return did, nil
}

// stageDir is where files wait for their commit: beside the directories that
// daemons search, on the same file system.
func (t *Tree) stageDir() string { return path.Join(t.layout.Exim, "maildomain.stage") }

// branch is the tree below Exim's directory alone, opened once for several files:
// every step of a path is a call of the system. The caller closes it.
func (t *Tree) branch() (*Tree, error) {
	r, err := t.root.OpenRoot(t.layout.Exim)
	if err != nil {
		return nil, err
	}
	return &Tree{root: r, base: t.layout.Exim + "/", layout: t.layout, own: t.own, run: t.run, staged: t.staged}, nil
}

// rel is a path of the layout as t.root takes it.
func (t *Tree) rel(p string) string {
	if p+"/" == t.base {
		return "."
	}
	return strings.TrimPrefix(p, t.base)
}

// create makes a new file below the stage with the owner and mode of f, never
// readable by more than f is to be.
func (t *Tree) create(name string, f File) (err error) {
	w, err := t.root.OpenFile(t.rel(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := t.root.Mkdir(t.rel(t.stageDir()), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		w, err = t.root.OpenFile(t.rel(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := t.own[f.Group].give(w, f.Mode); err != nil {
		return err
	}
	_, err = w.Write(f.Body)
	return err
}

// writable finds out beforehand whether entries of dir can be made and removed,
// and whether a rename from the stage into it can work, where one is to be.
func (t *Tree) writable(dir string, renamed bool) error {
	d, err := t.root.Open(t.rel(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Faccessat(int(d.Fd()), ".", unix.W_OK, 0); err != nil {
		return &fs.PathError{Op: "write in", Path: dir, Err: err}
	}
	if !renamed {
		return nil
	}
	stage, err := t.root.Open(t.rel(t.stageDir()))
	if err != nil {
		return err
	}
	defer stage.Close()
	from, err := mount(stage)
	if err != nil {
		return err
	}
	to, err := mount(d)
	if err != nil {
		return err
	}
	if from != to {
		return &fs.PathError{Op: "rename into", Path: dir, Err: syscall.EXDEV}
	}
	return nil
}

// mount is the id of the mount that an open directory is on (statx(2)).
func mount(f *os.File) (uint64, error) {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &s); err != nil {
		return 0, &fs.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	return s.Mnt_id, nil
}

// explain makes of what the system refused an error that a person can act on.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &mail.Error{Kind: mail.Unavailable, Field: "disk", Text: "unavailable_disk", Cause: err}
	case errors.Is(err, errForeign):
		return &mail.Error{Kind: mail.Unavailable, Field: "files", Text: "unavailable_foreign", Cause: err}
	}
	return &mail.Error{Kind: mail.Unavailable, Field: "files", Text: "unavailable_files", Cause: err}
}
