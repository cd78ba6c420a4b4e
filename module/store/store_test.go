package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/mail"
)

// epoch is where the clock of the tests stands unless they move it.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func open(t testing.TB) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "maildomain.db"), func() time.Time { return epoch })
}

func openAt(t testing.TB, path string, now func() time.Time) *DB {
	t.Helper()
	db, err := Open(context.Background(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func update(t testing.TB, db *DB, f func(context.Context, *Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *DB, f func(context.Context, *Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// add inserts domains with the settings of new ones.
func add(owner string, names ...string) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		for _, n := range names {
			d := mail.NewDomain(mail.StoredName(n), owner)
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
		}
		return nil
	}
}

// names are all domains that a transaction sees, joined by blanks.
func names(ctx context.Context, tx *Tx) (string, error) {
	var all []string
	err := tx.Domains(ctx, func(d mail.Domain) error {
		all = append(all, d.Name.String())
		return nil
	})
	return strings.Join(all, " "), err
}

func checkNames(t testing.TB, db *DB, want string) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, err := names(ctx, tx)
		if got != want {
			t.Errorf("domains %q, want %q", got, want)
		}
		return err
	})
}

func state(t testing.TB, db *DB) State {
	t.Helper()
	var s State
	view(t, db, func(ctx context.Context, tx *Tx) (err error) {
		s, err = tx.State(ctx)
		return err
	})
	return s
}

// raw is a plain connection to the database, beside the store.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "_pragma=busy_timeout(0)"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestFreshDatabaseHasTheNewestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	db := openAt(t, path, time.Now)
	if s := state(t, db); s != (State{}) {
		t.Errorf("a fresh database says %+v", s)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var version int
	if err := raw(t, path).QueryRow(`PRAGMA user_version`).Scan(&version); err != nil || version != len(files) {
		t.Errorf("schema version %d, %v; want %d", version, err, len(files))
	}
	for i, f := range files { // the version is the number in the name
		if !strings.HasPrefix(f, fmt.Sprintf("migrations/%04d_", i+1)) {
			t.Errorf("migration %d is called %s", i+1, f)
		}
	}
}

func TestDatabaseIsKeptAndDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	for i := range 3 {
		db, err := Open(t.Context(), path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
				var got string
				_, err := tx.row(ctx, `PRAGMA `+pragma, nil, &got)
				if got != want {
					t.Errorf("%s is %s, want %s", pragma, got, want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		update(t, db, add("user1", fmt.Sprintf("d%d.example", i)))
		if s := state(t, db); s.Domains != int64(i+1) || s.Revision != int64(i+1) {
			t.Errorf("opened for the %d. time: %+v", i+1, s)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the log stands after closing: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
}

func TestNewerDatabaseIsRefusedInASentence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	db := openAt(t, path, time.Now)
	update(t, db, add("user1", "a.example"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	other := raw(t, path)
	if _, err := other.Exec(`PRAGMA user_version = 999`); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, time.Now)
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "999") || !strings.Contains(err.Error(), path) {
		t.Errorf("opened: %v", err)
	}
	var version, rows int
	if err := other.QueryRow(`SELECT (SELECT user_version FROM pragma_user_version), count(*) FROM domain`).Scan(&version, &rows); err != nil || version != 999 || rows != 1 {
		t.Errorf("after the refusal: version %d, %d domains, %v", version, rows, err)
	}
}

func TestWhatIsNoDatabaseIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	text := []byte(strings.Repeat("this is a letter to the administrator\n", 100))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(t.Context(), path, time.Now); err == nil {
		_ = db.Close()
		t.Error("opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}
	if _, err := Open(t.Context(), filepath.Join(path, "below"), time.Now); err == nil {
		t.Error("opened below a file")
	}
}

func TestDatabaseIsNobodyElsesToRead(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, filepath.Join(dir, "maildomain.db"), time.Now)
	update(t, db, add("user1", "a.example"))
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("files %q, %v", files, err)
	}
	for _, f := range files {
		if i, err := os.Stat(f); err != nil || i.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", f, i.Mode(), err)
		}
	}
}

func TestPathsMayHaveAnyCharacter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=ro#c%20d&e'f.db")
	db := openAt(t, path, time.Now)
	update(t, db, add("user1", "a.example"))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestProcessesMayBringTheSchemaUpToDateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			db, err := Open(context.Background(), path, time.Now)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestReadSeesOneMoment(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	view(t, db, func(ctx context.Context, tx *Tx) error {
		before, err := names(ctx, tx)
		if err != nil {
			return err
		}
		update(t, db, add("user1", "b.example")) // beside the read, and not held up by it
		after, err := names(ctx, tx)
		if after != before {
			t.Errorf("%q, then %q", before, after)
		}
		return err
	})
	checkNames(t, db, "a.example b.example")
}

func TestReadCannotWrite(t *testing.T) {
	db := open(t)
	if err := db.View(t.Context(), add("user1", "a.example")); err == nil {
		t.Error("written in a read")
	}
	checkNames(t, db, "")
}

func TestReadsRunSideBySideAndReturnTheirReader(t *testing.T) {
	db := open(t)
	var inside func(n int)
	inside = func(n int) {
		view(t, db, func(context.Context, *Tx) error {
			if n > 1 {
				inside(n - 1)
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := db.View(ctx, func(context.Context, *Tx) error { t.Error("a fifth reader"); return nil }); err != context.Canceled {
				t.Errorf("with all readers taken and no patience: %v", err)
			}
			return nil
		})
	}
	inside(readersAtOnce)
	// Neither an error nor a panic keeps a reader.
	for range 2 * readersAtOnce {
		fault := errors.New("fault")
		if err := db.View(t.Context(), func(context.Context, *Tx) error { return fault }); !errors.Is(err, fault) {
			t.Errorf("error %v", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "fault" {
					t.Errorf("panic %v", p)
				}
			}()
			_ = db.View(t.Context(), func(context.Context, *Tx) error { panic("fault") })
		}()
	}
	inside(readersAtOnce)
}

func TestTransactionHasOneInstant(t *testing.T) {
	var mu sync.Mutex
	now := epoch
	tick := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
	db := openAt(t, filepath.Join(t.TempDir(), "maildomain.db"), tick)
	update(t, db, add("user1", "a.example", "b.example"))
	view(t, db, func(ctx context.Context, tx *Tx) error {
		return tx.Domains(ctx, func(d mail.Domain) error {
			if want := epoch.Add(time.Second).UTC().Truncate(time.Millisecond); !d.Created.Equal(want) || !d.Changed.Equal(want) || d.Created.Location() != time.UTC {
				t.Errorf("%s: created %v, changed %v, want %v", d.Name, d.Created, d.Changed, want)
			}
			return nil
		})
	})
}
