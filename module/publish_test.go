package module

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"maildomain/module/files"
	"maildomain/module/mail"
)

// inTheWay mounts a file of the module's over itself, so that it looks as it should
// and cannot be replaced.
func inTheWay(t *testing.T, w *world, path string) (away func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root, to mount a file")
		}
		t.Skip("this test needs root, to mount a file")
	}
	if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	away = sync.OnceFunc(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(away)
	return away
}

func TestChangeThatCannotBePublishedIsNotLost(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example", "c.example")
	a := inTheWay(t, w, w.settingsOf("a.example"))
	b := inTheWay(t, w, w.settingsOf("b.example"))
	ips := inTheWay(t, w, filepath.Join(w.dir, files.Debian.DomainIPs()))
	unavailable := func(what string, err error) {
		t.Helper()
		checkError(t, what, err, mail.Unavailable, "files", "unavailable_publish")
	}
	_, err := w.EditDomain(t.Context(), as("user1"), "a.example", edit("greylist", "on"))
	unavailable("edit", err)
	unavailable("delete", one(w.DeleteDomains(t.Context(), as("user1"), []string{"b.example"})))
	// Data before the gate: without its address in place the domain is not opened.
	_, err = w.AddDomain(t.Context(), as("user1"), edit("name", "d.example", "ip", "192.0.2.2"))
	unavailable("add", err)
	got := standing(t, w)
	if _, there := got["domains/d.example"]; there || strings.Contains(got["domains/a.example"], "greylist: on") {
		t.Errorf("published: %q", got)
	}
	if d := domainOf(t, w, "a.example"); !d.Greylist {
		t.Error("the change is lost")
	}
	h, err := w.Health(t.Context())
	if err != nil || h.OK || h.Applied != h.Revision-1 || !w.Unpublished() {
		t.Errorf("health %+v, %v; unpublished %v", h, err, w.Unpublished())
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := stateOf(t, w); s.Clean {
		t.Error("with a change unpublished the stop was noted as clean")
	}

	a()
	repairs, err := w.Reconcile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, r := range repairs {
		if r.Err != nil {
			failed++
			checkError(t, r.Path, r.Err, mail.Unavailable, "files", "unavailable_files")
		}
	}
	if failed != 2 || !w.Unpublished() {
		t.Errorf("while two are in the way: %q", said(repairs))
	}
	b()
	ips()
	if got := reconcile(t, w); len(got) != 2 {
		t.Errorf("put right: %q", got)
	}
	checkFollows(t, w)
	if h, err := w.Health(t.Context()); err != nil || !h.OK || h.Applied != h.Revision || w.Unpublished() {
		t.Errorf("health %+v, %v", h, err)
	}
}

func TestFullDiskChangesNothingAnywhere(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root, for a small file system of its own")
		}
		t.Skip("this test needs root, for a small file system of its own")
	}
	dir := t.TempDir()
	exim := filepath.Join(dir, files.Debian.Exim)
	if err := os.MkdirAll(exim, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", exim, "tmpfs", 0, "size=256k"); err != nil { // the files alone; the database has room
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(exim, unix.MNT_DETACH) })
	w := emptyWorld(t, dir)
	reconcile(t, w)
	add(t, w, as("user1"), "a.example", "b.example")
	before := standing(t, w)
	filler := filepath.Join(exim, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	_, added := w.AddDomain(t.Context(), as("user1").request("r1"), edit("name", "c.example", "ip", "192.0.2.2"))
	_, edited := w.EditDomain(t.Context(), as("user1"), "a.example", edit("greylist", "on"))
	suspended := one(w.SuspendDomains(t.Context(), as("user1"), []string{"b.example"}))
	for what, err := range map[string]error{"add": added, "edit": edited, "suspend": suspended} {
		checkError(t, what, err, mail.Unavailable, "disk", "unavailable_disk")
	}
	if h, err := w.Health(t.Context()); err != nil || !h.OK || h.Revision != 2 || h.Domains != 2 {
		t.Errorf("health %+v, %v", h, err)
	}
	done, err := w.DeleteDomains(t.Context(), as("user1"), []string{"b.example"}) // needs no room
	all(t, done, err)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	delete(before, "domains/b.example")
	if diff := cmp.Diff(before, standing(t, w)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.AddDomain(t.Context(), as("user1").request("r1"), edit("name", "c.example", "ip", "192.0.2.2")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	checkFollows(t, w)
}
