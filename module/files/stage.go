package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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
	Findings []Finding // what others had done to the files that Publish replaced
}

type stagedFile struct {
	path string
	from string // below the stage; empty: path is to be removed
	was  []byte // as in Change
}

// Stage writes the files of a plan beside their places. Where it returns an
// error, nothing is left and nothing has changed.
func (t *Tree) Stage(plan []Change) (*Staged, error) {
	branch, err := t.branch()
	if err != nil {
		return nil, explain(fmt.Errorf("stage: %w", err))
	}
	s := &Staged{tree: branch}
	for _, c := range plan {
		if err := s.add(c); err != nil {
			return nil, errors.Join(explain(fmt.Errorf("stage %s: %w", c.Path, err)), s.Drop())
		}
	}
	return s, nil
}

func (s *Staged) add(c Change) error {
	stands, _, _, err := s.tree.look(c.Path)
	if err != nil {
		return err
	}
	if stands == foreign {
		return errForeign
	}
	f := stagedFile{path: c.Path, was: c.Was}
	if c.Body == nil {
		s.files = append(s.files, f)
		return s.tree.writable(path.Dir(c.Path), false)
	}
	f.from = path.Join(s.tree.stageDir(), fmt.Sprintf("%s.%d", s.tree.run, s.tree.staged.Add(1)))
	s.files = append(s.files, f) // also half written: Drop removes it
	if err := s.tree.create(f.from, c.File); err != nil {
		return err
	}
	return s.tree.writable(path.Dir(c.Path), true)
}

// Publish or Drop ends what Stage began.
//
// Publish puts the staged files in their places, in the order of the plan. Where
// one fails, the rest is left to reconcile: a gate is not opened before its data.
func (s *Staged) Publish() error {
	for _, f := range s.files {
		s.find(f)
		var err error
		if f.from != "" {
			err = s.tree.root.Rename(s.tree.rel(f.from), s.tree.rel(f.path))
		} else if err = s.tree.root.Remove(s.tree.rel(f.path)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("publish %s: %w", f.path, err), s.Drop())
		}
	}
	return s.tree.Close()
}

// find notes what others did to a file that is about to be replaced. Only now is
// what an earlier change of the same commit made of it in place.
func (s *Staged) find(f stagedFile) {
	if f.was == nil {
		return
	}
	switch stands, have, _, err := s.tree.look(f.path); {
	case err != nil: // publishing will say so
	case stands == nothing:
		s.Findings = append(s.Findings, Finding{f.path, FileMissing})
	case stands != ours || !bytes.Equal(have, f.was):
		s.Findings = append(s.Findings, Finding{f.path, FileEdited})
	}
}

// Drop removes the staged files.
func (s *Staged) Drop() error {
	var failed error
	for _, f := range s.files {
		if f.from == "" {
			continue
		}
		if err := s.tree.root.Remove(s.tree.rel(f.from)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("drop staged file: %w", err))
		}
	}
	s.files = nil
	return errors.Join(failed, s.tree.Close())
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
