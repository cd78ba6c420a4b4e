package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"maildomain/module/mail"
)

// Drift is how a standing file differs from what it is to be.
type Drift string

// The ways to differ.
const (
	FileMissing Drift = "missing"
	FileEdited  Drift = "edited"  // ours with other bytes in it, or a link in its place
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
	stands, have, info, err := t.look(want.Path)
	f := Finding{Path: want.Path}
	stands = stands.as(want, info)
	switch {
	case err != nil:
		return f, false, fmt.Errorf("compare %s: %w", want.Path, err)
	case stands == nothing && want.Body == nil:
		return f, false, nil
	case stands == nothing:
		f.Drift = FileMissing
	case stands == foreign, stands == link && want.Body == nil:
		f.Drift = FileForeign
	case want.Body == nil:
		f.Drift = FileStale
	case stands == link, !bytes.Equal(have, want.Body):
		f.Drift = FileEdited
	case info.Mode() != want.Mode, t.own[want.Group].set && !t.own[want.Group].has(info):
		f.Drift = FileOwner
	default:
		return f, false, nil
	}
	return f, true, nil
}

// Put writes a file in its place at once, or removes it. It is for reconcile
// alone, which holds the lock on the database meanwhile.
func (t *Tree) Put(f File) error {
	s, err := t.Stage([]Change{{File: f}})
	if err != nil {
		return err
	}
	return explain(s.Publish())
}

// DomainNames calls each with the name of everything in the directories of files
// that are named like mail domains, in no order; with some more than once.
func (t *Tree) DomainNames(each func(name string) error) error {
	for _, dir := range []string{t.layout.Domains(), t.layout.Mailboxes(), t.layout.Users()} {
		if err := t.names(dir, each); err != nil {
			return fmt.Errorf("list %s: %w", dir, err)
		}
	}
	err := t.names(t.layout.Lists(), func(n string) error {
		if _, err := mail.ParseName(n); err != nil { // the server's, or somebody else's
			return nil
		}
		return each(n)
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", t.layout.Lists(), err)
	}
	return nil
}

func (t *Tree) names(dir string, each func(name string) error) error {
	d, err := t.root.Open(dir)
	if err != nil {
		return err
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
				return err
			}
			return nil
		}
	}
}

// NoFiles are the files of a name that DomainNames gave, none of which is to be
// there; the gate first.
func (t *Tree) NoFiles(name string) []File {
	var none []File
	for _, dir := range []string{t.layout.Domains(), t.layout.Mailboxes(), t.layout.Users()} {
		none = append(none, File{Path: path.Join(dir, name)})
	}
	return append(none, File{Path: path.Join(t.layout.Lists(), name), Bare: true})
}

// Ready says whether Exim takes mail: the marker stands.
func (t *Tree) Ready() (bool, error) {
	i, err := t.root.Lstat(t.layout.Ready())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && i.Mode().IsRegular(), err
}

// SetReady puts the marker, or takes it away: without it Exim tells every client
// to try again later.
func (t *Tree) SetReady(ready bool) error {
	if !ready {
		_, err := t.root.Lstat(t.layout.Ready()) // a link, too, may be a marker to Exim
		if err == nil {
			err = t.root.Remove(t.layout.Ready())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain(fmt.Errorf("take the ready marker away: %w", err))
		}
		return nil
	}
	if is, err := t.Ready(); err != nil || is {
		return err
	}
	return t.Put(File{Path: t.layout.Ready(), Body: []byte(header), Mode: 0o640, Group: t.layout.EximGroup})
}
