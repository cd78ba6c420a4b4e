package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"maildomain/module/mail"
)

// limitPages lets the database grow by so many pages and no more.
func limitPages(t testing.TB, db *DB, more int) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *Tx) error {
		var have, most int
		if _, err := tx.row(ctx, `PRAGMA page_count`, nil, &have); err != nil {
			return err
		}
		_, err := tx.row(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, have+more), nil, &most)
		return err
	})
}

// bulky is a change of that many bytes.
func bulky(owner, name string, bytes int) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		if err := add(owner, name)(ctx, tx); err != nil {
			return err
		}
		return tx.Audit(ctx, Change{Object: name, After: []byte(strings.Repeat("x", bytes))})
	}
}

func checkDiskFull(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Unavailable || e.Field != "disk" || e.Text != "unavailable_disk" {
		t.Errorf("on a full disk: %v", err)
	}
}

func TestChangeThatFindsNoRoomIsUndone(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	limitPages(t, db, 4)
	for range 3 {
		undone, committed := 0, 0
		err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
			tx.OnUndo(func() { undone++ })
			tx.OnCommit(func() { committed++ })
			return bulky("user1", "b.example", 100_000)(ctx, tx)
		})
		checkDiskFull(t, err)
		if undone != 1 || committed != 0 {
			t.Errorf("undone %d times, committed %d times", undone, committed)
		}
		checkNames(t, db, "a.example")
		checkCounts(t, db)
	}
	limitPages(t, db, 1000)
	update(t, db, bulky("user1", "b.example", 100_000))
	checkNames(t, db, "a.example b.example")
	if s := state(t, db); s.Revision != 2 {
		t.Errorf("revision %d", s.Revision)
	}
}

// Whatever becomes of a batch that does not fit: each change is answered by what
// stands afterwards, and none stands by half.
func TestFullDiskUndoesWhatItSaysItUndid(t *testing.T) {
	for _, pages := range []int{0, 1, 3, 10, 30} {
		inQueue(t, func(t *testing.T, q *queue) {
			// The first change holds the writer: the room is taken behind it.
			q.submit("limit", q.db.Update, context.Background(), func(ctx context.Context, tx *Tx) error {
				var have, most int
				if _, err := tx.row(ctx, `PRAGMA page_count`, nil, &have); err != nil {
					return err
				}
				_, err := tx.row(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, have+pages), nil, &most)
				return err
			})
			const n = 8
			outcome := map[string]error{}
			undone, committed := map[string]int{}, map[string]int{}
			for i := range n {
				name := fmt.Sprintf("d%d.example", i)
				q.submit(name, func(ctx context.Context, f func(context.Context, *Tx) error) error {
					err := q.db.Update(ctx, f)
					q.mu.Lock()
					defer q.mu.Unlock()
					outcome[name] = err
					return err
				}, context.Background(), func(ctx context.Context, tx *Tx) error {
					tx.OnUndo(func() { undone[name]++ })
					tx.OnCommit(func() { committed[name]++ })
					return bulky("user1", name, 20_000)(ctx, tx)
				})
			}
			q.release()
			stood := 0
			view(t, q.db, func(ctx context.Context, tx *Tx) error {
				for name, err := range outcome {
					_, found, err2 := tx.Domain(ctx, mail.StoredName(name))
					if err2 != nil {
						return err2
					}
					rows := 0
					if err := tx.History(ctx, name, 10, func(time.Time, Change) error { rows++; return nil }); err != nil {
						return err
					}
					ok := err == nil
					if ok {
						stood++
					} else {
						checkDiskFull(t, err)
					}
					if found != ok || (rows == 1) != ok || (committed[name] == 1) != ok || (undone[name] == 1) == ok || committed[name]+undone[name] != 1 {
						t.Errorf("%d pages, %s: answered %v, found %v, %d audit rows, committed %d, undone %d",
							pages, name, err, found, rows, committed[name], undone[name])
					}
				}
				return nil
			})
			checkCounts(t, q.db)
			t.Logf("with room for %d pages %d of %d changes stand", pages, stood, n)
			limitPages(t, q.db, 10_000)
			update(t, q.db, bulky("user1", "after.example", 100_000))
		})
	}
}

func TestFullDiskForReal(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root, for a small file system of its own")
		}
		t.Skip("this test needs root, for a small file system of its own")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "maildomain.db")
	db := openAt(t, path, time.Now)
	update(t, db, add("user1", "a.example"))

	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	stood := "a.example"
	refused := false
	for i := range 50 { // the log may have a little room left
		name := fmt.Sprintf("b%02d.example", i)
		switch err := db.Update(t.Context(), bulky("user1", name, 20_000)); {
		case err == nil && refused:
			t.Errorf("%s found room after another found none", name)
		case err == nil:
			stood += " " + name
		default:
			refused = true
			checkDiskFull(t, err)
		}
		checkNames(t, db, stood)
	}
	if !refused {
		t.Error("the disk was never full")
	}
	checkCounts(t, db)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	update(t, db, bulky("user1", "c.example", 20_000))
	checkNames(t, db, stood+" c.example")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	checkNames(t, again, stood+" c.example")
	if err := again.Close(); err != nil { // before the file system goes
		t.Error(err)
	}
}
