package module

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A Repair is what reconcile found about one file, and what came of it.
type Repair struct {
	files.Finding
	Err  error // nil: put right, or left alone because it is foreign
	Left bool  // foreign: not ours to touch
}

// Said is the repair in words.
func (r Repair) Said() string {
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%s, not put right: %v", r.Drift, r.Err)
	case r.Left:
		return "foreign, left alone"
	case r.Drift == files.FileStale:
		return "stale, removed"
	}
	return string(r.Drift) + ", written"
}

// together is how many missing settings files are put back without stopping Exim
// meanwhile.
const together = 64

// Reconcile compares every file with the database and puts right what differs. It
// may run beside other processes and at any time. While more domains are missing
// than it can publish at once, Exim is told to defer all mail, for it would refuse
// the missing ones for good.
func (m *Module) Reconcile(ctx context.Context) (repairs []Repair, err error) {
	m.unpublished.Store(false) // a change that fails to publish from here on sets it again
	defer func() {
		if err != nil {
			m.unpublished.Store(true)
		}
	}()
	made, err := m.tree.MakeDirectories()
	if err != nil {
		return nil, errors.Join(err, m.refuseNothing(ctx))
	}
	for _, what := range made {
		m.log.Warn().Str("done", what).Msg("a directory was not as it is to be")
	}
	differ, err := m.compare(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compare files with the database: %w", err), m.refuseNothing(ctx))
	}
	if err := m.mayRemove(ctx, differ); err != nil {
		return nil, err
	}
	missing := 0
	for _, d := range differ {
		if d.finding.Drift == files.FileMissing {
			missing++
		}
	}
	if missing > together {
		if err := m.tree.SetReady(false); err != nil {
			return nil, err
		}
	}
	lost, wrong := 0, int64(0)
	for part := range slices.Chunk(differ, atATime) {
		done, err := m.repair(ctx, part)
		repairs = append(repairs, done...)
		if err != nil {
			return repairs, errors.Join(err, m.refuseNothing(ctx))
		}
	}
	for _, r := range repairs {
		if r.Err != nil || r.Left {
			wrong++
		}
		if r.Err != nil {
			m.unpublished.Store(true)
		}
		if r.Err != nil && r.Drift == files.FileMissing {
			lost++
		}
	}
	m.drift.Store(wrong)
	return repairs, m.tree.SetReady(lost == 0)
}

// mayRemove refuses to take away the files of domains by the word of a database
// in which nothing was ever changed: it is the database that is missing.
func (m *Module) mayRemove(ctx context.Context, differ []difference) error {
	h, err := m.Health(ctx)
	if err != nil || h.Revision > 0 {
		return err
	}
	stale := 0
	for _, d := range differ {
		if d.finding.Drift == files.FileStale {
			stale++
		}
	}
	if stale > 0 {
		return fmt.Errorf("the database is new and empty, but settings of %d mail domains stand: bring the database back, or remove them by hand", stale)
	}
	return nil
}

// refuseNothing has Exim defer all mail: what cannot be compared may be missing.
// That we were told to stop is no such reason.
func (m *Module) refuseNothing(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return m.tree.SetReady(false)
}

// A difference is a file that differed, and the name it is about: empty for the
// outgoing addresses.
type difference struct {
	name    string
	finding files.Finding
}

// compare finds the files that differ, without a lock: changes go on meanwhile.
func (m *Module) compare(ctx context.Context) ([]difference, error) {
	l := m.tree.Layout()
	var differ []difference
	note := func(name string, f files.File) error {
		finding, is, err := m.tree.Compare(f)
		if is {
			differ = append(differ, difference{name, finding})
		}
		return err
	}
	extra := map[string]bool{}
	if err := m.tree.DomainNames(func(n string) error { extra[n] = true; return ctx.Err() }); err != nil {
		return nil, err
	}
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		ips, err := tx.SourceIPs(ctx)
		if err != nil {
			return err
		}
		f, err := l.DomainIPsFile(ips)
		if err != nil {
			return err
		}
		if err := note("", f); err != nil {
			return err
		}
		return tx.Domains(ctx, func(d mail.Domain) error {
			f, err := l.DomainFile(d)
			if err != nil {
				return err
			}
			delete(extra, d.Name.String())
			return note(d.Name.String(), f)
		})
	})
	if err != nil {
		return nil, err
	}
	for n := range extra {
		if err := note(n, files.File{Path: m.tree.SettingsPath(n)}); err != nil {
			return nil, err
		}
	}
	return differ, nil
}

// atATime is how many files are put right while the database is locked.
const atATime = 64

// repair looks at files again with the database locked, and puts them right.
// Nothing else is committed meanwhile, here or in another process.
func (m *Module) repair(ctx context.Context, differ []difference) (repairs []Repair, err error) {
	err = m.db.Alone(ctx, func(ctx context.Context, tx *store.Tx) error {
		return m.again(ctx, tx, differ, func(want files.File, f files.Finding) error {
			r := Repair{Finding: f, Left: f.Drift == files.FileForeign}
			if !r.Left {
				r.Err = m.tree.Put(want)
			}
			repairs = append(repairs, r)
			return nil
		})
	})
	return repairs, err
}

// again calls each for the files that differ still. One that is as it is to be by
// now was a change on its way.
func (m *Module) again(ctx context.Context, tx *store.Tx, differ []difference, each func(files.File, files.Finding) error) error {
	for _, d := range differ {
		want, err := m.wanted(ctx, tx, d)
		if err != nil {
			return err
		}
		finding, is, err := m.tree.Compare(want)
		if err != nil {
			return err
		}
		if !is {
			continue
		}
		if err := each(want, finding); err != nil {
			return err
		}
	}
	return nil
}

// wanted is a file as the database has it now.
func (m *Module) wanted(ctx context.Context, tx *store.Tx, d difference) (files.File, error) {
	l := m.tree.Layout()
	if d.name == "" {
		ips, err := tx.SourceIPs(ctx)
		if err != nil {
			return files.File{}, err
		}
		return l.DomainIPsFile(ips)
	}
	// A name that is none is a file that nobody can mean.
	if n, err := mail.ParseName(d.name); err == nil && n.String() == d.name {
		row, err := domain(ctx, tx, n)
		if err != nil {
			return files.File{}, err
		}
		if row != nil {
			return l.DomainFile(*row)
		}
	}
	return files.File{Path: m.tree.SettingsPath(d.name)}, nil
}

// Start makes ready to serve: what an earlier process left half done is removed,
// and after an unclean stop, or while Exim defers all mail, every file is compared.
func (m *Module) Start(ctx context.Context) ([]Repair, error) {
	if err := m.tree.EmptyStage(); err != nil {
		return nil, err
	}
	var s store.State
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = tx.State(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if ready, err := m.tree.Ready(); err == nil && ready && s.Clean {
		return nil, nil
	}
	return m.Reconcile(ctx)
}

// Unpublished says that a committed change is not in the files yet, so that
// reconcile is wanted.
func (m *Module) Unpublished() bool { return m.unpublished.Load() }
