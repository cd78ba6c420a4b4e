package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/files"
)

// fill makes n domains of every kind.
func fill(t testing.TB, w *world, n int) {
	t.Helper()
	for i := range n {
		e := edit("name", fmt.Sprintf("d%03d.example", i))
		switch i % 5 {
		case 1:
			e.IP = ptr("192.0.2.2")
		case 2:
			e.Defaction, e.Redirval = ptr("redirect"), ptr(fmt.Sprintf("me+%d@пример.рф", i))
		case 3:
			e.Defaction, e.Redirval = ptr("redirdomain"), ptr("target.example")
		case 4:
			e.Defaction, e.Greylist = ptr("ignore"), ptr(true)
		}
		if _, err := w.AddDomain(context.Background(), as("user1"), e); err != nil {
			t.Fatal(err)
		}
	}
	done, err := w.SuspendDomains(context.Background(), as("user1"), []string{"d000.example", "d002.example"})
	all(t, done, err)
}

func TestReconcileBringsBackEveryByte(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 100)
	before := standing(t, w)
	for what, destroy := range map[string]func() error{
		"every file": func() error {
			for p := range before {
				if err := os.Remove(filepath.Join(w.dir, files.Debian.Exim, p)); err != nil {
					return err
				}
			}
			return nil
		},
		"every directory": func() error {
			return errors.Join(os.RemoveAll(filepath.Join(w.dir, files.Debian.Exim)), os.MkdirAll(filepath.Join(w.dir, files.Debian.Exim), 0o755))
		},
		"every byte": func() error {
			for p := range before {
				if err := os.Truncate(filepath.Join(w.dir, files.Debian.Exim, p), 0); err != nil {
					return err
				}
			}
			return nil
		},
		"every mode": func() error {
			for p := range before {
				if err := os.Chmod(filepath.Join(w.dir, files.Debian.Exim, p), 0o666); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := destroy(); err != nil {
			t.Fatal(err)
		}
		if found := reconcile(t, w); len(found) != 103 { // settings, outgoing addresses, filters, names of certificates
			t.Errorf("%s: %d repairs", what, len(found))
		}
		got := standing(t, w)
		for p, text := range got { // of the marker only that it stands matters
			if p == "maildomain.ready" && text != "" {
				got[p] = before[p]
			}
		}
		if diff := cmp.Diff(before, got); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
		if again := reconcile(t, w); len(again) != 0 {
			t.Errorf("%s, a second time: %q", what, again)
		}
	}
	checkFollows(t, w)
}

func TestReconcileTellsWhatItFound(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "missing.example", "edited.example", "torn.example", "mode.example", "link.example", "foreign.example", "dir.example", "good.example")
	ours, err := os.ReadFile(w.settingsOf("good.example"))
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(outside, ours, 0o600),
		os.Remove(w.settingsOf("missing.example")),
		os.WriteFile(w.settingsOf("edited.example"), append(slices.Clip(ours), "greylist: on\n"...), 0),
		os.Truncate(w.settingsOf("torn.example"), 0),
		os.Chmod(w.settingsOf("mode.example"), 0o666),
		os.Remove(w.settingsOf("link.example")),
		os.Symlink(outside, w.settingsOf("link.example")),
		os.WriteFile(w.settingsOf("foreign.example"), []byte("mine\n"), 0),
		os.Remove(w.settingsOf("dir.example")),
		os.Mkdir(w.settingsOf("dir.example"), 0o700),
		os.WriteFile(w.settingsOf("stale.example"), ours, 0o640),
		os.WriteFile(w.settingsOf("GOOD.example"), ours, 0o640), // no name of ours is written so
		os.WriteFile(w.settingsOf("good.example~"), ours, 0o640),
		os.WriteFile(w.settingsOf("notes"), []byte("to do\n"), 0o600),
		os.Symlink(outside, w.settingsOf("unknown-link.example")),
		os.Remove(filepath.Join(w.dir, files.Debian.DomainIPs())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"domainips: missing, written",
		"domains/GOOD.example: stale, removed",
		"domains/dir.example: foreign, left alone",
		"domains/edited.example: edited, written",
		"domains/foreign.example: foreign, left alone",
		"domains/good.example~: stale, removed",
		"domains/link.example: edited, written",
		"domains/missing.example: missing, written",
		"domains/mode.example: owner, written",
		"domains/notes: foreign, left alone",
		"domains/stale.example: stale, removed",
		"domains/torn.example: edited, written",
		"domains/unknown-link.example: foreign, left alone",
	}
	if diff := cmp.Diff(want, reconcile(t, w)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if h, err := w.Health(t.Context()); err != nil || h.OK || h.Drift != 4 {
		t.Errorf("with four left alone: %+v, %v", h, err)
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != string(ours) {
		t.Errorf("what a link led to: %q, %v", b, err)
	}
	for _, n := range []string{"foreign.example", "dir.example", "notes", "unknown-link.example"} {
		if err := os.RemoveAll(w.settingsOf(n)); err != nil {
			t.Fatal(err)
		}
	}
	if got := reconcile(t, w); len(got) != 2 {
		t.Errorf("with the foreign ones out of the way: %q", got)
	}
	if h, err := w.Health(t.Context()); err != nil || !h.OK || h.Drift != 0 {
		t.Errorf("all is right: %+v, %v", h, err)
	}
	checkFollows(t, w)
}

// Changes, reconciles and people with editors, all at once: afterwards the files are
// what the database says, and no change was undone by a repair.
func TestChangesDuringReconcileStand(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 40)
	bg := context.Background()
	stop := make(chan struct{})
	var beside, changes sync.WaitGroup
	for range 2 {
		beside.Go(func() {
			for {
				if _, err := w.Reconcile(bg); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	beside.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p := w.settingsOf(fmt.Sprintf("d%03d.example", i%40))
			switch i % 3 {
			case 0:
				_ = os.Remove(p)
			case 1:
				if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
					_, _ = f.WriteString("greylist: on\n")
					_ = f.Close()
				}
			case 2:
				_ = os.Chmod(p, 0o600)
			}
		}
	})
	for i := range 8 {
		changes.Go(func() {
			for j := range 12 {
				n := fmt.Sprintf("d%03d.example", (i*12+j)%40)
				var err error
				switch own := fmt.Sprintf("new%d-%d.example", i, j); j % 4 {
				case 0:
					_, err = w.EditDomain(bg, as("user1"), n, edit("ip", []string{"auto", "192.0.2.1", "192.0.2.2"}[i%3]))
				case 1:
					_, err = w.AddDomain(bg, as("user1"), edit("name", own, "ip", "2001:db8::1"))
				case 2:
					err = one(w.SuspendDomains(bg, as("user1"), []string{n}))
				case 3:
					if _, err = w.AddDomain(bg, as("user1"), edit("name", own)); err == nil {
						err = one(w.DeleteDomains(bg, as("user1"), []string{own}))
					}
				}
				if err != nil {
					t.Errorf("change %d.%d: %v", i, j, err)
				}
			}
		})
	}
	changes.Wait()
	close(stop)
	beside.Wait()
	if repairs, err := w.Reconcile(bg); err != nil || slices.ContainsFunc(repairs, func(r Repair) bool { return r.Err != nil || r.Left }) {
		t.Errorf("at the end: %q, %v", said(repairs), err)
	}
	checkFollows(t, w)
	if got := reconcile(t, w); len(got) != 0 || !isReady(t, w) {
		t.Errorf("once more: %q", got)
	}
}
