package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"maildomain/module/mail"
)

func TestTreeNeedsItsRoot(t *testing.T) {
	if _, err := OpenTree(filepath.Join(t.TempDir(), "none"), Debian); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened: %v", err)
	}
}

func TestMadeDirectoriesAreToldOnce(t *testing.T) {
	dir := t.TempDir()
	tree, err := OpenTree(dir, RHEL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	did, err := tree.MakeDirectories()
	if err != nil || !slices.Contains(did, "etc/exim/domains: created") || !slices.Contains(did, "var/lib/maildomain: created") {
		t.Errorf("made %q, %v", did, err)
	}
	if err := os.Chmod(filepath.Join(dir, "etc/exim/domains"), 0o777); err != nil {
		t.Fatal(err)
	}
	if did, err = tree.MakeDirectories(); err != nil || len(did) != 1 {
		t.Errorf("put right: %q, %v", did, err)
	}
	if did, err = tree.MakeDirectories(); err != nil || len(did) != 0 {
		t.Errorf("all was right, but %q, %v", did, err)
	}
	if tree.Layout() != RHEL {
		t.Errorf("layout %v", tree.Layout())
	}
}

// A missing directory of settings makes Exim defer, an empty one makes it refuse.
func TestEmptyDirectoryOfSettingsIsMadeOnlyWhileMailWaits(t *testing.T) {
	tree, dir := openTree(t)
	ready := func() bool {
		t.Helper()
		is, err := tree.Ready()
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if err := tree.SetReady(true); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "etc/exim4/mailboxes")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.MakeDirectories(); err != nil || !ready() {
		t.Errorf("another directory was missing, and the marker went: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "etc/exim4/domains")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.MakeDirectories(); err != nil || ready() {
		t.Errorf("the directory was made while Exim takes mail: %v", err)
	}
}

func TestNoLinkLeadsOutOfTheTree(t *testing.T) {
	tree, dir := openTree(t)
	outside := t.TempDir()
	write(t, outside, "a.example", []byte(header))
	domains := filepath.Join(dir, "etc/exim4/domains")
	if err := errors.Join(os.Remove(domains), os.Symlink(outside, domains)); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(settings, "new")})
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: File{Path: settings}})
	if err := tree.DomainNames(func(n string) error { t.Errorf("listed %s", n); return nil }); err == nil {
		t.Error("a directory outside was listed")
	}
	if _, err := tree.MakeDirectories(); err == nil {
		t.Error("a link was taken for a directory")
	}
	if got := read(t, outside, "a.example"); got != header {
		t.Errorf("outside there stands %q", got)
	}
}

func TestRefusalsOfTheSystemAreTold(t *testing.T) {
	for err, want := range map[error][2]string{
		syscall.ENOSPC: {"disk", "unavailable_disk"},
		syscall.EDQUOT: {"disk", "unavailable_disk"},
		syscall.EFBIG:  {"disk", "unavailable_disk"},
		errForeign:     {"files", "unavailable_foreign"},
		syscall.EROFS:  {"files", "unavailable_files"},
		syscall.EPERM:  {"files", "unavailable_files"},
		fs.ErrNotExist: {"files", "unavailable_files"},
		syscall.EMFILE: {"files", "unavailable_files"},
	} {
		said := explain(&fs.PathError{Op: "write", Path: "x", Err: err})
		e, ok := errors.AsType[*mail.Error](said)
		if !ok || e.Kind != mail.Unavailable || e.Field != want[0] || e.Text != want[1] || !errors.Is(said, err) {
			t.Errorf("%v became %v", err, said)
		}
	}
	if explain(nil) != nil {
		t.Error("no error became one")
	}
}
