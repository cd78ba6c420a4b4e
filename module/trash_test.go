package module

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// killedBeforeMove does something over the same directory as the process would that is
// killed when its change is durable and before any file or mail follows: the mail goes
// back to where it was. It returns the process that comes after it.
func killedBeforeMove(t *testing.T, w *world, do func(*world)) *world {
	t.Helper()
	before := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	if err := chownLike(w.dir, before); err != nil {
		t.Fatal(err)
	}
	do(w)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, top := range []string{"etc", "var/vmail"} {
		if err := os.RemoveAll(filepath.Join(w.dir, top)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(before, top), filepath.Join(w.dir, top)); err != nil {
			t.Fatal(err)
		}
	}
	next := emptyWorld(t, w.dir)
	next.people, next.now = w.people, w.now
	next.Module.panel = next.people.panel()
	return next
}

// start is Start where it has to succeed.
func start(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDeletionThatWasCutOffIsCarriedOut(t *testing.T) {
	for what, do := range map[string]func(*world){
		"domain":  func(w *world) { group(t, w.DeleteDomains, as("user1"), "a.example") },
		"mailbox": func(w *world) { group(t, w.DeleteMailboxes, as("user1"), "info@a.example") },
		"clear":   func(w *world) { group(t, w.ClearMailboxes, as("user1"), "info@a.example") },
		"mailbox, then the domain": func(w *world) {
			group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
			group(t, w.DeleteDomains, as("user1"), "a.example")
		},
	} {
		w := peopled(t)
		files := w.everything(t)
		w = killedBeforeMove(t, w, do)
		start(t, w)
		checkConsistent(t, w)
		if diff := cmp.Diff(neighbours(files), neighbours(w.everything(t))); diff != "" {
			t.Errorf("%s: neighbours (-want +got):\n%s", what, diff)
		}
		if _, err := os.Lstat(filepath.Join(w.mailOf("info@a.example"), "Maildir")); !os.IsNotExist(err) {
			t.Errorf("%s: the mail stands: %v", what, err)
		}
		switch what {
		case "clear":
			continue
		case "domain", "mailbox, then the domain":
			restore(t, w, as("user1"), "a.example")
		}
		if what != "domain" {
			restore(t, w, as("user1"), "info@a.example")
		}
		if diff := cmp.Diff(files, w.everything(t)); diff != "" {
			t.Errorf("%s: restored (-want +got):\n%s", what, diff)
		}
	}
}

func TestRestoreThatWasCutOffIsCarriedOut(t *testing.T) {
	for _, what := range []string{"a.example", "info@a.example", "empty@a.example"} {
		w := peopled(t)
		files := w.everything(t)
		if what == "a.example" {
			group(t, w.DeleteDomains, as("user1"), what)
		} else {
			group(t, w.DeleteMailboxes, as("user1"), what)
		}
		settle(t, w)
		w = killedBeforeMove(t, w, func(w *world) { restore(t, w, as("user1"), what) })
		start(t, w)
		settle(t, w)
		if diff := cmp.Diff(files, w.everything(t)); diff != "" {
			t.Errorf("%s: restored (-want +got):\n%s", what, diff)
		}
		checkConsistent(t, w)

		// Cut off once more, it is deleted again before anything settles.
		w = killedBeforeMove(t, w, func(w *world) { group(t, w.DeleteDomains, as("user1"), "a.example") })
		w = killedBeforeMove(t, w, func(w *world) { restore(t, w, as("user1"), "a.example") })
		group(t, w.DeleteDomains, as("user1"), "a.example")
		restore(t, w, as("user1"), "a.example")
		if diff := cmp.Diff(files, w.everything(t)); diff != "" {
			t.Errorf("%s: back and forth (-want +got):\n%s", what, diff)
		}
		checkConsistent(t, w)
	}
}

func TestReconcileBringsBackWhatMailboxesNeed(t *testing.T) {
	w := peopled(t)
	files := w.everything(t)
	for _, gone := range []string{"etc/exim4/domains", "etc/exim4/mailboxes", "etc/dovecot/users", "var/vmail/a.example/empty", "var/vmail/a-example.org"} {
		if err := os.RemoveAll(filepath.Join(w.dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, w)
	now := w.everything(t)
	for p := range files {
		if parts := splitPath(p); slices.Contains(parts, "Maildir") && slices.Contains(parts, "a-example.org") {
			delete(files, p) // letters that somebody removed are gone
		}
	}
	if diff := cmp.Diff(files, now); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found := reconcile(t, w); len(found) > 0 || !isReady(t, w) {
		t.Errorf("reconcile again found %q", found)
	}
	checkConsistent(t, w)
}

// What an administrator did with the mail of one domain is no reason to stop the mail
// of all.
func TestOddDirectoryOfMailStopsNobody(t *testing.T) {
	w := peopled(t)
	outside := t.TempDir()
	mailOfA := filepath.Join(w.dir, "var/vmail/a.example")
	if err := os.Rename(mailOfA, filepath.Join(outside, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "a"), mailOfA); err != nil {
		t.Fatal(err)
	}
	reconcile(t, w)
	if !isReady(t, w) {
		t.Error("all mail waits")
	}
	if err := w.Measure(t.Context()); err != nil {
		t.Error(err)
	}
	addBox(t, w, as("user1"), "new@a-example.org")
	if _, err := w.AddMailbox(t.Context(), as("user1"), newBoxEdit("new@a.example")); err == nil {
		t.Error("a mailbox was made through a link")
	}
	if es, err := os.ReadDir(filepath.Join(outside, "a")); err != nil || len(es) != 3 {
		t.Errorf("outside there are %v, %v", es, err)
	}
}

// Many callers at once: each is told what came of it, and nothing is left between.
func TestMailboxesComeAndGoAtOnce(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	var elids []string
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		addBox(t, w, as("user1"), n+"@a.example")
		deliver(t, w, n+"@a.example", n)
		elids = append(elids, n+"@a.example")
	}
	files := w.everything(t)
	group(t, w.DeleteMailboxes, as("user1"), elids...)
	if len(w.trash(t)) != len(elids) {
		t.Errorf("the trash holds %q", w.trash(t))
	}
	var ids []string
	for _, e := range elids {
		ids = append(ids, deletedOf(t, w, as("user1"), e)...)
	}
	group(t, w.RestoreDeleted, as("user1"), ids...)
	settle(t, w)
	if diff := cmp.Diff(files, w.everything(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	checkConsistent(t, w)
}

// A mailbox that is deleted while one of its name is made: whoever comes first, the
// letter is in the trash or in its mailbox, and in no other one.
func TestMailboxDeletedAndMadeAtOnceMixesNoMail(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	for round := range 12 {
		addBox(t, w, as("user1"), "info@a.example")
		deliver(t, w, "info@a.example", "the letter")
		var callers sync.WaitGroup
		var deleted, made error
		callers.Go(func() {
			deleted = one(w.DeleteMailboxes(context.Background(), as("user1"), []string{"info@a.example"}))
		})
		callers.Go(func() {
			_, made = w.AddMailbox(context.Background(), as("user1"), newBoxEdit("info@a.example"))
		})
		callers.Wait()
		if deleted != nil {
			t.Fatalf("round %d: delete: %v", round, deleted)
		}
		if e, ok := errors.AsType[*mail.Error](made); made != nil && (!ok || e.Kind != mail.Exists && e.Kind != mail.Busy) {
			t.Fatalf("round %d: add: %v", round, made)
		}
		if made == nil {
			if left, err := os.ReadDir(w.mailOf("info@a.example")); err != nil || len(left) > 0 {
				t.Errorf("round %d: a new mailbox has %v, %v", round, left, err)
			}
			group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
		}
		settle(t, w)
		ids := deletedOf(t, w, as("user1"), "info@a.example")
		group(t, w.RestoreDeleted, as("user1"), ids[len(ids)-1]) // the first
		if _, err := os.Stat(filepath.Join(w.mailOf("info@a.example"), "Maildir/cur")); err != nil {
			t.Errorf("round %d: the letter is gone: %v", round, err)
		}
		group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
		group(t, w.ForgetDeleted, as("user1"), deletedOf(t, w, as("user1"), "info@a.example")...)
		checkConsistent(t, w)
	}
}

// What a change that may still be undone is to move, nothing else touches.
func TestMailThatIsToBeMovedStaysUntilItIsSure(t *testing.T) {
	w := peopled(t)
	files := w.everything(t)
	failed := errors.New("undone")
	err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		b, _, err := tx.Mailbox(ctx, mail.StoredAddress("info@a.example"))
		if err != nil {
			return err
		}
		what := store.Deleted{Object: "info@a.example", Name: b.Domain, Owner: "user1", Mailboxes: []mail.Mailbox{b}}
		if err := w.bury(ctx, tx, as("user1"), &deed{}, what); err != nil {
			return err
		}
		if err := tx.DeleteMailbox(ctx, b.Address()); err != nil {
			return err
		}
		checkError(t, "one of that name", w.vacateBox(ctx, tx, b.Address()), mail.Busy, "elid", "")
		checkError(t, "the domain", w.vacate(ctx, tx, b.Domain), mail.Busy, "elid", "")
		if err := w.vacateBox(ctx, tx, mail.StoredAddress("other@a.example")); err != nil {
			t.Errorf("another mailbox: %v", err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, w.everything(t)); diff != "" || len(w.trash(t)) > 0 {
		t.Errorf("undone (-want +got):\n%s\n%q", diff, w.trash(t))
	}
	group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
	addBox(t, w, as("user1"), "info@a.example")
	checkConsistent(t, w)
}
