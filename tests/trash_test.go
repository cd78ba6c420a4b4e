package tests

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// full fills the mailboxes of a domain with letters, as Dovecot would have.
func full(t testing.TB, root, domain string, boxes, letters int) {
	t.Helper()
	u, err := user.Lookup(files.Debian.MailUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	own := func(p string) {
		if err := os.Chown(p, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for b := range boxes {
		maildir := filepath.Join(root, files.Debian.Mail, domain, fmt.Sprintf("b%d", b), "Maildir")
		for _, d := range []string{"", "cur", "new", "tmp"} {
			p := filepath.Join(maildir, d)
			if err := os.MkdirAll(p, 0o700); err != nil {
				t.Fatal(err)
			}
			own(p)
		}
		for l := range letters {
			p := filepath.Join(maildir, "cur", fmt.Sprintf("%d.M%dP%d.host:2,S", 1700000000+l, b, l))
			if err := os.WriteFile(p, fmt.Appendf(nil, "From: a@b.example\nSubject: %d in %d\n\nhello\n", l, b), 0o600); err != nil {
				t.Fatal(err)
			}
			own(p)
		}
	}
}

// sums are the letters below a directory, each with its checksum.
func sums(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(p, "/cur/") {
			return err
		}
		b, err := os.ReadFile(p)
		all[strings.TrimPrefix(p, dir)] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// refused holds that Exim and Dovecot know nothing of a mailbox: not its letters, and
// not its password once Dovecot, which does so once a second, has looked at its file.
func refused(t *testing.T, x *lab.Exim, address, password string) {
	t.Helper()
	if r, err := x.Rcpt(t.Context(), "someone@sender.example", address); err != nil || r.Code != 550 {
		t.Errorf("Exim says of %s: %v, %v", address, r, err)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		late := time.Now().After(end)
		c, err := x.IMAP(t.Context(), address, password)
		if err != nil {
			return
		}
		if late {
			c.Close()
			t.Errorf("%s logs in", address)
			return
		}
		if n, err := c.Select("INBOX", nil).Wait(); err == nil && n.NumMessages > 0 {
			t.Errorf("%s reads %d letters", address, n.NumMessages)
		}
		c.Close()
	}
}

const boxPassword = "geheim99"

// A domain with many letters goes at once and comes back whole, and the next one of
// its name sees nothing of it.
func TestDeletedMailComesBackWhole(t *testing.T) {
	lab.NeedDovecot(t)
	w := world.Start(t, world.Options{})
	const boxes, letters = 20, 250
	w.Must(t, "admin", "user.edit", "elid", "user1", "limit_emails", strconv.Itoa(boxes), "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "big.example", "sok", "ok")
	var adding sync.WaitGroup
	for b := range boxes {
		adding.Go(func() {
			a, err := w.Call(t.Context(), "user1", "email.edit", "name", fmt.Sprintf("b%d", b), "domainname", "big.example", "passwd", boxPassword, "confirm", boxPassword, "sok", "ok")
			if err != nil || a.Error != "" {
				t.Errorf("box %d: %v, %s %s", b, err, a.Error, a.Msg)
			}
		})
	}
	adding.Wait()
	w.Refused(t, "limit(emails)", "user1", "email.edit", "name", "more", "domainname", "big.example", "passwd", boxPassword, "confirm", boxPassword, "sok", "ok")
	full(t, w.Root, "big.example", boxes, letters)
	mailDir := filepath.Join(w.Root, files.Debian.Mail, "big.example")
	before := sums(t, mailDir)
	x := lab.Start(t, w.Root, lab.Options{Dovecot: true})
	open, err := x.IMAP(t.Context(), "b0@big.example", boxPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	begun := time.Now()
	w.Must(t, "user1", "emaildomain.delete", "elid", "big.example")
	t.Logf("%d letters in %d mailboxes deleted in %v", boxes*letters, boxes, time.Since(begun))
	refused(t, x, "b0@big.example", boxPassword)
	select {
	case <-open.Closed():
	case <-time.After(20 * time.Second):
		t.Error("a session goes on in a mailbox that was deleted")
	}
	// The plan has room again, and a new domain of the name is empty.
	w.Must(t, "user1", "emaildomain.edit", "name", "big.example", "sok", "ok")
	w.Must(t, "user1", "email.edit", "name", "b0", "domainname", "big.example", "passwd", "anderes99", "confirm", "anderes99", "sok", "ok")
	if left := sums(t, mailDir); len(left) > 0 {
		t.Errorf("the new domain has %d old letters", len(left))
	}
	w.Refused(t, "exists(name)", "user1", "emaildomain.deleted.restore", "elid", "1")
	w.Must(t, "user1", "emaildomain.delete", "elid", "big.example")

	w.Must(t, "user1", "emaildomain.deleted.restore", "elid", "1")
	after := sums(t, mailDir)
	if len(after) != len(before) {
		t.Fatalf("%d letters came back, of %d", len(after), len(before))
	}
	for p, s := range before {
		if after[p] != s {
			t.Errorf("%s came back as another letter", p)
		}
	}
	// Who logs in within a second of a deletion may be sent away once more: sessions are
	// ended twice, for Dovecot looks at its files once a second.
	found, err := x.Letters(t.Context(), "b7@big.example", boxPassword, "INBOX")
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
		found, err = x.Letters(t.Context(), "b7@big.example", boxPassword, "INBOX")
	}
	if err != nil || len(found) != letters {
		t.Errorf("%d letters are read, %v", len(found), err)
	}
}

// A tenant's program that swaps directories for links while root removes them finds
// nothing outside removed.
func TestLinksSwappedDuringRemovalLeadNowhere(t *testing.T) {
	lab.NeedDovecot(t)
	w := world.Start(t, world.Options{})
	outside := filepath.Join(w.Data, "outside")
	for i := range 50 {
		p := filepath.Join(outside, "cur", fmt.Sprintf("%d.theirs:2,S", i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte("theirs"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	before := sums(t, outside)
	w.Must(t, "user1", "emaildomain.edit", "name", "swap.example", "sok", "ok")
	w.Must(t, "user1", "email.edit", "name", "b0", "domainname", "swap.example", "passwd", boxPassword, "confirm", boxPassword, "sok", "ok")
	full(t, w.Root, "swap.example", 1, 3000)
	w.Must(t, "admin", "emaildomain.delete", "elid", "swap.example")
	w.Must(t, "admin", "emaildomain.deleted.delete", "elid", "1")

	trash := filepath.Join(w.Root, files.Debian.Trash(), "1", "b0", "Maildir")
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() { // what a process of the mail user that holds the directory could do
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(trash, trash+".away")
			_ = os.Symlink(outside, trash)
			_ = os.Remove(trash)
			_ = os.Rename(trash+".away", trash)
		}
	})
	erased := false
	for range 40 {
		out, err := exec.Command(w.Program("maildomain"), "reconcile", "--root", w.Root).CombinedOutput()
		if _, gone := os.Lstat(filepath.Dir(filepath.Dir(trash))); errors.Is(gone, fs.ErrNotExist) {
			erased = true
			break
		}
		_ = err // while the directory is swapped it can fail, and is tried again
		t.Logf("%s", out)
	}
	close(stop)
	swapping.Wait()
	if !erased {
		if out, err := exec.Command(w.Program("maildomain"), "reconcile", "--root", w.Root).CombinedOutput(); err != nil {
			t.Errorf("reconcile: %v\n%s", err, out)
		}
	}
	if d, err := os.Open(filepath.Join(w.Root, files.Debian.Trash())); err != nil {
		t.Error(err)
	} else if names, err := d.Readdirnames(-1); err != nil && !errors.Is(err, io.EOF) || len(names) > 0 {
		t.Errorf("the trash has %v, %v", names, err)
	}
	if after := sums(t, outside); len(after) != len(before) {
		t.Errorf("%d of %d files outside are left", len(after), len(before))
	}
}
