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

// A Change is a file as it is to be, and as the database had it before.
type Change struct {
	File
	Was []byte // nil: not known
}

// errForeign is the error of a file in our place that somebody else wrote.
var errForeign = errors.New("a file that the module did not write stands there")

// Staged are files that wait for their change to be committed: then Publish, or
// else Drop.
type Staged struct {
	tree     *Tree
	files    []stagedFile
	Findings []Finding // what others had done to the files that are to be replaced
}

type stagedFile struct {
	path string
	from string // below the stage; empty: path is to be removed
}

// Stage writes the files of a plan beside their places. Where it returns an
// error, nothing is left and nothing has changed.
func (t *Tree) Stage(plan []Change) (*Staged, error) {
	s := &Staged{tree: t}
	for _, c := range plan {
		if err := s.add(c); err != nil {
			return nil, errors.Join(explain(fmt.Errorf("stage %s: %w", c.Path, err)), s.Drop())
		}
	}
	return s, nil
}

func (s *Staged) add(c Change) error {
	have, found, err := s.tree.read(c.Path)
	if err != nil {
		return err
	}
	switch {
	case found && !bytes.HasPrefix(have, []byte(mark)):
		return errForeign
	case c.Was != nil && !found:
		s.Findings = append(s.Findings, Finding{c.Path, FileMissing})
	case c.Was != nil && !bytes.Equal(have, c.Was):
		s.Findings = append(s.Findings, Finding{c.Path, FileEdited})
	}
	f := stagedFile{path: c.Path}
	if c.Body != nil {
		f.from = path.Join(s.tree.stageDir(), fmt.Sprintf("%d.%d", os.Getpid(), s.tree.staged.Add(1)))
		s.files = append(s.files, f) // also half written: Drop removes it
		if err := s.tree.create(f.from, c.File); err != nil {
			return err
		}
	} else {
		s.files = append(s.files, f)
	}
	return s.tree.writable(path.Dir(c.Path))
}

// Publish puts the staged files in their places, in the order of the plan. An
// error leaves the rest to reconcile.
func (s *Staged) Publish() error {
	var failed error
	for _, f := range s.files {
		var err error
		if f.from != "" {
			err = s.tree.root.Rename(f.from, f.path)
		} else if err = s.tree.root.Remove(f.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("publish %s: %w", f.path, err))
		}
	}
	return failed
}

// Drop removes the staged files.
func (s *Staged) Drop() error {
	var failed error
	for _, f := range s.files {
		if f.from == "" {
			continue
		}
		if err := s.tree.root.Remove(f.from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("drop staged file: %w", err))
		}
	}
	return failed
}

// EmptyStage removes what an earlier process left in the stage. Only the process
// that serves may do it.
func (t *Tree) EmptyStage() error {
	d, err := t.root.Open(t.stageDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty the stage: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("empty the stage: %w", err)
	}
	for _, n := range names {
		if err := t.root.RemoveAll(path.Join(t.stageDir(), n)); err != nil {
			return fmt.Errorf("empty the stage: %w", err)
		}
	}
	return nil
}

// largest is the most that is read of a standing file; ours are far below it but
// for domainips, which at a million domains is some 40 MB.
const largest = 256 << 20

// read is a standing file whole; false where there is none.
func (t *Tree) read(p string) ([]byte, bool, error) {
	f, err := t.root.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		// A missing directory is another matter than a missing file.
		_, err := t.root.Stat(path.Dir(p))
		return nil, false, err
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if i, err := f.Stat(); err != nil {
		return nil, false, err
	} else if !i.Mode().IsRegular() {
		return nil, true, nil // a directory, a device: foreign
	}
	b, err := io.ReadAll(io.LimitReader(f, largest))
	return b, true, err
}
