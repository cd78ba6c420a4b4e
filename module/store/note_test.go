package store

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Notes and changes that come together all stand in the end, and what follows a note
// is synced as before.
func TestNotesStandBesideChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	set := func(name string) func(context.Context, *Tx) error {
		return func(ctx context.Context, tx *Tx) error { return tx.Set(ctx, name, "set") }
	}
	for i := range 50 {
		wg.Go(func() {
			if err := db.Note(t.Context(), set("note"+string(rune('0'+i)))); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := db.Update(t.Context(), set("change"+string(rune('0'+i)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := db.Alone(t.Context(), func(ctx context.Context, tx *Tx) error {
		var level int
		if _, err := tx.row(ctx, `PRAGMA synchronous`, nil, &level); err != nil {
			return err
		}
		if level != 2 {
			t.Errorf("changes are synced at level %d", level)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(t.Context(), path, time.Now); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(t.Context(), func(ctx context.Context, tx *Tx) error {
		all, err := tx.Settings(ctx)
		if len(all) != 100 {
			t.Errorf("%d of 100 stand", len(all))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
