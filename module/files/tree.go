package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"maildomain/module/mail"
)

// A Tree is the part of the file system that the module writes: everything below
// one root, which no path and no symbolic link leads out of.
type Tree struct {
	root    *os.Root
	dir     string // of root
	layout  Layout
	own     map[string]owner // by group
	run     string           // names the staged files of this process, in no other's way
	staged  atomic.Uint64    // numbers them
	places  places           // that they wait for
	spares  spares           // for what is staged next
	seconds seconds
}

// OpenTree opens the tree below the directory root. Ownership of files is set
// only where the program runs as root.
func OpenTree(root string, l Layout) (*Tree, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return &Tree{root: r, dir: root, layout: l, own: owners(l), run: rand.Text()}, nil
}

// Layout is what the tree was opened with.
func (t *Tree) Layout() Layout { return t.layout }

// Close closes the tree.
func (t *Tree) Close() error {
	t.places.mu.Lock()
	defer t.places.mu.Unlock()
	return errors.Join(t.spares.close(), t.places.close(), t.root.Close())
}

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
