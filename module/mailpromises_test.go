package module

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

func TestDryRunOfMailboxesChangesNothingAndTellsWhatWould(t *testing.T) {
	w := peopled(t)
	group(t, w.DeleteMailboxes, as("user1"), "off@a.example")
	settle(t, w)
	id := deletedOf(t, w, as("user1"), "off@a.example")
	for what, c := range map[string]struct {
		do               func(by Actor) error
		mailboxes, bytes int64
		files            int
	}{
		"add": {func(by Actor) error { _, err := w.AddMailbox(t.Context(), by, newBoxEdit("x@a.example")); return err }, 0, 0, 2},
		"edit": {func(by Actor) error {
			_, err := w.EditMailbox(t.Context(), by, "info@a.example", boxEdit("passwd", "another horse"))
			return err
		}, 0, 0, 1},
		"suspend":         {func(by Actor) error { return one(w.SuspendMailboxes(t.Context(), by, []string{"info@a.example"})) }, 0, 0, 2},
		"resume, nothing": {func(by Actor) error { return one(w.ResumeMailboxes(t.Context(), by, []string{"info@a.example"})) }, -1, 0, 0},
		"clear":           {func(by Actor) error { return one(w.ClearMailboxes(t.Context(), by, []string{"info@a.example"})) }, 1, 22, 0},
		"delete":          {func(by Actor) error { return one(w.DeleteMailboxes(t.Context(), by, []string{"info@a.example"})) }, 1, 22, 2},
		"delete all":      {func(by Actor) error { return one(w.DeleteDomains(t.Context(), by, []string{"a.example"})) }, 2, 22, 4},
		"restore":         {func(by Actor) error { return one(w.RestoreDeleted(t.Context(), by, id)) }, 1, 4, 2},
		"for good":        {func(by Actor) error { return one(w.ForgetDeleted(t.Context(), by, id)) }, 1, 4, 0},
		"settings": {func(by Actor) error {
			return w.EditSettings(t.Context(), Actor{User: "admin", Level: mail.LevelAdmin, Preview: by.Preview}, mail.SettingsEdit{KeepDeleted: ptr("1")})
		}, 0, 0, 0},
	} {
		was, trash, state := w.everything(t), w.trash(t), w.database(t)
		by := as("user1").request("dry " + what)
		by.Preview = &Preview{}
		if err := c.do(by); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(was, w.everything(t)); diff != "" || !slices.Equal(trash, w.trash(t)) || w.database(t) != state {
			t.Errorf("%s changed something (-want +got):\n%s", what, diff)
		}
		got := by.Preview.Changes()
		if c.mailboxes < 0 {
			if len(got) > 0 {
				t.Errorf("%s tells %v", what, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Mailboxes != c.mailboxes || got[0].Bytes != c.bytes || len(got[0].Files) != c.files {
			t.Errorf("%s tells %+v, want %d mailboxes, %d bytes, %d files", what, got, c.mailboxes, c.bytes, c.files)
		}
	}
	checkConsistent(t, w)
}

func TestRepeatedRequestsAboutMailboxesAreCarriedOutOnce(t *testing.T) {
	w := peopled(t)
	twice := func(what string, do func(by Actor) error) {
		t.Helper()
		was := revision(t, w)
		for i := range 3 {
			if err := do(as("user1").request("request " + what)); err != nil {
				t.Errorf("%s, for the %d. time: %v", what, i+1, err)
			}
		}
		if now := revision(t, w); now != was+1 {
			t.Errorf("%s: %d changes", what, now-was)
		}
	}
	twice("add", func(by Actor) error { _, err := w.AddMailbox(t.Context(), by, newBoxEdit("x@a.example")); return err })
	twice("edit", func(by Actor) error {
		_, err := w.EditMailbox(t.Context(), by, "x@a.example", boxEdit("passwd", "another horse"))
		return err
	})
	twice("suspend", func(by Actor) error { return one(w.SuspendMailboxes(t.Context(), by, []string{"x@a.example"})) })
	twice("clear", func(by Actor) error { return one(w.ClearMailboxes(t.Context(), by, []string{"x@a.example"})) })
	twice("delete", func(by Actor) error { return one(w.DeleteMailboxes(t.Context(), by, []string{"x@a.example"})) })
	id := deletedOf(t, w, as("user1"), "x@a.example")[:1]
	twice("restore", func(by Actor) error { return one(w.RestoreDeleted(t.Context(), by, id)) })
	settle(t, w)
	if err := one(w.RestoreDeleted(t.Context(), as("user1").request("request restore"), id)); err != nil {
		t.Errorf("restore, when its number is gone: %v", err)
	}
	checkError(t, "by another user", one(w.RestoreDeleted(t.Context(), as("user2").request("request restore"), id)), mail.Invalid, "request_id", "")
	twice("delete the domain", func(by Actor) error { return one(w.DeleteDomains(t.Context(), by, []string{"a.example"})) })
	past, _, err := w.DomainHistory(t.Context(), as("user1"), HistoryQuery{Elid: "a.example", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	twice("undo", func(by Actor) error {
		_, err := w.Undo(t.Context(), by, "a.example", strconv.FormatInt(past[0].ID, 10))
		return err
	})
	checkConsistent(t, w)
}

func TestUndoneDeletionBringsTheMailBackWhileItIsThere(t *testing.T) {
	w := peopled(t)
	files := w.everything(t)
	undo := func() error {
		t.Helper()
		past, _, err := w.DomainHistory(t.Context(), as("user1"), HistoryQuery{Elid: "a.example", Limit: 1})
		if err != nil || !past[0].Gone {
			t.Fatalf("the last change is %+v, %v", past, err)
		}
		_, err = w.Undo(t.Context(), as("user1"), "a.example", strconv.FormatInt(past[0].ID, 10))
		return err
	}
	group(t, w.DeleteDomains, as("user1"), "a.example")
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, w.everything(t)); diff != "" {
		t.Errorf("undone (-want +got):\n%s", diff)
	}
	set := domainOf(t, w, "a.example").Values()

	group(t, w.DeleteDomains, as("user1"), "a.example")
	settle(t, w)
	w.pass(8 * 24 * time.Hour)
	purge(t, w)
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(set, domainOf(t, w, "a.example").Values()); diff != "" || len(boxesOf(t, w, "a.example")) > 0 {
		t.Errorf("undone when the mail is gone (-want +got):\n%s", diff)
	}

	// What was removed for good is no change that can be undone.
	group(t, w.DeleteDomains, as("user1"), "a.example")
	group(t, w.ForgetDeleted, as("user1"), deletedOf(t, w, as("user1"), "a.example")...)
	checkError(t, "for good", undo(), mail.Invalid, "change", "value_change")
	checkConsistent(t, w)
}
