package tests

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// small mounts a file system of a megabyte over a directory below root, which the
// world is to be started over.
func small(t *testing.T, root, dir string) string {
	t.Helper()
	lab.NeedRoot(t)
	path := filepath.Join(root, dir)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("small", path, "tmpfs", 0, "size=1m,mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

// fillUp takes all space of a file system and returns how to give it back.
func fillUp(t *testing.T, dir string) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte("x"), 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// picture is everything in Exim's directory, and the list as the panel shows it.
func picture(t *testing.T, w *world.World) string {
	t.Helper()
	var b bytes.Buffer
	err := filepath.WalkDir(filepath.Join(w.Root, files.Debian.Exim), func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "filler" {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		b.WriteString(p + "\n")
		_, err = io.Copy(&b, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Must(t, "user1", "emaildomain").Elems {
		b.WriteString(e["name"] + " " + e["defaction"] + " " + e["active"] + " " + e["ip"] + "\n")
	}
	return b.String()
}

// tryAll tries every kind of change; each must be refused, and change nothing.
func tryAll(t *testing.T, w *world.World, want string) {
	t.Helper()
	before := picture(t, w)
	w.Refused(t, want, "user1", "emaildomain.edit", "name", "new.example", "sok", "ok")
	w.Refused(t, want, "user1", "emaildomain.edit", "name", "new.example", "ip", "127.0.0.12", "sok", "ok")
	w.Refused(t, want, "user1", "emaildomain.edit", "elid", "old.example", "defaction", "ignore", "sok", "ok")
	w.Refused(t, want, "user1", "emaildomain.suspend", "elid", "old.example")
	if after := picture(t, w); after != before {
		t.Errorf("refused changes left their mark: before\n%s\nafter\n%s", before, after)
	}
}

// afterwards everything works again.
func afterwards(t *testing.T, w *world.World) {
	t.Helper()
	w.Must(t, "user1", "emaildomain.edit", "name", "new.example", "ip", "127.0.0.12", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "elid", "old.example", "defaction", "ignore", "sok", "ok")
	out, err := exec.Command(w.Program("maildomain"), "reconcile", "--root", w.Root).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("reconcile finds %s, %v", out, err)
	}
}

func TestFullDiskOfEximChangesNothing(t *testing.T) {
	data := t.TempDir()
	dir := small(t, filepath.Join(data, "root"), files.Debian.Exim)
	w := world.Start(t, world.Options{Data: data})
	w.Must(t, "user1", "emaildomain.edit", "name", "old.example", "sok", "ok")
	empty := fillUp(t, dir)
	tryAll(t, w, "unavailable(disk)")
	empty()
	afterwards(t, w)
}

func TestFullDiskOfTheDatabaseChangesNothing(t *testing.T) {
	data := t.TempDir()
	dir := small(t, filepath.Join(data, "root"), files.Debian.State)
	w := world.Start(t, world.Options{Data: data})
	w.Must(t, "user1", "emaildomain.edit", "name", "old.example", "sok", "ok")
	empty := fillUp(t, dir)
	tryAll(t, w, "unavailable(disk)")
	empty()
	afterwards(t, w)
}

func TestReadOnlyDirectoryChangesNothing(t *testing.T) {
	lab.NeedRoot(t)
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "old.example", "sok", "ok")
	dir := filepath.Join(w.Root, files.Debian.Domains())
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(errors.Join(err, syscall.Unmount(dir, 0)))
	}
	tryAll(t, w, "unavailable(files)")
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	afterwards(t, w)
}
