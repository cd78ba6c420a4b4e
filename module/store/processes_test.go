package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"maildomain/module/mail"
)

// Another process that does not let go for as long as we wait is no fault of ours.
func TestLockedDatabaseIsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	db := openAt(t, path, time.Now)
	other := raw(t, path) // waits for nobody
	update(t, db, func(ctx context.Context, tx *Tx) error {
		_, err := other.Exec(`BEGIN IMMEDIATE`)
		if e, ok := errors.AsType[*mail.Error](explain(err)); !ok || e.Kind != mail.Busy || e.Cause != err {
			t.Errorf("locked out: %v", explain(err))
		}
		return nil
	})
	if plain := errors.New("no"); explain(plain) != plain || explain(nil) != nil {
		t.Error("an error that is none of SQLite's was explained")
	}
}

// TestMain lets this program be the other process of a test.
func TestMain(m *testing.M) {
	if path := os.Getenv("STORE_TEST_COUNTS_UP"); path != "" {
		if err := countUp(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := closeMany(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const steps = 25

// countUp adds domains, each named by how many there were: two that read the same
// number would collide.
func countUp(path string) error {
	db, err := Open(context.Background(), path, time.Now)
	if err != nil {
		return err
	}
	defer db.Close()
	for i := range steps {
		change := db.Update
		if i%2 == 1 {
			change = db.Alone
		}
		err := change(context.Background(), func(ctx context.Context, tx *Tx) error {
			s, err := tx.State(ctx)
			if err != nil {
				return err
			}
			return add("user1", fmt.Sprintf("d%d.example", s.Domains))(ctx, tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesAndHandlesExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	db := openAt(t, path, time.Now)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "STORE_TEST_COUNTS_UP="+path)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("the other process: %v\n%s", err, out)
			}
		})
		all.Go(func() {
			if err := countUp(path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := state(t, db); s.Domains != 4*steps {
		t.Errorf("%d domains, want %d", s.Domains, 4*steps)
	}
}
