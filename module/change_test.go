package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"maildomain/module/files"
	"maildomain/module/mail"
)

func TestRepeatedRequestIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	by := as("user1").request("r1")
	for range 3 {
		n, err := w.AddDomain(t.Context(), by, edit("name", "a.example"))
		if err != nil || n.String() != "a.example" {
			t.Fatalf("added %q, %v", n, err)
		}
	}
	at, err := os.Stat(w.settingsOf("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if h := history(t, w, "a.example"); len(h) != 1 || revision(t, w) != 1 {
		t.Errorf("%d changes, revision %d", len(h), revision(t, w))
	}
	if _, err := w.AddDomain(t.Context(), by, edit("name", "A.EXAMPLE.", "greylist", "on")); err != nil {
		t.Errorf("in another spelling: %v", err)
	}
	if now, err := os.Stat(w.settingsOf("a.example")); err != nil || !os.SameFile(at, now) {
		t.Errorf("the file was written again: %v", err)
	}

	// The answer stands though the domain has moved on since.
	change(t, w, as("user1").request("r2"), "a.example", edit("greylist", "on"))
	change(t, w, as("user1").request("r3"), "a.example", edit("greylist", "off"))
	change(t, w, as("user1").request("r2"), "a.example", edit("greylist", "on"))
	if domainOf(t, w, "a.example").Greylist {
		t.Error("a repeated edit was carried out again")
	}
	done, err := w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	done, err = w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	add(t, w, as("user1").request("r5"), "a.example")
	done, err = w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	if h := history(t, w, "a.example"); len(h) != 5 {
		t.Errorf("%d changes, want 5", len(h))
	}
	checkFollows(t, w)
}

func TestRepeatedAtOnceIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	var callers sync.WaitGroup
	for range 12 {
		callers.Go(func() {
			if _, err := w.AddDomain(context.Background(), as("user1").request("r1"), edit("name", "a.example")); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if h := history(t, w, "a.example"); len(h) != 1 {
		t.Errorf("%d changes", len(h))
	}
	checkFollows(t, w)
}

func TestRequestIDOfAnotherIsRefused(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1").request("r1"), "a.example")
	change(t, w, as("admin"), "a.example", edit("owner", "user2"))
	was := revision(t, w)
	_, err := w.EditDomain(t.Context(), as("user2").request("r1"), "a.example", edit("greylist", "on"))
	checkError(t, "by another user", err, mail.Invalid, "request_id", "")
	checkError(t, "for another function", one(w.SuspendDomains(t.Context(), as("user1").request("r1"), []string{"a.example"})), mail.Invalid, "request_id", "")
	if revision(t, w) != was {
		t.Error("changed all the same")
	}
	// An id is about one object: a group operation has one for many.
	add(t, w, as("user1").request("r1"), "b.example", "c.example")
	done, err := w.DeleteDomains(t.Context(), as("user1").request("r6"), []string{"b.example", "C.example", "c.example"})
	all(t, done, err)
	checkFollows(t, w)
}

func TestRefusedRequestMayBeRepeatedWhenItCanSucceed(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user2"), "a.example")
	by := as("user1").request("r1")
	_, err := w.AddDomain(t.Context(), by, edit("name", "a.example"))
	checkError(t, "taken", err, mail.Exists, "name", "")
	done, err := w.DeleteDomains(t.Context(), as("user2"), []string{"a.example"})
	all(t, done, err)
	add(t, w, by, "a.example")
}

func TestAnswersAreForgottenAfterADay(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1").request("r1"), "a.example")
	made := domainOf(t, w, "a.example").Created
	suspend := func() {
		t.Helper()
		done, err := w.SuspendDomains(t.Context(), as("user1").request("r2"), []string{"a.example"})
		all(t, done, err)
	}
	resume := func() {
		t.Helper()
		done, err := w.ResumeDomains(t.Context(), as("user1"), []string{"a.example"})
		all(t, done, err)
	}
	suspend()
	resume()
	if err := w.ForgetAnswers(t.Context(), made.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	suspend()
	if !domainOf(t, w, "a.example").Active {
		t.Error("forgotten within a day")
	}
	if err := w.ForgetAnswers(t.Context(), made.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	suspend()
	if domainOf(t, w, "a.example").Active {
		t.Error("kept for longer than a day")
	}
}

func TestCallerWhoHangsUpBeforehandChangesNothing(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.AddDomain(ctx, as("user1"), edit("name", "a.example")); !errors.Is(err, context.Canceled) {
		t.Errorf("added: %v", err)
	}
	if revision(t, w) != 0 {
		t.Error("changed")
	}
	checkFollows(t, w)
}

func TestForeignFileInTheWayIsToldAndKept(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "b.example")
	for _, n := range []string{"a.example", "b.example"} {
		if err := os.WriteFile(w.settingsOf(n), []byte("my own settings\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := standing(t, w)
	unavailable := func(what string, err error) {
		t.Helper()
		checkError(t, what, err, mail.Unavailable, "files", "unavailable_foreign")
	}
	_, err := w.AddDomain(t.Context(), as("user1"), edit("name", "a.example"))
	unavailable("add", err)
	_, err = w.EditDomain(t.Context(), as("user1"), "b.example", edit("greylist", "on"))
	unavailable("edit", err)
	unavailable("suspend", one(w.SuspendDomains(t.Context(), as("user1"), []string{"b.example"})))
	unavailable("delete", one(w.DeleteDomains(t.Context(), as("user1"), []string{"b.example"})))
	if diff := cmp.Diff(before, standing(t, w)); diff != "" || revision(t, w) != 1 {
		t.Errorf("revision %d; files:\n%s", revision(t, w), diff)
	}
}

func TestEditedFileIsWrittenAnewAndLogged(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	b, err := os.ReadFile(w.settingsOf("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.settingsOf("a.example"), append(b, "greylist: on\n"...), 0o640); err != nil {
		t.Fatal(err)
	}
	change(t, w, as("user1").request("r7"), "a.example", edit("greylist", "on"))
	change(t, w, as("user1").request("r8"), "b.example", edit("greylist", "on"))
	checkFollows(t, w)
	if s := w.log.String(); !strings.Contains(s, "etc/exim4/domains/a.example") || !strings.Contains(s, "r7") || strings.Contains(s, "r8") {
		t.Errorf("log: %s", s)
	}
}

// Many changes of one domain share commits; none of them is another's edit.
func TestOwnChangesAreNotLoggedAsOthers(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 5 {
				to := fmt.Sprintf("me%d-%d@other.example", i, j)
				if _, err := w.EditDomain(context.Background(), as("user1"), "a.example", edit("defaction", "redirect", "redirval", to)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	checkFollows(t, w)
	if s := w.log.String(); strings.Contains(s, "not as we left it") {
		t.Errorf("log: %s", s)
	}
}

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
