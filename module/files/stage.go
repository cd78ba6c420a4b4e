package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
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
	ended    bool
	Findings []Finding // what others had done to the files that Publish replaced
}

type stagedFile struct {
	place *place
	name  string // there
	from  string // in the place's stage; empty: the file is to be removed
	was   []byte // as in Change
	newer bool   // as in File
	bare  bool   // as in File
}

// Stage writes the files of a plan beside their places. Where it returns an
// error, nothing is left and nothing has changed. What is staged together, by
// whomever, has its directories opened once: a plan is to be ended soon.
func (t *Tree) Stage(plan []Change) (*Staged, error) {
	t.places.hold()
	s := &Staged{tree: t, files: make([]stagedFile, 0, len(plan))}
	for _, c := range plan {
		if err := s.add(c); err != nil {
			return nil, errors.Join(explain(fmt.Errorf("stage %s: %w", c.Path, err)), s.Drop())
		}
	}
	return s, nil
}

func (s *Staged) add(c Change) error {
	f := stagedFile{name: path.Base(c.Path), was: c.Was, newer: c.Newer, bare: c.Bare}
	var err error
	if f.place, err = s.tree.place(path.Dir(c.Path)); err != nil {
		return err
	}
	switch stands, _, info, err := f.place.look(f.name); {
	case err != nil:
		return err
	case stands.as(c.File, info) == foreign:
		return errForeign
	}
	if err := f.place.writable(); err != nil {
		return err
	}
	if c.Body == nil {
		s.files = append(s.files, f)
		return nil
	}
	stage, err := f.place.stage()
	if err != nil {
		return err
	}
	f.from = s.tree.run + "." + strconv.FormatUint(s.tree.staged.Add(1), 10)
	s.files = append(s.files, f) // also half written: Drop removes it
	o := s.tree.own[c.Group]
	if w := s.tree.spare(stage.path); w != nil {
		if named, err := stage.fill(w, f.from, c.File, o); named || err != nil {
			return err
		}
		_ = s.tree.spares.close() // they are of no use here, and nothing is in them
	}
	return stage.create(f.from, c.File, o)
}

// Publish or Drop ends what Stage began.
//
// Publish puts the staged files in their places, in the order of the plan. Where
// one fails, the rest is left to reconcile: a gate is not opened before its data.
func (s *Staged) Publish() error {
	for _, f := range s.files {
		s.find(f)
		if err := s.tree.publish(f); err != nil {
			return errors.Join(fmt.Errorf("publish: %w", err), s.Drop())
		}
	}
	return s.end()
}

func (t *Tree) publish(f stagedFile) error {
	if f.from == "" {
		return f.place.remove(f.name)
	}
	stage, err := f.place.stage()
	if err != nil {
		return err
	}
	if f.newer {
		if err := t.renew(f, stage); err != nil {
			return err
		}
	}
	return stage.move(f.from, f.place, f.name)
}

func (s *Staged) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	return s.tree.places.release()
}

// find notes what others did to a file that is about to be replaced. Only now is
// what an earlier change of the same commit made of it in place.
func (s *Staged) find(f stagedFile) {
	if f.was == nil {
		return
	}
	p := path.Join(f.place.path, f.name)
	switch stands, have, _, err := f.place.look(f.name); {
	case err != nil: // publishing will say so
	case stands == nothing:
		s.Findings = append(s.Findings, Finding{p, FileMissing})
	case stands != ours && !f.bare || !bytes.Equal(have, f.was):
		s.Findings = append(s.Findings, Finding{p, FileEdited})
	}
}

// Drop removes the staged files.
func (s *Staged) Drop() error {
	var failed error
	for _, f := range s.files {
		if f.from == "" {
			continue
		}
		stage, err := f.place.stage()
		if err == nil {
			err = stage.remove(f.from)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("drop staged file: %w", err))
		}
	}
	s.files = nil
	return errors.Join(failed, s.end())
}

// EmptyStage removes what an earlier process left in the stages. Only the process
// that serves may do it.
func (t *Tree) EmptyStage() error {
	for _, stage := range t.stages() {
		if err := t.empty(stage); err != nil {
			return fmt.Errorf("empty the stage: %w", err)
		}
	}
	return nil
}

func (t *Tree) empty(dir string) error {
	d, err := t.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := t.root.RemoveAll(path.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}
