package module

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// peopled is a world with a domain a.example of user1's that has mailboxes with mail
// in them, and neighbours whose every byte is to stay.
func peopled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "a-example.org")
	change(t, w, as("user1"), "a.example", edit("ip", "192.0.2.2", "defaction", "redirect", "redirval", "me@b.example"))
	addBox(t, w, as("user1"), "info@a.example", "maxsize", "10", "aliases", "sales help", "forward", "x@y.example", "note", "ж")
	addBox(t, w, as("user1"), "empty@a.example")
	addBox(t, w, as("user1"), "off@a.example", "maxsize", "5")
	addBox(t, w, as("user1"), "info@a-example.org", "aliases", "sales")
	group(t, w.SuspendMailboxes, as("user1"), "off@a.example")
	deliver(t, w, "info@a.example", "first", "second", "third", "fourth")
	deliver(t, w, "off@a.example", "kept")
	deliver(t, w, "info@a-example.org", "a neighbour's")
	if err := w.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// neighbours is m but for what is about a.example.
func neighbours(m map[string]string) map[string]string {
	rest := map[string]string{}
	for p, text := range m {
		if filepath.Base(p) != "domainips" && !slices.Contains(splitPath(p), "a.example") {
			rest[p] = text
		}
	}
	return rest
}

func splitPath(p string) (parts []string) {
	for p != "." {
		parts, p = append(parts, filepath.Base(p)), filepath.Dir(p)
	}
	return parts
}

func boxesOf(t *testing.T, w *world, domain string) (bs []map[string]string) {
	t.Helper()
	err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		all, err := tx.MailboxesOf(ctx, mail.StoredName(domain))
		for _, b := range all {
			v := b.Values()
			v["password"], v["used"], v["created"] = string(b.Password), strconv.FormatInt(b.Used, 10), b.Created.String()
			bs = append(bs, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bs
}

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

// database is the database, byte for byte, with what waits in its log.
func (w *world) database(t *testing.T) string {
	t.Helper()
	var all string
	for _, f := range []string{"maildomain.db", "maildomain.db-wal"} {
		b, err := os.ReadFile(filepath.Join(w.dir, "var/lib/maildomain", f))
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
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
