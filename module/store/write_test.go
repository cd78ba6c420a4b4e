package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maildomain/module/mail"
)

// A queue holds the writer in a change of its own while others line up behind it,
// so that they share its commit. It runs in a bubble of synctest.
type queue struct {
	t    *testing.T
	db   *DB
	hold chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	events []string
}

// inQueue runs f with the writer held.
func inQueue(t *testing.T, f func(t *testing.T, q *queue)) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(context.Background(), path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		q := &queue{t: t, db: db, hold: make(chan struct{})}
		q.submit("first", db.Update, context.Background(), func(ctx context.Context, tx *Tx) error {
			<-q.hold
			return add("first", "first.example")(ctx, tx)
		})
		f(t, q)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (q *queue) note(what string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, what)
}

// submit lines a change up, as the last so far, and notes what becomes of it.
func (q *queue) submit(name string, as func(context.Context, func(context.Context, *Tx) error) error, ctx context.Context,
	f func(context.Context, *Tx) error) {
	q.all.Go(func() {
		outcome := "done"
		defer func() {
			if p := recover(); p != nil {
				outcome = fmt.Sprintf("panic %v", p.(*panicked).value)
			}
			q.note(name + ": " + outcome)
		}()
		err := as(ctx, func(ctx context.Context, tx *Tx) error {
			tx.OnCommit(func() { q.note(name + " committed") })
			tx.OnUndo(func() { q.note(name + " undone") })
			return f(ctx, tx)
		})
		if err != nil {
			outcome = err.Error()
		}
	})
	synctest.Wait()
}

// release lets the writer go on, and returns what happened, callbacks first.
func (q *queue) release() (callbacks, outcomes []string) {
	close(q.hold)
	q.all.Wait()
	for _, e := range q.events {
		if strings.Contains(e, ":") {
			outcomes = append(outcomes, e)
		} else {
			callbacks = append(callbacks, e)
		}
	}
	return callbacks, outcomes
}

func checkEvents(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

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
