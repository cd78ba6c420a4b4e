package module

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// boxEdit makes an edit of a few settings of a mailbox, by the names of the form.
func boxEdit(pairs ...string) (e mail.MailboxEdit) {
	for i := 0; i < len(pairs); i += 2 {
		v := pairs[i+1]
		switch pairs[i] {
		case "name":
			e.Name = v
		case "domainname":
			e.Domain = v
		case "passwd":
			e.Passwd = &v
		case "maxsize":
			e.MaxSize = &v
		case "aliases":
			e.Aliases = &v
		case "forward":
			e.Forward = &v
		case "note":
			e.Note = &v
		case "dontsave":
			e.DontSave = ptr(v == "on")
		default:
			panic("no setting " + pairs[i])
		}
	}
	return e
}

// newBoxEdit is the edit that makes a mailbox, with a password.
func newBoxEdit(address string, pairs ...string) mail.MailboxEdit {
	local, domain, _ := strings.Cut(address, "@")
	return boxEdit(append([]string{"name", local, "domainname", domain, "passwd", "correct horse"}, pairs...)...)
}

func addBox(t testing.TB, w *world, by Actor, address string, pairs ...string) {
	t.Helper()
	if _, err := w.AddMailbox(context.Background(), by, newBoxEdit(address, pairs...)); err != nil {
		t.Fatalf("add %s: %v", address, err)
	}
}

func changeBox(t testing.TB, w *world, by Actor, address string, pairs ...string) {
	t.Helper()
	if _, err := w.EditMailbox(context.Background(), by, address, boxEdit(pairs...)); err != nil {
		t.Fatalf("edit %s: %v", address, err)
	}
}

// group does a group operation that has to succeed.
func group(t testing.TB, op func(context.Context, Actor, []string) ([]Outcome, error), by Actor, elids ...string) {
	t.Helper()
	done, err := op(context.Background(), by, elids)
	all(t, done, err)
}

// boxIn is a mailbox as the database has it; false where there is none.
func boxIn(t testing.TB, w *world, address string) (b mail.Mailbox, found bool) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		b, found, err = tx.Mailbox(ctx, mail.StoredAddress(address))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, found
}

func (w *world) mailOf(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return filepath.Join(w.dir, files.Debian.Mail, domain, local)
}

// deliver puts letters into a mailbox, as Dovecot would, and counts them.
func deliver(t testing.TB, w *world, address string, letters ...string) {
	t.Helper()
	top := filepath.Join(w.mailOf(address), "Maildir")
	sum := 0
	for i, l := range letters {
		dir := filepath.Join(top, []string{"cur", "new", ".Sent/cur"}[i%3])
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.M1P1.host,S=%d:2,S", i, len(l))), []byte(l), 0o600); err != nil {
			t.Fatal(err)
		}
		sum += len(l)
	}
	if err := os.WriteFile(filepath.Join(top, "maildirsize"), fmt.Appendf(nil, "0S\n%d %d\n", sum, len(letters)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree is everything below the directories that are given: mode, owner, content.
// What the stage and the trash hold is left out.
func (w *world) tree(t testing.TB, below ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, top := range below {
		err := filepath.WalkDir(filepath.Join(w.dir, top), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.Name() == ".trash" || e.Name() == "maildomain.stage" {
				if err == nil {
					err = fs.SkipDir
				}
				return err
			}
			i, err := e.Info()
			if err != nil {
				return err
			}
			text := i.Mode().String() + ownerOf(i)
			if i.Mode().IsRegular() {
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				text += " " + string(b)
			}
			rel, err := filepath.Rel(w.dir, p)
			got[rel] = text
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// everything is all that the module writes, but for its database.
func (w *world) everything(t testing.TB) map[string]string { return w.tree(t, "etc", "var/vmail") }

// trash are the names of what is in the trash.
func (w *world) trash(t testing.TB) (names []string) {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(w.dir, files.Debian.Trash()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// deletedOf are the numbers of what an actor can bring back of an object, newest first.
func deletedOf(t testing.TB, w *world, by Actor, object string) (ids []string) {
	t.Helper()
	ds, _, err := w.ListDeleted(context.Background(), by, mail.Query{Sort: "id", Desc: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if d.Object == object {
			ids = append(ids, strconv.FormatInt(d.ID, 10))
		}
	}
	return ids
}

// restore brings back what was deleted of an object last.
func restore(t testing.TB, w *world, by Actor, object string) {
	t.Helper()
	ids := deletedOf(t, w, by, object)
	if len(ids) == 0 {
		t.Fatalf("nothing of %s can be brought back", object)
	}
	group(t, w.RestoreDeleted, by, ids[0])
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func settle(t testing.TB, w *world) {
	t.Helper()
	if err := w.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func purge(t testing.TB, w *world) {
	t.Helper()
	if err := w.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// checkConsistent holds counters and files against the database, by the module's own
// eyes: what nothing else has to say about them.
func checkConsistent(t testing.TB, w *world) {
	t.Helper()
	r, err := w.Check(context.Background())
	if err != nil || len(r.Database)+len(r.Files) > 0 {
		t.Errorf("check: %q %v, %v", r.Database, r.Files, err)
	}
}

func linesOf(t testing.TB, w *world, p string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, p))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	ls := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return slices.Clip(ls[1:]) // without the header
}

// chownLike gives a copy of a tree the owners and modes of the original.
func chownLike(of, at string) error {
	return filepath.WalkDir(of, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(of, p)
		if err != nil {
			return err
		}
		to := filepath.Join(at, rel)
		st := i.Sys().(*syscall.Stat_t)
		if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
		return os.Chmod(to, i.Mode())
	})
}

// ownerOf is the owner of a file, in words that compare.
func ownerOf(i fs.FileInfo) string {
	st := i.Sys().(*syscall.Stat_t)
	return fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
}
