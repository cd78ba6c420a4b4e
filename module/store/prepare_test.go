package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// One change's files do not fit on the disk, another's directory is gone: the
// others of the commit stand, and each finds what it would have found without them.
func TestWhatCannotBePreparedFailsAlone(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		bg := context.Background()
		prepared := func(name string, outcome error) func(context.Context, *Tx) error {
			return func(ctx context.Context, tx *Tx) error {
				tx.Prepare(func() error {
					q.note(name + " prepared")
					return outcome
				})
				return add("user1", name+".example")(ctx, tx)
			}
		}
		q.submit("a", q.db.Update, bg, prepared("a", nil))
		q.submit("b", q.db.Update, bg, prepared("b", errors.New("no room")))
		saw := []string{}
		q.submit("c", q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
			got, err := names(ctx, tx)
			saw = append(saw, got)
			return errors.Join(err, prepared("b", nil)(ctx, tx)) // which b would have taken
		})
		q.submit("d", q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
			tx.Prepare(func() error { panic("boom") })
			return add("user1", "d.example")(ctx, tx)
		})
		q.submit("e", q.db.Update, bg, func(context.Context, *Tx) error { return errors.New("never") })
		callbacks, outcomes := q.release()
		checkNames(t, q.db, "a.example b.example first.example")
		said := strings.Join(outcomes, "\n")
		for _, want := range []string{"a: done", "b: no room", "c: done", "d: panic boom", "e: never"} {
			if !strings.Contains(said, want) {
				t.Errorf("outcomes %q, want %q among them", outcomes, want)
			}
		}
		if len(saw) != 2 || saw[1] != "a.example first.example" {
			t.Errorf("c saw %q", saw)
		}
		// What the first attempt prepared is undone before the second begins.
		checkEvents(t, "callbacks", callbacks,
			"a prepared", "b prepared",
			"first undone", "a undone", "b undone", "c undone", "d undone", "e undone",
			"a prepared", "b prepared", "b prepared",
			"first committed", "a committed", "b undone", "c committed", "d undone", "e undone")
		if s := state(t, q.db); s.Revision != 1 || s.Domains != 3 {
			t.Errorf("after one commit: %+v", s)
		}
	})
}

func TestPreparedBeforeTheCommitAndInOrder(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		bg := context.Background()
		var want []string
		for i := range 10 {
			name := fmt.Sprintf("n%d", i)
			q.submit(name, q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
				tx.Prepare(func() error {
					view(t, q.db, func(ctx context.Context, tx *Tx) error {
						if got, err := names(ctx, tx); got != "" || err != nil {
							t.Errorf("%s is prepared when %q is committed, %v", name, got, err)
						}
						return nil
					})
					q.note(name + " prepared")
					return nil
				})
				return add("user1", name+".example")(ctx, tx)
			})
			want = append(want, name+" prepared")
		}
		want = append(want, "first committed")
		for i := range 10 {
			want = append(want, fmt.Sprintf("n%d committed", i))
		}
		callbacks, _ := q.release()
		checkEvents(t, "callbacks", callbacks, want...)
	})
}

// A change whose context ends meanwhile runs to its end, the second time too.
func TestChangeThatIsRunAgainRunsToItsEnd(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		ctx, cancel := context.WithCancel(context.Background())
		q.submit("a", q.db.Update, ctx, add("user1", "a.example"))
		gone, end := context.WithCancel(context.Background())
		q.submit("gone", q.db.Update, gone, add("user1", "gone.example"))
		q.submit("b", q.db.Update, context.Background(), func(_ context.Context, tx *Tx) error {
			tx.Prepare(func() error {
				cancel()
				return errors.New("no room")
			})
			return nil
		})
		end()
		q.release()
		checkNames(t, q.db, "a.example first.example")
	})
}

// What a commit publishes is in place when the next is made, and before a change
// that is alone begins.
func TestPublishedBeforeTheNextCommit(t *testing.T) {
	db := open(t)
	done := make(chan struct{})
	published := false
	held := make(chan struct{})
	go func() {
		defer close(done)
		update(t, db, func(ctx context.Context, tx *Tx) error {
			tx.OnCommit(func() {
				<-held
				published = true
			})
			return add("user1", "a.example")(ctx, tx)
		})
	}()
	for !found(t, db, "a.example") {
	}
	alone := make(chan bool)
	go func() {
		defer close(alone)
		if err := db.Alone(context.Background(), func(context.Context, *Tx) error {
			alone <- published
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-alone:
		t.Error("a change that is alone began before the files of the last were in place")
	case held <- struct{}{}:
	}
	if !<-alone {
		t.Error("it did not find them in place")
	}
	<-alone
	<-done
}

func found(t *testing.T, db *DB, name string) (is bool) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, err := names(ctx, tx)
		is = strings.Contains(got, name)
		return err
	})
	return is
}

func TestCacheIsLargeOnlyWhileManyShareCommits(t *testing.T) {
	cache := func(db *DB) (pages int) {
		update(t, db, func(ctx context.Context, tx *Tx) error {
			return tx.s.conn.QueryRowContext(ctx, `PRAGMA cache_size`).Scan(&pages)
		})
		return pages
	}
	inQueue(t, func(t *testing.T, q *queue) {
		for i := range maxBatch {
			name := fmt.Sprintf("n%d", i)
			q.submit(name, q.db.Update, context.Background(), add("user1", name+".example"))
		}
		q.release()
		for range maxBatch - 1 { // some may come alone in between
			if got := cache(q.db); got != -16000 {
				t.Fatalf("after many changes the cache is %d", got)
			}
		}
		if got := cache(q.db); got != -2000 {
			t.Errorf("after as many changes that came alone the cache is %d", got)
		}
	})
}
