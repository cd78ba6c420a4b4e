package module

import (
	"context"
	"errors"
	"fmt"
	"path"
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
	box  bool  // it is the directory of a mailbox
	tls  bool  // it is of what is served by TLS
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
	m.lookForFilters(ctx)
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
	m.settle(ctx) // first, so that mail on its way back finds no other directory in its place
	differ, err := m.compare(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compare files with the database: %w", err), m.refuseNothing(ctx))
	}
	if err := m.mayRemove(ctx, differ); err != nil {
		return nil, err
	}
	missing := 0
	for _, d := range differ {
		if d.finding.Drift == files.FileMissing && d.box.IsZero() && d.certificate == "" {
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
		if r.Err != nil && r.Drift == files.FileMissing && !r.box && !r.tls { // without a directory mail waits by itself
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

// atATime is how many files are put right while the database is locked.
const atATime = 64

// repair looks at files again with the database locked, and puts them right.
// Nothing else is committed meanwhile, here or in another process.
func (m *Module) repair(ctx context.Context, differ []difference) (repairs []Repair, err error) {
	reload := false
	err = m.db.Alone(ctx, func(ctx context.Context, tx *store.Tx) error {
		repairs, reload = nil, false
		tx.Aside()
		err := m.again(ctx, tx, differ, func(d difference, want files.File) error {
			r := Repair{Finding: d.finding, Left: d.finding.Drift == files.FileForeign, box: !d.box.IsZero(), tls: d.certificate != ""}
			reload = reload || !r.Left && want.Body != nil && path.Dir(want.Path) == m.tree.Layout().Certs()
			switch {
			case r.Left:
			case !d.box.IsZero():
				r.Err = m.tree.KeepBox(d.box)
			default:
				r.Err = m.tree.Put(want)
			}
			repairs = append(repairs, r)
			return nil
		})
		if err != nil || !reload { // Dovecot may have read what stood there
			return err
		}
		return tx.Set(ctx, tlsApplied, "")
	})
	if reload {
		now := m.db.Now()
		m.reloads.want(now)
		m.reloads.hurry(now) // what was wrong may be shown
	}
	return repairs, err
}

// again calls each for the files that differ still. One that is as it is to be by
// now was a change on its way.
func (m *Module) again(ctx context.Context, tx *store.Tx, differ []difference, each func(difference, files.File) error) error {
	var known look
	for _, d := range differ {
		want, err := m.wanted(ctx, tx, d, &known)
		if err != nil {
			return err
		}
		var is bool
		switch {
		case d.box.IsZero():
			d.finding, is, err = m.tree.Compare(want)
		case want.Body != nil: // the mailbox is there
			d.finding, is = m.tree.BoxDrift(d.box)
		}
		if err != nil {
			return err
		}
		if !is {
			continue
		}
		if err := each(d, want); err != nil {
			return err
		}
	}
	return nil
}

// wanted is a file as the database has it now. Of a mailbox's directory it has a
// body where there is such a mailbox.
func (m *Module) wanted(ctx context.Context, tx *store.Tx, d difference, known *look) (files.File, error) {
	none := files.File{Path: d.finding.Path, Bare: path.Dir(d.finding.Path) == m.tree.Layout().Lists()}
	if !d.box.IsZero() {
		_, found, err := tx.Mailbox(ctx, d.box)
		if found {
			none.Body = []byte{}
		}
		return none, err
	}
	if d.certificate != "" {
		return known.certificateFile(ctx, m, tx, d.certificate, d.finding.Path)
	}
	var all []files.File
	if d.name == "" {
		if f, found, err := known.wholeFile(ctx, m, tx, d.finding.Path); found || err != nil {
			return f, err
		}
	}
	if n, err := mail.ParseName(d.name); err == nil && n.String() == d.name { // else a file that nobody can mean
		row, err := domain(ctx, tx, n)
		if err != nil {
			return none, err
		}
		if row != nil {
			s, err := side(ctx, tx, *row)
			if err != nil {
				return none, err
			}
			fs, err := m.tree.Layout().Files(s)
			if err != nil {
				return none, err
			}
			all = append(all, fs...)
		}
	}
	for _, f := range all {
		if f.Path == d.finding.Path {
			return f, nil
		}
	}
	return none, nil
}

// Start makes ready to serve: what an earlier process left half done is removed,
// and after an unclean stop, or while Exim defers all mail, every file is compared.
func (m *Module) Start(ctx context.Context) ([]Repair, error) {
	if err := m.tree.EmptyStage(); err != nil {
		return nil, err
	}
	m.settle(ctx)
	m.lookForFilters(ctx)
	var s store.State
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = tx.State(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if ready, err := m.tree.Ready(); err == nil && ready && s.Clean && !m.unpublished.Load() {
		return nil, nil
	}
	return m.Reconcile(ctx)
}

// settle is Settle for who goes on without it: mail of one domain that cannot be moved
// keeps no other domain from being served. It is tried again.
func (m *Module) settle(ctx context.Context) {
	if err := m.Settle(ctx); err != nil {
		m.log.Error().Err(err).Msg("deleted mail is not where it belongs yet")
	}
}

// Unpublished says that a committed change is not in the files yet, so that
// reconcile is wanted.
func (m *Module) Unpublished() bool { return m.unpublished.Load() }
