package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maildomain/module/mail"
)

func TestChangesThatWaitShareACommitAndFailAlone(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		bg := context.Background()
		q.submit("a", q.db.Update, bg, add("user1", "a.example"))
		q.submit("b", q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
			// What came before in the same commit is seen, and what fails is undone.
			if got, err := names(ctx, tx); got != "a.example first.example" || err != nil {
				t.Errorf("b sees %q, %v", got, err)
			}
			if err := add("user1", "b.example")(ctx, tx); err != nil {
				return err
			}
			return errors.New("no")
		})
		q.submit("c", q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
			if got, err := names(ctx, tx); got != "a.example first.example" || err != nil {
				t.Errorf("c sees %q, %v", got, err)
			}
			return add("user2", "c.example")(ctx, tx)
		})
		q.submit("d", q.db.Update, bg, add("user1", "a.example")) // taken
		q.submit("e", q.db.Update, bg, add("user1", "e.example"))
		callbacks, outcomes := q.release()
		checkEvents(t, "callbacks", callbacks, "first committed", "a committed", "b undone", "c committed", "d undone", "e committed")
		if len(outcomes) != 6 || !strings.Contains(fmt.Sprint(outcomes), "b: no") || !strings.Contains(fmt.Sprint(outcomes), "d: run") || strings.Count(fmt.Sprint(outcomes), "done") != 4 {
			t.Errorf("outcomes %q", outcomes)
		}
		checkNames(t, q.db, "a.example c.example e.example first.example")
		if s := state(t, q.db); s.Revision != 1 || s.Domains != 4 {
			t.Errorf("after one commit: %+v", s)
		}
	})
}

func TestPanicReachesItsCallerAndHarmsNobodyElse(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		bg := context.Background()
		q.submit("a", q.db.Update, bg, add("user1", "a.example"))
		q.submit("b", q.db.Update, bg, func(ctx context.Context, tx *Tx) error {
			if err := add("user1", "b.example")(ctx, tx); err != nil {
				return err
			}
			panic("boom")
		})
		q.submit("c", q.db.Update, bg, add("user1", "c.example"))
		callbacks, outcomes := q.release()
		checkEvents(t, "callbacks", callbacks, "first committed", "a committed", "b undone", "c committed")
		if !strings.Contains(strings.Join(outcomes, "\n"), "b: panic boom") {
			t.Errorf("outcomes %q", outcomes)
		}
		checkNames(t, q.db, "a.example c.example first.example")

		// The panic keeps the stack of where it happened.
		func() {
			defer func() {
				p, ok := recover().(*panicked)
				if !ok || !strings.Contains(p.Error(), "TestPanicReachesItsCaller") {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = q.db.Update(bg, func(context.Context, *Tx) error { panic("again") })
		}()
		update(t, q.db, add("user1", "d.example"))
	})
}

func TestAloneSharesWithNobody(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		bg := context.Background()
		committed := func() string {
			var got string
			view(t, q.db, func(ctx context.Context, tx *Tx) (err error) {
				got, err = names(ctx, tx)
				return err
			})
			return got
		}
		see := func(wantOwn, wantCommitted, name string) func(context.Context, *Tx) error {
			return func(ctx context.Context, tx *Tx) error {
				own, err := names(ctx, tx)
				if got := committed(); own != wantOwn || got != wantCommitted {
					t.Errorf("%s sees %q where %q is committed; want %q and %q", name, own, got, wantOwn, wantCommitted)
				}
				return errors.Join(err, add("user1", name+".example")(ctx, tx))
			}
		}
		q.submit("a", q.db.Update, bg, see("first.example", "", "a"))
		q.submit("b", q.db.Alone, bg, see("a.example first.example", "a.example first.example", "b"))
		q.submit("c", q.db.Update, bg, see("a.example b.example first.example", "a.example b.example first.example", "c"))
		q.submit("d", q.db.Alone, bg, see("a.example b.example c.example first.example", "a.example b.example c.example first.example", "d"))
		q.submit("e", q.db.Alone, bg, func(context.Context, *Tx) error { return errors.New("no") })
		q.submit("f", q.db.Update, bg, add("user1", "f.example"))
		callbacks, _ := q.release()
		checkEvents(t, "callbacks", callbacks, "first committed", "a committed", "b committed", "c committed", "d committed", "e undone", "f committed")
		if s := state(t, q.db); s.Revision != 5 {
			t.Errorf("revision %d, want 5: first with a, b, c, d, f", s.Revision)
		}
	})
}

func TestBatchIsBounded(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		for i := range 2*maxBatch - 1 {
			n := fmt.Sprintf("d%d", i)
			q.submit(n, q.db.Update, context.Background(), add("user1", n+".example"))
		}
		q.release()
		if s := state(t, q.db); s.Revision != 2 || s.Domains != 2*maxBatch {
			t.Errorf("after two full batches: %+v", s)
		}
	})
}

func TestContextThatEndedBeforeMeansNoChange(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		never := func(context.Context, *Tx) error { t.Error("the change ran"); return nil }
		if err := q.db.Update(ended, never); err != context.Canceled {
			t.Errorf("ended before: %v", err)
		}
		waiting, cancel := context.WithCancel(context.Background())
		q.submit("waiting", q.db.Update, waiting, never)
		cancel()
		synctest.Wait()
		checkEvents(t, "while the writer is held", q.events, "waiting: context canceled")

		// Ended while it waits behind another in the same batch: cancelled by that one.
		behind, cancel := context.WithCancel(context.Background())
		q.submit("a", q.db.Update, context.Background(), func(context.Context, *Tx) error { cancel(); return nil })
		q.submit("b", q.db.Update, behind, never)
		// Ended while it runs: it runs to its end.
		running, cancel2 := context.WithCancel(context.Background())
		q.submit("c", q.db.Update, running, func(ctx context.Context, tx *Tx) error {
			cancel2()
			return add("user1", "c.example")(ctx, tx)
		})
		callbacks, _ := q.release()
		checkEvents(t, "callbacks", callbacks, "first committed", "a committed", "c committed")
		checkNames(t, q.db, "c.example first.example")
	})
}

// Whether the writer or the end of the context is noticed first is a matter of luck.
func TestContextThatEndedMeansNoChangeByAnIdleWriter(t *testing.T) {
	db := open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		err := db.Update(ended, func(context.Context, *Tx) error { t.Error("the change ran"); return nil })
		if err != context.Canceled {
			t.Errorf("ended before: %v", err)
		}
	}
}

func TestCloseEndsWhatRunsAndRefusesWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	inQueueClosed := func(t *testing.T) {
		db, err := Open(context.Background(), path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		q := &queue{t: t, db: db, hold: make(chan struct{})}
		q.submit("runs", db.Update, context.Background(), func(ctx context.Context, tx *Tx) error {
			<-q.hold
			return add("user1", "runs.example")(ctx, tx)
		})
		never := func(context.Context, *Tx) error { t.Error("a change ran after Close"); return nil }
		q.submit("waits", db.Update, context.Background(), never)
		q.submit("waits alone", db.Alone, context.Background(), never)
		q.all.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			q.note("closed")
		})
		synctest.Wait()
		slices.Sort(q.events)
		checkEvents(t, "while one runs", q.events, "waits alone: "+ErrClosed.Error(), "waits: "+ErrClosed.Error())
		close(q.hold)
		q.all.Wait()
		if err := db.Update(context.Background(), never); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		if err := db.ForgetAnswers(context.Background(), epoch); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		if err := db.View(context.Background(), never); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
	synctest.Test(t, inQueueClosed)
	checkNames(t, openAt(t, path, time.Now), "runs.example")
}

func TestChangeThatWritesNothingIsNoRevision(t *testing.T) {
	db := open(t)
	ran := false
	update(t, db, func(ctx context.Context, tx *Tx) error {
		tx.OnCommit(func() { ran = true })
		_, err := names(ctx, tx)
		return err
	})
	if s := state(t, db); s.Revision != 0 || !ran {
		t.Errorf("revision %d, callback ran: %v", s.Revision, ran)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	db := open(t)
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			for j := range 10 {
				n := fmt.Sprintf("d%d-%d.example", i, j)
				err := db.Update(context.Background(), func(ctx context.Context, tx *Tx) error {
					if err := add(fmt.Sprint("user", i), n)(ctx, tx); err != nil {
						return err
					}
					if (i+j)%5 == 0 {
						return errors.New("no")
					}
					return nil
				})
				if (err != nil) != ((i+j)%5 == 0) {
					t.Errorf("%s: %v", n, err)
				}
				// What was answered is there for whoever reads next.
				view(t, db, func(ctx context.Context, tx *Tx) error {
					_, found, err2 := tx.Domain(ctx, mail.StoredName(n))
					if found != (err == nil) {
						t.Errorf("%s was answered %v and is there: %v", n, err, found)
					}
					return err2
				})
			}
		})
	}
	all.Wait()
	checkCounts(t, db)
	if s := state(t, db); s.Domains != 24*8 {
		t.Errorf("%d domains", s.Domains)
	}
}
