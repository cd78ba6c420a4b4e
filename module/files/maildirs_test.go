package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"maildomain/module/mail"
)

var boxAddress = mail.StoredAddress("info@a.example")

const (
	boxDir   = "var/vmail/a.example/info"
	trashDir = "var/vmail/.trash"
)

// must ends the test at the first error of several steps.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// outsider is a directory outside of any tree with files that nobody is to touch or
// read, and a check that nobody has.
func outsider(t *testing.T) (dir string, check func()) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "cur"), 0o755), os.WriteFile(filepath.Join(dir, "cur", "1"), []byte("theirs"), 0o644),
		os.WriteFile(filepath.Join(dir, "maildirsize"), []byte("0S\n4242 1\n"), 0o644))
	state := func() (all []string) {
		must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			i, err := os.Lstat(p)
			if err == nil {
				st := i.Sys().(*syscall.Stat_t)
				all = append(all, strings.Join([]string{p, i.Mode().String(), i.ModTime().String(), string(rune(st.Uid)), string(rune(st.Gid)), string(rune('0' + st.Nlink))}, " "))
			}
			return err
		}))
		return all
	}
	was := state()
	return dir, func() {
		t.Helper()
		if now := state(); !slices.Equal(was, now) {
			t.Errorf("outside there was\n%q, now\n%q", was, now)
		}
	}
}

func TestDirectoryOfAMailboxIsItsOwn(t *testing.T) {
	tree, dir := openTree(t)
	must(t, tree.MakeBox(boxAddress))
	for p, mode := range map[string]fs.FileMode{"var/vmail": 0o751, "var/vmail/a.example": 0o710, boxDir: 0o700, trashDir: 0o700} {
		if i, err := os.Lstat(filepath.Join(dir, p)); err != nil || i.Mode() != fs.ModeDir|mode {
			t.Errorf("%s: %v, %v", p, i.Mode(), err)
		}
	}
	if f, is := tree.BoxDrift(boxAddress); is {
		t.Errorf("made, and %v", f)
	}
	for what, c := range map[string]struct {
		do   func(p string) error
		want Drift
	}{
		"mode":             {func(p string) error { return os.Chmod(p, 0o755) }, FileOwner},
		"mode of domain's": {func(p string) error { return os.Chmod(filepath.Dir(p), 0o755) }, FileOwner},
		"missing":          {os.Remove, FileMissing},
		"missing domain's": {func(p string) error { return os.RemoveAll(filepath.Dir(p)) }, FileMissing},
	} {
		must(t, c.do(filepath.Join(dir, boxDir)))
		if f, is := tree.BoxDrift(boxAddress); !is || f != (Finding{boxDir, c.want}) {
			t.Errorf("%s: %v, %v", what, f, is)
		}
		must(t, tree.KeepBox(boxAddress))
		if f, is := tree.BoxDrift(boxAddress); is {
			t.Errorf("%s, put right, and %v", what, f)
		}
	}
	if os.Geteuid() == 0 {
		must(t, os.Chown(filepath.Join(dir, boxDir), 1, 1))
		if f, is := tree.BoxDrift(boxAddress); !is || f.Drift != FileOwner {
			t.Errorf("of another owner: %v, %v", f, is)
		}
		must(t, tree.KeepBox(boxAddress))
	}
	write(t, dir, boxDir+"/letter", []byte("x"))
	must(t, tree.KeepBox(boxAddress))
	tree.DropBox(boxAddress)
	if read(t, dir, boxDir+"/letter") != "x" {
		t.Error("mail went with a mailbox that did not come to be")
	}
	must(t, tree.MakeBox(boxAddress))
	if es, err := os.ReadDir(filepath.Join(dir, boxDir)); err != nil || len(es) > 0 {
		t.Errorf("a new mailbox has %v, %v", es, err)
	}
	tree.DropBox(boxAddress)
	if _, err := os.Lstat(filepath.Join(dir, "var/vmail/a.example")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dropped, and there: %v", err)
	}
}

// Whatever stands where a mailbox's directory is to be, nothing outside is made, given
// away, moved or read through it.
func TestNothingInPlaceOfAMailboxLeadsAnywhere(t *testing.T) {
	other := mail.StoredAddress("other@b.example")
	for what, plant := range map[string]func(box, outside, neighbour string) error{
		"link outside":        func(box, outside, _ string) error { return os.Symlink(outside, box) },
		"link to a neighbour": func(box, _, neighbour string) error { return os.Symlink(neighbour, box) },
		"link near by":        func(box, _, _ string) error { return os.Symlink("../b.example/other", box) },
		"link to nothing":     func(box, _, _ string) error { return os.Symlink("none", box) },
		"link of the domain's": func(box, outside, _ string) error {
			return errors.Join(os.Remove(filepath.Dir(box)), os.Symlink(outside, filepath.Dir(box)))
		},
		"link to another domain": func(box, _, _ string) error {
			return errors.Join(os.Remove(filepath.Dir(box)), os.Symlink("b.example", filepath.Dir(box)))
		},
		"pipe": func(box, _, _ string) error { return unix.Mkfifo(box, 0o666) },
		"file": func(box, _, _ string) error { return os.WriteFile(box, []byte("x"), 0o600) },
	} {
		tree, dir := openTree(t)
		outside, untouched := outsider(t)
		must(t, tree.MakeBox(other), tree.MakeBox(boxAddress), os.Remove(filepath.Join(dir, boxDir)))
		neighbour := filepath.Join(dir, "var/vmail/b.example/other")
		must(t, os.Chmod(neighbour, 0o711), os.Mkdir(filepath.Join(neighbour, "Maildir"), 0o700),
			os.WriteFile(filepath.Join(neighbour, "Maildir/maildirsize"), []byte("0S\n77 1\n"), 0o600))
		must(t, plant(filepath.Join(dir, boxDir), outside, neighbour))
		if err := tree.MakeBox(boxAddress); err == nil {
			t.Errorf("%s: made", what)
		} else if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Unavailable {
			t.Errorf("%s: made: %v", what, err)
		}
		if err := tree.KeepBox(boxAddress); err == nil {
			t.Errorf("%s: kept", what)
		}
		if n, counted := tree.Used(boxAddress); counted {
			t.Errorf("%s: %d bytes", what, n)
		}
		if f, is := tree.BoxDrift(boxAddress); what != "link to another domain" && (!is || f.Drift != FileForeign) && !(is && what == "link to nothing") {
			t.Errorf("%s: %v, %v", what, f, is)
		}
		tree.DropBox(mail.StoredAddress("none@a.example"))
		if !strings.Contains(what, "domain") {
			must(t, tree.Lay(7, boxDir))
			if _, err := os.Lstat(filepath.Join(dir, trashDir, "7")); err != nil {
				t.Errorf("%s: not in the trash: %v", what, err)
			}
			must(t, tree.Erase(7))
		}
		if i, err := os.Lstat(neighbour); err != nil || i.Mode().Perm() != 0o711 {
			t.Errorf("%s: the neighbour's is %v, %v", what, i, err)
		}
		if read(t, neighbour, "Maildir/maildirsize") != "0S\n77 1\n" {
			t.Errorf("%s: the neighbour's mail went", what)
		}
		untouched()
	}
}

// A user can put anything into the own mailbox.
func TestNothingInAMailboxLeadsOutOfIt(t *testing.T) {
	tree, dir := openTree(t)
	outside, untouched := outsider(t)
	must(t, tree.MakeBox(boxAddress))
	box := filepath.Join(dir, boxDir)
	must(t, os.Symlink(outside, filepath.Join(box, "Maildir")), os.Symlink("/etc", filepath.Join(box, "etc")), os.Symlink(outside+"/cur/1", filepath.Join(box, "letter")),
		os.Symlink("..", filepath.Join(box, "up")), unix.Mkfifo(filepath.Join(box, "pipe"), 0o600))
	if n, counted := tree.Used(boxAddress); counted {
		t.Errorf("%d bytes read through a link", n)
	}
	must(t, tree.KeepBox(boxAddress), tree.Lay(3, boxDir))
	if there, err := tree.Bring(3, boxDir); err != nil || !there {
		t.Errorf("brought: %v, %v", there, err)
	}
	must(t, tree.Lay(4, "var/vmail/a.example"), tree.Erase(4))
	untouched()
	if es, err := os.ReadDir(filepath.Join(dir, trashDir)); err != nil || len(es) > 0 {
		t.Errorf("the trash holds %v, %v", es, err)
	}
}

func TestWhatAMailboxHoldsIsBelievedOnlyAsDovecotWritesIt(t *testing.T) {
	tree, dir := openTree(t)
	must(t, tree.MakeBox(boxAddress), os.Mkdir(filepath.Join(dir, boxDir, "Maildir"), 0o700))
	at := filepath.Join(dir, boxDir, "Maildir/maildirsize")
	text := func(s string) func() error { return func() error { return os.WriteFile(at, []byte(s), 0o600) } }
	for what, c := range map[string]struct {
		do   func() error
		want int64 // negative: not known
	}{
		"none":                {func() error { return nil }, -1},
		"empty":               {text(""), -1},
		"a limit alone":       {text("1000S\n"), -1},
		"a letter":            {text("1000S\n890 1\n"), 890},
		"came and went":       {text("0S\n890 1\n10 1\n-890 -1\n"), 10},
		"as Dovecot aligns":   {text("0S\n         890            1\n"), 890},
		"more went":           {text("0S\n10 1\n-890 -1\n"), 0},
		"torn":                {text("0S\n890 1\n12"), -1},
		"torn between":        {text("0S\n890 1\n12 1"), -1},
		"no numbers":          {text("0S\nroot:x:0:0\n"), -1},
		"one number":          {text("0S\n890\n"), -1},
		"a large number":      {text("0S\n9223372036854775807 1\n"), -1},
		"large ones together": {text("0S\n" + strings.Repeat("1125899906842624 1\n", 3)), -1},
		"larger than any":     {text("0S\n99999999999999999999999 1\n"), -1},
		"a long line":         {text("0S\n" + strings.Repeat("1", 70_000) + " 1\n"), -1},
		"huge":                {text("0S\n" + strings.Repeat("1 1\n", 20_000)), -1},
		"zeros":               {text("0S\n\x00\x00\x00\n"), -1},
		"link":                {func() error { return os.Symlink("real", at) }, -1},
		"hard link":           {func() error { return os.Link(at[:len(at)-len("maildirsize")]+"real", at) }, -1},
		"pipe":                {func() error { return unix.Mkfifo(at, 0o600) }, -1},
		"directory":           {func() error { return os.Mkdir(at, 0o700) }, -1},
	} {
		must(t, os.WriteFile(filepath.Join(filepath.Dir(at), "real"), []byte("0S\n5 1\n"), 0o600), os.RemoveAll(at), c.do())
		n, counted := tree.Used(boxAddress)
		if counted != (c.want >= 0) || counted && n != c.want {
			t.Errorf("%s: %d, %v; want %d", what, n, counted, c.want)
		}
	}
	if _, counted := tree.Used(mail.StoredAddress("none@none.example")); counted {
		t.Error("a mailbox that is not there holds something")
	}
}

func TestMailGoesToTheTrashAndBack(t *testing.T) {
	tree, dir := openTree(t)
	at := func(p string) string { return filepath.Join(dir, p) }
	must(t, tree.MakeBox(boxAddress), os.WriteFile(at(boxDir+"/1"), []byte("first"), 0o600))
	must(t, tree.Lay(1, boxDir), tree.Lay(1, boxDir))
	must(t, tree.MakeBox(boxAddress), os.WriteFile(at(boxDir+"/2"), []byte("second"), 0o600))
	must(t, tree.Lay(1, boxDir)) // repeated when another has the name
	if read(t, dir, boxDir+"/2") != "second" || read(t, dir, trashDir+"/1/1") != "first" {
		t.Error("a repeat took the mail of the next one")
	}
	if _, err := tree.Bring(1, boxDir); err == nil {
		t.Error("mail was put over other mail")
	}
	must(t, tree.Lay(2, boxDir))
	for range 2 {
		if there, err := tree.Bring(1, boxDir); err != nil || !there || read(t, dir, boxDir+"/1") != "first" {
			t.Errorf("brought: %v, %v", there, err)
		}
	}

	// An empty mailbox comes back as often, and what reconcile made meanwhile is in no one's way.
	empty := mail.StoredAddress("empty@a.example")
	must(t, tree.MakeBox(empty), tree.Lay(3, tree.layout.BoxPath(empty)), tree.KeepBox(empty))
	for range 3 {
		if there, err := tree.Bring(3, tree.layout.BoxPath(empty)); err != nil || !there {
			t.Errorf("an empty one: %v, %v", there, err)
		}
		if _, is := tree.BoxDrift(empty); is {
			t.Error("its directory is gone")
		}
	}
	must(t, tree.Lay(4, "var/vmail/a.example"), tree.KeepBox(boxAddress), tree.KeepBox(empty))
	if there, err := tree.Bring(4, "var/vmail/a.example"); err != nil || !there || read(t, dir, boxDir+"/1") != "first" {
		t.Errorf("a domain: %v, %v", there, err)
	}
	must(t, tree.Lay(5, "var/vmail/a.example"), tree.KeepBox(boxAddress), os.WriteFile(at(boxDir+"/new"), []byte("new"), 0o600))
	if _, err := tree.Bring(5, "var/vmail/a.example"); err == nil || read(t, dir, boxDir+"/new") != "new" || read(t, dir, trashDir+"/5/info/1") != "first" {
		t.Errorf("over a letter that came meanwhile: %v", err)
	}
	if there, err := tree.Bring(99, "var/vmail/none.example"); err != nil || there {
		t.Errorf("nothing: %v, %v", there, err)
	}
	must(t, tree.Lay(98, "var/vmail/none.example"), tree.Erase(98), tree.Erase(5), tree.Erase(5), tree.FreeTrash(97))
	must(t, tree.FreeTrash(2))
	if es, err := os.ReadDir(at(trashDir)); err != nil || len(es) != 1 || !strings.HasPrefix(es[0].Name(), "left.") {
		t.Errorf("the trash holds %v, %v", es, err)
	}
}
