package module

import (
	"context"
	"fmt"

	"maildomain/module/files"
	"maildomain/module/store"
)

// A Difference is a file that reconcile would put right, or leave alone because it
// is foreign.
type Difference struct {
	files.Finding
	Diff string // unified, from what stands to what is to be; empty where only owner or mode differ
}

// Differences compares every file with the database and changes nothing.
func (m *Module) Differences(ctx context.Context) ([]Difference, error) {
	differ, err := m.compare(ctx)
	if err != nil {
		return nil, fmt.Errorf("compare files with the database: %w", err)
	}
	var ds []Difference
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return m.again(ctx, tx, differ, func(d difference, want files.File) (err error) {
			var text string
			if d.box.IsZero() {
				text, err = m.tree.Diff(want)
			}
			ds = append(ds, Difference{d.finding, text})
			return err
		})
	})
	return ds, err
}

// A Report is what Check found.
type Report struct {
	Database []string // sentences about the database; none: sound
	Files    []Difference
	Ready    bool // Exim takes mail
	Health
}

// Sound says that nothing is wrong.
func (r Report) Sound() bool { return len(r.Database) == 0 && len(r.Files) == 0 && r.Ready }

// Check looks at the database and at every file, and changes nothing.
func (m *Module) Check(ctx context.Context) (r Report, err error) {
	if r.Database, err = m.db.Check(ctx); err != nil {
		return r, fmt.Errorf("check the database: %w", err)
	}
	if r.Health, err = m.Health(ctx); err != nil {
		return r, err
	}
	if r.Files, err = m.Differences(ctx); err != nil {
		return r, err
	}
	r.Ready, err = m.tree.Ready()
	return r, err
}
