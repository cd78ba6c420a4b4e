package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRevisionsCountChangesOfTheWantedState(t *testing.T) {
	db := open(t)
	want := int64(0)
	for what, c := range map[string]struct {
		do      func() error
		revises bool
	}{
		"change": {func() error { return db.Update(t.Context(), add("user1", "a.example")) }, true},
		"failed change": {func() error {
			err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
				return errors.Join(add("user1", "b.example")(ctx, tx), context.Canceled)
			})
			if !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}, false},
		"forgetting":  {func() error { return db.ForgetAnswers(t.Context(), epoch) }, false},
		"orderly end": {func() error { return db.MarkClean(t.Context(), 0) }, false},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if c.revises {
			want++
		}
		if s := state(t, db); s.Revision != want {
			t.Errorf("after %s: revision %d, want %d", what, s.Revision, want)
		}
	}
}

func TestOnlyThatRevisionIsClean(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maildomain.db")
	db := openAt(t, path, time.Now)
	check := func(what string, want bool) {
		t.Helper()
		if s := state(t, db); s.Clean != want {
			t.Errorf("%s: clean is %v", what, s.Clean)
		}
	}
	mark := func(revision int64) {
		t.Helper()
		if err := db.MarkClean(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
	}
	check("a new database", false)
	mark(0)
	check("marked", true)
	update(t, db, add("user1", "a.example"))
	check("changed since", false)
	mark(0)
	check("marked for an older revision", false)
	mark(2)
	check("marked for one that is to come", false)
	mark(1)
	check("marked", true)
	mark(1)
	check("marked again", true)
	view(t, db, func(ctx context.Context, tx *Tx) error { _, err := names(ctx, tx); return err })
	if err := db.ForgetAnswers(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
	check("read, and answers forgotten", true)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, time.Now)
	check("opened again", true)
}

// A mark that shares its commit with a change must not outlive it.
func TestMarkInTheBatchOfAChangeIsNoMark(t *testing.T) {
	for what, first := range map[string]bool{"mark, then change": true, "change, then mark": false} {
		inQueue(t, func(t *testing.T, q *queue) {
			mark := func() {
				q.submit("mark", func(ctx context.Context, f func(context.Context, *Tx) error) error {
					return q.db.MarkClean(ctx, 0)
				}, context.Background(), nil)
			}
			if first {
				mark()
			}
			q.submit("change", q.db.Update, context.Background(), add("user1", "a.example"))
			if !first {
				mark()
			}
			q.release()
			if s := state(t, q.db); s.Clean || s.Revision != 1 {
				t.Errorf("%s: %+v", what, s)
			}
		})
	}
}

func TestAnswersAreKeptByRequestAndObject(t *testing.T) {
	now := epoch
	db := openAt(t, filepath.Join(t.TempDir(), "maildomain.db"), func() time.Time { return now })
	given := []Answer{
		{RequestID: "r1", Object: "a.example", User: "user1", Func: "f", JSON: []byte(`{"ok":true}`)},
		{RequestID: "r1", Object: "b.example", User: "user1", Func: "f", JSON: []byte(`{"b":1}`)},
		{RequestID: "r2' OR 1", Object: "a.example", User: "user2", Func: "g", JSON: []byte(`{}`)},
	}
	for _, a := range given {
		update(t, db, func(ctx context.Context, tx *Tx) error { return tx.Answer(ctx, a) })
		now = now.Add(time.Hour)
	}
	check := func(want ...Answer) {
		t.Helper()
		var got []Answer
		view(t, db, func(ctx context.Context, tx *Tx) error {
			for _, g := range append(given, Answer{RequestID: "r1", Object: "c.example"}, Answer{RequestID: "R1", Object: "a.example"}, Answer{}) {
				a, found, err := tx.Answered(ctx, g.RequestID, g.Object)
				if err != nil {
					return err
				}
				if found {
					got = append(got, a)
				}
			}
			return nil
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	check(given...)
	if err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Answer(ctx, given[0]) }); err == nil {
		t.Error("a second answer took the place of the first")
	}
	forget := func(before time.Time) {
		t.Helper()
		if err := db.ForgetAnswers(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	forget(epoch)
	check(given...)
	forget(epoch.Add(time.Hour))
	check(given[1:]...)
	forget(now)
	check()
}

func TestHistoryIsNewestFirst(t *testing.T) {
	now := epoch
	db := openAt(t, filepath.Join(t.TempDir(), "maildomain.db"), func() time.Time { return now })
	changes := []Change{
		{RequestID: "r1", User: "user1", RemoteIP: "192.0.2.9", Func: "emaildomain.edit", Object: "a.example", After: []byte(`{"name":"a.example"}`)},
		{RequestID: "r2", User: "user1", SuBy: "admin", Func: "emaildomain.suspend", Object: "a.example", Before: []byte(`{"a":"1"}`), After: []byte(`{"a":"2"}`)},
		{RequestID: "", User: "user2", Func: "emaildomain.edit", Object: "b.example", After: []byte(`{}`)},
		{RequestID: "r3", User: "admin", Func: "emaildomain.delete", Object: "a.example", Before: []byte(`{"a":"2"}`)},
	}
	for i := range changes {
		update(t, db, func(ctx context.Context, tx *Tx) error { return tx.Audit(ctx, changes[i]) })
		changes[i].ID = int64(i + 1) // grows with time
		now = now.Add(time.Minute)
	}
	history := func(object string, most int) (got []Change, at []time.Time) {
		view(t, db, func(ctx context.Context, tx *Tx) error {
			return tx.History(ctx, object, most, func(when time.Time, c Change) error {
				got, at = append(got, c), append(at, when)
				return nil
			})
		})
		return got, at
	}
	got, at := history("a.example", 10)
	if diff := cmp.Diff([]Change{changes[3], changes[1], changes[0]}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(at) == 3 && (!at[2].Equal(epoch.Truncate(time.Millisecond)) || !at[0].Equal(at[2].Add(3*time.Minute))) {
		t.Errorf("at %v", at)
	}
	if got, _ := history("a.example", 1); len(got) != 1 || got[0].RequestID != "r3" {
		t.Errorf("the newest: %+v", got)
	}
	if got, _ := history("A.example", 10); got != nil {
		t.Errorf("of another object: %+v", got)
	}
}
