package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"maildomain/module/files"
	"maildomain/module/store"
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
		if found := reconcile(t, w); len(found) != 101 { // settings and outgoing addresses
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
	if got := reconcile(t, fresh); len(got) != 2 {
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

// A watch sees what happens to the entries of a directory, in order.
type watch struct{ fd int }

func watchDir(t *testing.T, dir string) watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM); err != nil {
		t.Fatal(err)
	}
	return watch{fd}
}

// seen are the events so far, "+name" and "-name".
func (w watch) seen(t *testing.T) (events []string) {
	t.Helper()
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(w.fd, b)
		if errors.Is(err, unix.EAGAIN) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&b[at]))
			at += unix.SizeofInotifyEvent
			sign := "+"
			if e.Mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0 {
				sign = "-"
			}
			events = append(events, sign+strings.TrimRight(string(b[at:at+int(e.Len)]), "\x00"))
			at += int(e.Len)
		}
	}
}

// wait blocks until something happens.
func (w watch) wait(t *testing.T) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("nothing happened: %v", err)
		}
		return
	}
}

func TestMailWaitsWhileManyAreMissing(t *testing.T) {
	w := newWorld(t)
	fill(t, w, together+1)
	remove := func(n int) {
		t.Helper()
		for i := range n {
			if err := os.Remove(w.settingsOf(fmt.Sprintf("d%03d.example", i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	exim := watchDir(t, filepath.Join(w.dir, files.Debian.Exim))

	// As many as can be put back at once are put back while mail flows.
	remove(together)
	reconcile(t, w)
	if got := exim.seen(t); len(got) != 0 {
		t.Errorf("with %d missing: %q", together, got)
	}

	// One more, and mail waits: held here before the first file is put back.
	remove(together + 1)
	other, err := store.Open(t.Context(), filepath.Join(w.dir, files.Debian.State, "maildomain.db"), w.tick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	locked, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := other.Alone(context.Background(), func(context.Context, *store.Tx) error {
			close(locked)
			<-release
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-locked
	all.Go(func() {
		if _, err := w.Reconcile(context.Background()); err != nil {
			t.Error(err)
		}
	})
	exim.wait(t)
	if isReady(t, w) {
		t.Error("mail is refused for domains that are missing")
	}
	if names, err := os.ReadDir(filepath.Join(w.dir, files.Debian.Domains())); err != nil || len(names) != 0 {
		t.Errorf("put back before mail waits: %v, %v", names, err)
	}
	if h, err := w.Health(t.Context()); err != nil || h.OK {
		t.Errorf("while mail waits: %+v, %v", h, err)
	}
	close(release)
	all.Wait()
	if got := exim.seen(t); !slices.Equal(got, []string{"-maildomain.ready", "+maildomain.ready"}) {
		t.Errorf("the marker: %q", got)
	}
	checkFollows(t, w)
}

func TestMailWaitsWhereTheDirectoryIsMissing(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	if err := os.RemoveAll(filepath.Join(w.dir, files.Debian.Domains())); err != nil {
		t.Fatal(err)
	}
	exim := watchDir(t, filepath.Join(w.dir, files.Debian.Exim))
	reconcile(t, w)
	if got := exim.seen(t); !slices.Equal(got, []string{"-maildomain.ready", "+domains", "+maildomain.ready"}) {
		t.Errorf("an empty directory refuses all mail: %q", got)
	}
	checkFollows(t, w)
}

func TestMailWaitsUntilEveryMissingFileIsBack(t *testing.T) {
	w := newWorld(t)
	fill(t, w, together+6)
	stage := filepath.Join(w.dir, files.Debian.Exim, "maildomain.stage")
	for _, missing := range []int{1, together + 1} {
		for i := range missing {
			if err := os.Remove(w.settingsOf(fmt.Sprintf("d%03d.example", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.RemoveAll(stage), os.WriteFile(stage, nil, 0o600)); err != nil { // no room to stage
			t.Fatal(err)
		}
		repairs, err := w.Reconcile(t.Context())
		if err != nil || len(repairs) != missing || repairs[0].Err == nil || !strings.Contains(repairs[0].Said(), "missing, not put right") {
			t.Errorf("%q, %v", said(repairs), err)
		}
		if isReady(t, w) || !w.Unpublished() {
			t.Errorf("with %d missing mail flows: %v; reconcile is wanted: %v", missing, isReady(t, w), w.Unpublished())
		}
		if h, err := w.Health(t.Context()); err != nil || h.OK || h.Drift != int64(missing) {
			t.Errorf("health %+v, %v", h, err)
		}
		if err := os.Remove(stage); err != nil {
			t.Fatal(err)
		}
		reconcile(t, w)
		if !isReady(t, w) || w.Unpublished() {
			t.Errorf("all is back, and mail flows: %v; reconcile is wanted: %v", isReady(t, w), w.Unpublished())
		}
		checkFollows(t, w)
	}
}

func TestReconcileThatCannotLookStopsMail(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 3)
	domains := filepath.Join(w.dir, files.Debian.Domains())
	if err := errors.Join(os.Rename(domains, domains+".away"), os.Symlink("domains.away", domains)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Reconcile(t.Context()); err == nil {
		t.Error("a link was taken for the directory")
	}
	if isReady(t, w) || !w.Unpublished() {
		t.Errorf("mail flows: %v; reconcile is wanted: %v", isReady(t, w), w.Unpublished())
	}
	if err := errors.Join(os.Remove(domains), os.Rename(domains+".away", domains)); err != nil {
		t.Fatal(err)
	}
	if got := reconcile(t, w); len(got) != 0 || !isReady(t, w) {
		t.Errorf("%q, mail flows: %v", got, isReady(t, w))
	}
}

// Who stops a reconcile at the terminal must not stop all mail by it.
func TestInterruptedReconcileStopsNoMail(t *testing.T) {
	w := newWorld(t)
	fill(t, w, 3)
	if err := os.Remove(w.settingsOf("d001.example")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if _, err := w.Reconcile(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("reconcile: %v", err)
		}
		if !isReady(t, w) || !w.Unpublished() {
			t.Errorf("mail flows: %v; reconcile is wanted: %v", isReady(t, w), w.Unpublished())
		}
	}
	if err := w.Close(t.Context()); err != nil || stateOf(t, w).Clean {
		t.Errorf("and the stop was noted as clean: %v", err)
	}
	reconcile(t, w)
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
	w := emptyWorld(t, t.TempDir())
	if h, err := w.Health(t.Context()); err != nil || h != (Health{}) {
		t.Errorf("not started: %+v, %v", h, err)
	}
	reconcile(t, w)
	if h, err := w.Health(t.Context()); err != nil || h != (Health{OK: true}) {
		t.Errorf("started: %+v, %v", h, err)
	}
	if got := slices.Sorted(maps.Keys(standing(t, w))); !slices.Equal(got, []string{"domainips", "maildomain.ready"}) {
		t.Errorf("files of no domains: %q", got)
	}
}
