package module

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

func TestDeletedDomainComesBackByteForByte(t *testing.T) {
	w := peopled(t)
	files, set, boxes := w.everything(t), domainOf(t, w, "a.example").Values(), boxesOf(t, w, "a.example")
	for range 2 { // and again
		group(t, w.DeleteDomains, as("user1"), "a.example")
		now := w.everything(t)
		delete(now, "etc/exim4/domainips") // one line less
		if diff := cmp.Diff(neighbours(files), now); diff != "" {
			t.Fatalf("deleted (-want +got):\n%s", diff)
		}
		if len(w.trash(t)) != 1 {
			t.Errorf("the trash holds %q", w.trash(t))
		}
		restore(t, w, as("user1"), "a.example")
		for _, when := range []string{"restored", "settled", "reconciled"} {
			if diff := cmp.Diff(files, w.everything(t)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", when, diff)
			}
			if when == "restored" {
				settle(t, w)
			} else if found := reconcile(t, w); len(found) > 0 {
				t.Errorf("reconcile found %q", found)
			}
		}
		if diff := cmp.Diff(set, domainOf(t, w, "a.example").Values()); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(boxes, boxesOf(t, w, "a.example")); diff != "" {
			t.Errorf("mailboxes (-want +got):\n%s", diff)
		}
		if ids := deletedOf(t, w, as("user1"), "a.example"); len(ids)+len(w.trash(t)) > 0 {
			t.Errorf("still to be brought back: %q, %q", ids, w.trash(t))
		}
		checkConsistent(t, w)
	}
}

func TestDeletedMailboxComesBackByteForByte(t *testing.T) {
	w := peopled(t)
	files, boxes := w.everything(t), boxesOf(t, w, "a.example")
	for _, box := range []string{"info@a.example", "off@a.example", "empty@a.example"} {
		for _, settled := range []bool{false, true} {
			group(t, w.DeleteMailboxes, as("user1"), box)
			if settled {
				settle(t, w)
			}
			if _, err := os.Lstat(w.mailOf(box)); !os.IsNotExist(err) {
				t.Errorf("its mail stands: %v", err)
			}
			restore(t, w, as("user1"), box)
			if settled {
				settle(t, w)
				settle(t, w)
			}
			if diff := cmp.Diff(files, w.everything(t)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", box, diff)
			}
		}
	}
	if diff := cmp.Diff(boxes, boxesOf(t, w, "a.example")); diff != "" {
		t.Errorf("mailboxes (-want +got):\n%s", diff)
	}
	checkConsistent(t, w)
}

// The directory of a domain is root's and its group Dovecot's, whoever makes it.
func TestMailboxOfAnEarlierDomainComesBackIntoALaterOne(t *testing.T) {
	w := peopled(t)
	files := w.everything(t)
	group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	add(t, w, as("user1"), "a.example")
	restore(t, w, as("user1"), "info@a.example")
	settle(t, w)
	now := w.everything(t)
	for p, text := range files {
		parts := splitPath(p)
		if slices.Contains(parts, "vmail") && slices.Contains(parts, "a.example") && (len(parts) == 3 || slices.Contains(parts, "info")) && now[p] != text {
			t.Errorf("%s is %q, was %q", p, now[p], text)
		}
	}
	if found := reconcile(t, w); len(found) > 0 {
		t.Errorf("reconcile found %q", found)
	}
	checkConsistent(t, w)
}

func TestNewDomainNeverSeesOldMail(t *testing.T) {
	for _, unsettled := range []string{"moved", "not moved yet"} {
		w := peopled(t)
		group(t, w.DeleteMailboxes, as("user1"), "off@a.example")
		if unsettled == "moved" {
			group(t, w.DeleteDomains, as("user1"), "a.example")
			settle(t, w)
		} else {
			w = killedBeforeMove(t, w, func(w *world) { group(t, w.DeleteDomains, as("user1"), "a.example") })
		}
		add(t, w, as("user2"), "a.example")
		for _, b := range []string{"info@a.example", "off@a.example", "new@a.example"} {
			addBox(t, w, as("user2"), b)
			if left, err := os.ReadDir(w.mailOf(b)); err != nil || len(left) > 0 {
				t.Errorf("%s, %s: %v, %v", unsettled, b, left, err)
			}
		}
		settle(t, w)
		if n, err := os.ReadDir(filepath.Dir(w.mailOf("info@a.example"))); err != nil || len(n) != 3 {
			t.Errorf("%s: there are %v, %v", unsettled, n, err)
		}
		if ids := deletedOf(t, w, as("user2"), "a.example"); len(ids) > 0 {
			t.Errorf("the new owner may bring back %q", ids)
		}
		checkError(t, "restore beside the new one", one(w.RestoreDeleted(t.Context(), as("user1"), deletedOf(t, w, as("user1"), "a.example"))), mail.Exists, "name", "")
		checkError(t, "restore into the new one", one(w.RestoreDeleted(t.Context(), as("user1"), deletedOf(t, w, as("user1"), "off@a.example"))), mail.NotFound, "domainname", "missed_domain_of_box")
		reconcile(t, w) // what the one that was killed had left to do
		checkConsistent(t, w)
	}
}

// What lies in the place of a new mailbox without anybody knowing is not its own.
func TestNewMailboxNeverSeesWhatLiesThere(t *testing.T) {
	w := peopled(t)
	if err := os.MkdirAll(filepath.Join(w.mailOf("fresh@a.example"), "Maildir/cur"), 0o777); err != nil {
		t.Fatal(err)
	}
	addBox(t, w, as("user1"), "fresh@a.example")
	if left, err := os.ReadDir(w.mailOf("fresh@a.example")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	// Nor does what is deleted later mix with what an older database had in the trash.
	next := w.trash(t)
	for id := range 10 {
		if err := os.MkdirAll(filepath.Join(w.dir, "var/vmail/.trash", string(rune('0'+id)), "Maildir"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
	if _, err := os.Lstat(w.mailOf("info@a.example")); !os.IsNotExist(err) {
		t.Errorf("its mail stands for the next one: %v, %v", err, next)
	}
	restore(t, w, as("user1"), "info@a.example")
	if _, err := os.Stat(filepath.Join(w.mailOf("info@a.example"), "Maildir/cur")); err != nil {
		t.Errorf("somebody else's mail came back: %v", err)
	}
	checkConsistent(t, w)
}

func TestRestoreIsHeldToWhatHoldsForANewOne(t *testing.T) {
	w := peopled(t)
	group(t, w.DeleteDomains, as("user1"), "a.example")
	group(t, w.DeleteMailboxes, as("user1"), "info@a-example.org")
	try := func(by Actor, object string) error {
		return one(w.RestoreDeleted(t.Context(), by, deletedOf(t, w, as("admin"), object)))
	}
	was, revised := w.everything(t), revision(t, w)
	for what, c := range map[string]struct {
		limits map[string]int64
		object string
		field  string
	}{
		"domains":            {map[string]int64{"emaildomains": 1}, "a.example", "emaildomains"},
		"mailboxes":          {map[string]int64{"emails": 2}, "a.example", "emails"},
		"megabytes":          {map[string]int64{"email_quota": 14}, "a.example", "email_quota"},
		"mailboxes, one":     {map[string]int64{"emails": 0}, "info@a-example.org", "emails"},
		"unlimited, no more": {map[string]int64{"email_quota": 100}, "info@a-example.org", "email_quota"},
	} {
		w.limit("user1", c.limits)
		checkError(t, what, try(as("user1"), c.object), mail.Limit, c.field, "limit_"+c.field)
	}
	w.limit("user1", nil)
	checkError(t, "by another user", try(as("user2"), "a.example"), mail.NotFound, "elid", "")
	checkError(t, "no number", one(w.RestoreDeleted(t.Context(), as("user1"), []string{"a.example"})), mail.NotFound, "elid", "")
	checkError(t, "no such number", one(w.RestoreDeleted(t.Context(), as("user1"), []string{"999"})), mail.NotFound, "elid", "")

	w.people.params.Forbidden = append(w.people.params.Forbidden, "a.example")
	checkError(t, "forbidden since", try(as("user1"), "a.example"), mail.Invalid, "name", "value_name_forbidden")
	w.people.params.Forbidden = nil
	if diff := cmp.Diff(was, w.everything(t)); diff != "" || revision(t, w) != revised {
		t.Errorf("something changed (-want +got):\n%s", diff)
	}

	addBox(t, w, as("user1"), "other@a-example.org", "aliases", "sales")
	checkError(t, "its alias is another's", try(as("user1"), "info@a-example.org"), mail.Exists, "aliases", "exists_box")
	changeBox(t, w, as("user1"), "other@a-example.org", "aliases", "info")
	checkError(t, "its name is an alias", try(as("user1"), "info@a-example.org"), mail.Exists, "name", "exists_box")
	changeBox(t, w, as("user1"), "other@a-example.org", "aliases", "")
	addBox(t, w, as("user1"), "info@a-example.org")
	checkError(t, "its name is taken", try(as("user1"), "info@a-example.org"), mail.Exists, "name", "exists_box")

	add(t, w, as("user2"), "sub.a.example")
	checkError(t, "another owner's neighbour", try(as("user1"), "a.example"), mail.Invalid, "name", "value_name_near")
	u := everyone().users["user1"]
	u.IPs = nil
	w.people.set(u)
	if err := try(as("admin"), "a.example"); err != nil {
		t.Errorf("the administrator may: %v", err)
	}
	if d := domainOf(t, w, "a.example"); d.IP.IsValid() || d.Owner != "user1" || d.Mailboxes != 3 {
		t.Errorf("it came back as %v", d.Values())
	}
	checkConsistent(t, w)
}

func TestDeletedIsRemovedForGoodWhenItsTimeIsOver(t *testing.T) {
	w := peopled(t)
	group(t, w.DeleteDomains, as("user1"), "a.example")
	purge(t, w)
	settle(t, w)
	w.pass(7*24*time.Hour - time.Hour)
	purge(t, w)
	ids := deletedOf(t, w, as("user1"), "a.example")
	if len(ids) != 1 || len(w.trash(t)) != 1 {
		t.Fatalf("too early: %q, %q", ids, w.trash(t))
	}
	w.pass(2 * time.Hour)
	checkError(t, "too late, and still there", one(w.RestoreDeleted(t.Context(), as("user1"), ids)), mail.NotFound, "elid", "")
	if ids := deletedOf(t, w, as("user1"), "a.example"); len(ids) > 0 {
		t.Errorf("listed: %q", ids)
	}
	// It is cut off, and goes on where it was.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Purge(ended); err == nil {
		t.Error("a purge that was ended says nothing")
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "var/vmail/.trash", ids[0], "info")); err != nil {
		t.Fatal(err)
	}
	purge(t, w)
	if len(w.trash(t)) > 0 {
		t.Errorf("the trash holds %q", w.trash(t))
	}
	checkConsistent(t, w)
}

func TestDeletedIsRemovedForGoodOnDemand(t *testing.T) {
	w := peopled(t)
	group(t, w.DeleteDomains, as("user1"), "a.example")
	add(t, w, as("user1"), "a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	ids := deletedOf(t, w, as("user1"), "a.example")
	if len(ids) != 2 {
		t.Fatalf("deleted twice, and there are %q", ids)
	}
	checkError(t, "by another", one(w.ForgetDeleted(t.Context(), as("user2"), ids[:1])), mail.NotFound, "elid", "")
	for range 2 { // both of one name in one request, and the request again
		group(t, w.ForgetDeleted, as("user1").request("r1"), ids...)
	}
	if left := deletedOf(t, w, as("user1"), "a.example"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	settle(t, w)
	purge(t, w)
	if len(w.trash(t)) > 0 {
		t.Errorf("the trash holds %q", w.trash(t))
	}
}

func TestNothingIsKeptWhereNothingIsToBe(t *testing.T) {
	w := peopled(t)
	if err := w.EditSettings(t.Context(), as("admin"), mail.SettingsEdit{KeepDeleted: ptr("0")}); err != nil {
		t.Fatal(err)
	}
	group(t, w.DeleteMailboxes, as("user1"), "info@a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	if _, total, err := w.ListDeleted(t.Context(), as("admin"), mail.Query{Sort: "id", Limit: 9}); err != nil || total != 0 {
		t.Errorf("%d can be brought back, %v", total, err)
	}
	settle(t, w)
	purge(t, w)
	if len(w.trash(t)) > 0 {
		t.Errorf("the trash holds %q", w.trash(t))
	}
	checkError(t, "kept for too long", w.EditSettings(t.Context(), as("admin"), mail.SettingsEdit{KeepDeleted: ptr("366")}), mail.Invalid, "keep_deleted", "value_days")
	checkError(t, "by a user", w.EditSettings(t.Context(), as("user1"), mail.SettingsEdit{KeepDeleted: ptr("1")}), mail.Access, "level", "")
}
