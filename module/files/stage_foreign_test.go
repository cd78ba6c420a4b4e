package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForeignFileIsRefusedAndUntouched(t *testing.T) {
	for what, make := range map[string]func(p string) error{
		"file":             func(p string) error { return os.WriteFile(p, []byte("state: active\n"), 0o600) },
		"other first line": func(p string) error { return os.WriteFile(p, []byte("# maildomain2\n"), 0o600) },
		"our line second":  func(p string) error { return os.WriteFile(p, []byte("\n"+header), 0o600) },
		"directory":        func(p string) error { return os.Mkdir(p, 0o700) },
		"pipe":             func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"huge file": func(p string) error {
			return errors.Join(os.WriteFile(p, []byte("x"), 0o600), os.Truncate(p, 1<<40))
		},
	} {
		t.Run(what, func(t *testing.T) {
			tree, dir := openTree(t)
			if err := make(filepath.Join(dir, settings)); err != nil {
				t.Fatal(err)
			}
			if what == "huge file" { // snapshot would read it
				_, err := tree.Stage([]Change{{File: file(settings, "x")}})
				if !errors.Is(err, errForeign) {
					t.Errorf("staging: %v", err)
				}
				return
			}
			checkRefused(t, tree, dir, "files", "unavailable_foreign", Change{File: file(settings, "x")})
			checkRefused(t, tree, dir, "files", "unavailable_foreign", Change{File: File{Path: settings}, Was: []byte("x")})
		})
	}
}

// Files are not synced: what a power failure leaves of ours must not be in the way
// of the very change or reconcile that would put it right.
func TestTornFileIsWrittenAnew(t *testing.T) {
	whole := []byte(header + "state: active\n")
	for what, body := range map[string][]byte{
		"empty": {}, "a byte": whole[:1], "half a first line": whole[:20], "the mark": whole[:len(mark)],
		"a line and a half": whole[:len(header)+3], "zeros": make([]byte, len(whole)), "zeros at its end": append(bytes.Clone(whole), 0, 0),
	} {
		tree, dir := openTree(t)
		write(t, dir, settings, body)
		if f, is, err := tree.Compare(File{Path: settings, Body: whole, Mode: 0o640}); err != nil || !is || f.Drift != FileEdited {
			t.Errorf("%s: compared: %v, %v, %v", what, f, is, err)
		}
		publish(t, stage(t, tree, Change{File: file(settings, "new"), Was: whole}))
		if got := read(t, dir, settings); got != header+"new" {
			t.Errorf("%s: there stands %q", what, got)
		}
	}
}

func TestLinkIsReplacedAndNeverFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte(header+"outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, target := range map[string]string{
		"outside":           outside,
		"outside, relative": "../../../../../../../../../etc/passwd",
		"inside":            "../inside",
		"inside, foreign":   "../foreign",
		"nowhere":           "nowhere",
		"itself":            "a.example",
		"pipe":              "../pipe",
		"directory":         "..",
	} {
		t.Run(what, func(t *testing.T) {
			tree, dir := openTree(t)
			write(t, dir, "etc/exim4/inside", []byte(header+"inside"))
			write(t, dir, "etc/exim4/foreign", []byte("foreign"))
			if err := syscall.Mkfifo(filepath.Join(dir, "etc/exim4/pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(dir, settings)
			if err := os.Symlink(target, at); err != nil {
				t.Fatal(err)
			}
			if f, is, err := tree.Compare(file(settings, "inside")); err != nil || !is || f.Drift != FileEdited {
				t.Errorf("compared: %v, %v, %v", f, is, err)
			}
			if f, is, err := tree.Compare(File{Path: settings}); err != nil || !is || f.Drift != FileForeign {
				t.Errorf("compared with no file: %v, %v, %v", f, is, err)
			}
			s := stage(t, tree, Change{File: file(settings, "new"), Was: []byte(header + "inside")})
			publish(t, s)
			if diff := cmp.Diff([]Finding{{settings, FileEdited}}, s.Findings); diff != "" {
				t.Error(diff)
			}
			if i, err := os.Lstat(at); err != nil || !i.Mode().IsRegular() || read(t, dir, settings) != header+"new" {
				t.Errorf("there stands %v, %v", i, err)
			}
			if read(t, dir, "etc/exim4/inside") != header+"inside" || read(t, dir, "etc/exim4/foreign") != "foreign" || read(t, "/", outside) != header+"outside" {
				t.Error("what the link led to was written")
			}

			if err := errors.Join(os.Remove(at), os.Symlink(target, at)); err != nil {
				t.Fatal(err)
			}
			publish(t, stage(t, tree, Change{File: File{Path: settings}}))
			if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the link stands after removal: %v", err)
			}
		})
	}
}

func TestOthersChangesAreFound(t *testing.T) {
	was := []byte(header + "was")
	for what, c := range map[string]struct {
		stands []byte // nil: nothing
		was    []byte
		want   []Finding
	}{
		"as it was":  {was, was, nil},
		"edited":     {[]byte(header + "edited"), was, []Finding{{settings, FileEdited}}},
		"removed":    {nil, was, []Finding{{settings, FileMissing}}},
		"not known":  {[]byte(header + "edited"), nil, nil},
		"never been": {nil, nil, nil},
	} {
		tree, dir := openTree(t)
		if c.stands != nil {
			write(t, dir, settings, c.stands)
		}
		s := stage(t, tree, Change{File: file(settings, "new"), Was: c.was})
		publish(t, s)
		if diff := cmp.Diff(c.want, s.Findings); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// Changes that share a commit are staged before the first of them is published.
func TestChangesOfOneCommitAreNotAnothersEdits(t *testing.T) {
	tree, dir := openTree(t)
	one, two := file(settings, "one"), file(settings, "two")
	add := stage(t, tree, Change{File: one})
	edit := stage(t, tree, Change{File: two, Was: one.Body})
	remove := stage(t, tree, Change{File: File{Path: settings}, Was: two.Body})
	publish(t, add)
	publish(t, edit)
	if got := read(t, dir, settings); got != string(two.Body) {
		t.Errorf("there stands %q", got)
	}
	publish(t, remove)
	if got := read(t, dir, settings); got != "no file" {
		t.Errorf("there stands %q", got)
	}
	if found := append(edit.Findings, remove.Findings...); found != nil {
		t.Errorf("said to be others' work: %v", found)
	}
}
