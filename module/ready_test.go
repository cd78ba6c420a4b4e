package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"maildomain/module/files"
	"maildomain/module/store"
)

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
