package module

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/files"
)

func TestEmptyDatabaseRemovesNobodysDomains(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 10)
	before := standing(t, w)
	for _, f := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(w.dir, files.Debian.State, "maildomain.db"+f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	lost := emptyWorld(t, w.dir)
	for range 2 {
		if _, err := lost.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "settings of 10 mail domains stand") {
			t.Errorf("started: %v", err)
		}
	}
	if diff := cmp.Diff(before, standing(t, lost)); diff != "" {
		t.Errorf("refused, but:\n%s", diff)
	}
	if !isReady(t, lost) || !lost.Unpublished() {
		t.Errorf("mail flows: %v, reconcile is wanted: %v", isReady(t, lost), lost.Unpublished())
	}
	if err := lost.Close(t.Context()); err != nil || stateOf(t, lost).Clean {
		t.Errorf("and the stop was noted as clean: %v", err)
	}
	// Foreign files alone are no domains of ours.
	fresh := emptyWorld(t, t.TempDir())
	if err := os.WriteFile(fresh.settingsOf("notes"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := reconcile(t, fresh); len(got) != 6 {
		t.Errorf("%q", got)
	}
}

// A database in which something was once changed may be empty by now.
func TestDatabaseOfDeletedDomainsRemovesTheirFiles(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	b, err := os.ReadFile(w.settingsOf("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})
	all(t, done, err)
	if err := os.WriteFile(w.settingsOf("a.example"), b, 0o640); err != nil {
		t.Fatal(err)
	}
	if got := reconcile(t, w); !slices.Equal(got, []string{"domains/a.example: stale, removed"}) {
		t.Errorf("%q", got)
	}
}

func TestStartComparesAfterAnUncleanStop(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 5)
	before := standing(t, w)
	spoil := func() {
		t.Helper()
		if err := os.Remove(w.settingsOf("d001.example")); err != nil {
			t.Fatal(err)
		}
	}
	leave := func() string { // a file that a killed process had staged
		t.Helper()
		p := filepath.Join(w.dir, files.Debian.Exim, "maildomain.stage", "left")
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	start := func() []string {
		t.Helper()
		left := leave()
		repairs, err := w.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left in the stage: %v", err)
		}
		return said(repairs)
	}
	spoil()
	if got := start(); !slices.Equal(got, []string{"domains/d001.example: missing, written"}) {
		t.Errorf("after an unclean stop: %q", got)
	}
	if err := w.Close(t.Context()); err != nil || !stateOf(t, w).Clean {
		t.Fatalf("the stop is not clean: %v", err)
	}
	spoil() // an orderly start answers at once, without looking
	if got := start(); len(got) != 0 {
		t.Errorf("after a clean stop: %q", got)
	}
	if err := os.Remove(filepath.Join(w.dir, files.Debian.Ready())); err != nil { // but not while mail waits
		t.Fatal(err)
	}
	if got := start(); len(got) != 1 || !isReady(t, w) {
		t.Errorf("while mail waits: %q", got)
	}
	if diff := cmp.Diff(before, standing(t, w)); diff != "" {
		t.Error(diff)
	}
	change(t, w, as("user1"), "d001.example", edit("greylist", "on"))
	if stateOf(t, w).Clean {
		t.Error("changed since, and clean")
	}
}

func TestHealthOfAWorldThatWasNeverStarted(t *testing.T) {
	nothing, reload := map[string]int{"orders": 0, "former": 0, "records": 0, "keys": 0, "mail": 0, "reload": 0}, map[string]int{"orders": 0, "former": 0, "records": 0, "keys": 0, "mail": 0, "reload": 1}
	noFilters := map[string]FilterState{}
	w := emptyWorld(t, t.TempDir())
	if h, err := w.Health(t.Context()); err != nil || !cmp.Equal(h, Health{Queues: nothing, Filters: noFilters}) {
		t.Errorf("not started: %+v, %v", h, err)
	}
	reconcile(t, w)
	if h, err := w.Health(t.Context()); err != nil || !cmp.Equal(h, Health{OK: true, Queues: reload, Filters: noFilters}) {
		t.Errorf("started: %+v, %v", h, err)
	}
	if err := w.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h, err := w.Health(t.Context()); err != nil || !cmp.Equal(h, Health{OK: true, Queues: nothing, Filters: noFilters}) {
		t.Errorf("once Dovecot was told: %+v, %v", h, err)
	}
	if got := slices.Sorted(maps.Keys(standing(t, w))); !slices.Equal(got, []string{"domainips", "maildomain.filters", "maildomain.ready", "ssl/sni"}) {
		t.Errorf("files of no domains: %q", got)
	}
}
