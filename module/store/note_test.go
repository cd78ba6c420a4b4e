package store

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
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
			db.NoteSoon(set("note"+string(rune('0'+i))), func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
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

func TestReadsSeeWhatWasNotedBefore(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 20 {
		value := string(rune('a' + i))
		over := make(chan error, 1)
		db.NoteSoon(func(ctx context.Context, tx *Tx) error {
			time.Sleep(time.Millisecond) // the read would overtake it
			return tx.Set(ctx, "name", value)
		}, func(err error) { over <- err })
		err := db.View(t.Context(), func(ctx context.Context, tx *Tx) error {
			all, err := tx.Settings(ctx)
			if all["name"] != value {
				t.Errorf("read %q after %q was noted", all["name"], value)
			}
			return err
		})
		if err := errors.Join(err, <-over); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoteThatFailsHoldsNobodyUp(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("a fault")
	over := make(chan error, 3)
	tell := func(err error) { over <- err }
	db.NoteSoon(func(context.Context, *Tx) error { return fault }, tell)
	db.NoteSoon(func(context.Context, *Tx) error { panic(fault) }, tell)
	if err := db.View(t.Context(), func(context.Context, *Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-over; err == nil || !strings.Contains(err.Error(), fault.Error()) {
			t.Errorf("told %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db.NoteSoon(func(context.Context, *Tx) error { return nil }, tell)
	if err := <-over; !errors.Is(err, ErrClosed) {
		t.Errorf("told %v after the end", err)
	}
}
