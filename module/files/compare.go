package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Drift is how a standing file differs from what it is to be.
type Drift string

// The ways to differ.
const (
	FileMissing Drift = "missing"
	FileEdited  Drift = "edited"  // ours, with other bytes in it
	FileOwner   Drift = "owner"   // the right bytes, with a wrong owner, group or mode
	FileStale   Drift = "stale"   // ours, of a domain that there is not
	FileForeign Drift = "foreign" // written by somebody else; left alone
)

// A Finding is a file that differs.
type Finding struct {
	Path  string
	Drift Drift
}

// Compare holds the standing file against want; false where it is as it is to be.
func (t *Tree) Compare(want File) (Finding, bool, error) {
	have, found, err := t.read(want.Path)
	f := Finding{Path: want.Path}
	switch {
	case err != nil:
		return f, false, fmt.Errorf("compare %s: %w", want.Path, err)
	case !found && want.Body == nil:
		return f, false, nil
	case !found:
		f.Drift = FileMissing
	case !bytes.HasPrefix(have, []byte(mark)):
		f.Drift = FileForeign
	case want.Body == nil:
		f.Drift = FileStale
	case !bytes.Equal(have, want.Body):
		f.Drift = FileEdited
	default:
		ok, err := t.owned(want)
		if err != nil {
			return f, false, fmt.Errorf("compare %s: %w", want.Path, err)
		}
		f.Drift = FileOwner
		return f, !ok, nil
	}
	return f, true, nil
}

// owned says that the file itself, not what a link leads to, has the owner and
// mode that f is to have.
func (t *Tree) owned(f File) (bool, error) {
	i, err := t.root.Lstat(f.Path)
	if err != nil {
		return false, err
	}
	if i.Mode() != f.Mode { // a link, or other permissions
		return false, nil
	}
	own := t.own[f.Group]
	return !own.set || own.has(i), nil
}

// Put writes a file in its place at once, or removes it. It is for reconcile
// alone, which holds the lock on the database meanwhile.
func (t *Tree) Put(f File) error {
	s, err := t.Stage([]Change{{File: f}})
	if err != nil {
		return err
	}
	if err := s.Publish(); err != nil {
		return explain(errors.Join(err, s.Drop()))
	}
	return nil
}

// DomainNames calls each with the name of everything in the directory of settings
// files, in no order.
func (t *Tree) DomainNames(each func(name string) error) error {
	d, err := t.root.Open(t.layout.Domains())
	if err != nil {
		return fmt.Errorf("list settings files: %w", err)
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if err := each(n); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("list settings files: %w", err)
			}
			return nil
		}
	}
}

// SettingsPath is the path of a name that DomainNames gave.
func (t *Tree) SettingsPath(name string) string { return path.Join(t.layout.Domains(), name) }

// Ready says whether Exim takes mail: the marker stands.
func (t *Tree) Ready() (bool, error) {
	_, err := t.root.Stat(t.layout.Ready())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// SetReady puts the marker, or takes it away: without it Exim tells every client
// to try again later.
func (t *Tree) SetReady(ready bool) error {
	if is, err := t.Ready(); err != nil || is == ready {
		return err
	}
	if !ready {
		if err := t.root.Remove(t.layout.Ready()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explain(fmt.Errorf("take the ready marker away: %w", err))
		}
		return nil
	}
	return t.Put(File{Path: t.layout.Ready(), Body: []byte(header), Mode: 0o640, Group: t.layout.EximGroup})
}
