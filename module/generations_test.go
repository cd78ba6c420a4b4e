package module

import (
	"context"
	"testing"
	"time"

	"maildomain/module/store"
)

// Few certificates leave sessions alone for long, many for the time between two reloads.
func TestReloadsLeaveSessionsAloneWhileMemoryLasts(t *testing.T) {
	for certificates, want := range map[int]int{0: 85, 10: 64, 100: 16, 300: 6, 1500: 1} {
		held, n := 0, 0
		for crowded := false; !crowded; n++ {
			held, crowded = afterGeneration(held, certificates)
		}
		if n-1 != want {
			t.Errorf("with %d certificates %d reloads end no session, want %d", certificates, n-1, want)
		}
	}
}

func TestSessionsEndWhereReloadsLeaveTooMuchBehind(t *testing.T) {
	s := newShop(t)
	addBox(t, s.world, as("admin"), "box@a.example")
	session, err := s.x.IMAP(t.Context(), "box@a.example", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	held := func(set string) (is string) {
		t.Helper()
		err := s.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if set != "" {
				return tx.Set(ctx, tlsGenerations, set)
			}
			kept, err := tx.Settings(ctx)
			is = kept[tlsGenerations]
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	s.another(t)
	s.reload(t)
	if err := session.Noop().Wait(); err != nil || held("") == "" {
		t.Fatalf("a session was ended though %s MB are held: %v", held(""), err)
	}
	held("510")
	s.another(t)
	s.reload(t)
	for end := time.Now().Add(20 * time.Second); session.Noop().Wait() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the session goes on")
		}
	}
	if is := held(""); is != "0" {
		t.Errorf("%q MB are held afterwards", is)
	}
}
