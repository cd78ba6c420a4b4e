package store

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
