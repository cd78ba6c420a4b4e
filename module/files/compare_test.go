package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"maildomain/module/mail"
)

func TestEveryDriftIsTold(t *testing.T) {
	want := file(settings, "state: active\n")
	gone := File{Path: settings}
	at := func(dir string) string { return filepath.Join(dir, settings) }
	for what, c := range map[string]struct {
		do    func(dir string) error // to the file as it is to be
		want  File
		drift Drift // empty: none
	}{
		"as it is to be":    {func(string) error { return nil }, want, ""},
		"there is none":     {func(dir string) error { return os.Remove(at(dir)) }, gone, ""},
		"missing":           {func(dir string) error { return os.Remove(at(dir)) }, want, FileMissing},
		"stale":             {func(string) error { return nil }, gone, FileStale},
		"stale and edited":  {func(dir string) error { return os.WriteFile(at(dir), []byte(mark), 0) }, gone, FileStale},
		"edited":            {func(dir string) error { return os.WriteFile(at(dir), []byte(header+"state: suspended\n"), 0) }, want, FileEdited},
		"shorter":           {func(dir string) error { return os.Truncate(at(dir), int64(len(header))) }, want, FileEdited},
		"longer":            {func(dir string) error { return os.WriteFile(at(dir), append(slices.Clip(want.Body), '\n'), 0) }, want, FileEdited},
		"of an old version": {func(dir string) error { return os.WriteFile(at(dir), []byte(mark+" older\nstate: active\n"), 0) }, want, FileEdited},
		"edited, own mode": {func(dir string) error {
			return errors.Join(os.WriteFile(at(dir), []byte(header), 0), os.Chmod(at(dir), 0o644))
		}, want, FileEdited},
		"mode":                  {func(dir string) error { return os.Chmod(at(dir), 0o644) }, want, FileOwner},
		"setuid":                {func(dir string) error { return os.Chmod(at(dir), 0o640|fs.ModeSetuid) }, want, FileOwner},
		"foreign":               {func(dir string) error { return os.WriteFile(at(dir), []byte("state: active\n"), 0) }, want, FileForeign},
		"foreign, of no domain": {func(dir string) error { return os.WriteFile(at(dir), []byte("notes"), 0) }, gone, FileForeign},
		"directory": {func(dir string) error {
			return errors.Join(os.Remove(at(dir)), os.Mkdir(at(dir), 0o700))
		}, want, FileForeign},
		"link to the same": {func(dir string) error {
			return errors.Join(os.Rename(at(dir), at(dir)+".real"), os.Symlink("a.example.real", at(dir)))
		}, want, FileEdited},
	} {
		tree, dir := openTree(t)
		if err := tree.Put(want); err != nil {
			t.Fatal(err)
		}
		if err := c.do(dir); err != nil {
			t.Fatal(err)
		}
		f, is, err := tree.Compare(c.want)
		if err != nil || is != (c.drift != "") || is && f != (Finding{settings, c.drift}) {
			t.Errorf("%s: %v, %v, %v", what, f, is, err)
		}
	}
}

func TestWrongOwnerIsTold(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	want := file(settings, "x")
	gid := int(groupID(t, Debian.EximGroup))
	for _, own := range [][2]int{{1, gid}, {0, gid + 1}, {65534, 65534}} {
		if err := tree.Put(want); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, settings), own[0], own[1]); err != nil {
			t.Fatal(err)
		}
		if f, is, err := tree.Compare(want); err != nil || !is || f.Drift != FileOwner {
			t.Errorf("owned by %v: %v, %v, %v", own, f, is, err)
		}
	}
	if err := tree.Put(want); err != nil {
		t.Fatal(err)
	}
	if f, is, err := tree.Compare(want); err != nil || is {
		t.Errorf("put right: %v, %v", f, err)
	}
}

func TestPutWritesAndRemoves(t *testing.T) {
	tree, dir := openTree(t)
	for _, f := range []File{file(settings, "1"), file(settings, "2"), {Path: settings}, {Path: settings}} {
		if err := tree.Put(f); err != nil {
			t.Fatal(err)
		}
		if found, is, err := tree.Compare(f); err != nil || is {
			t.Errorf("put, but %v, %v", found, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, settings, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := tree.Put(file(settings, "3"))
	if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Unavailable {
		t.Errorf("put over a directory: %v", err)
	}
	checkNothingStaged(t, dir)
}

func TestDomainNamesAreAllThatStandsThere(t *testing.T) {
	tree, dir := openTree(t)
	var want []string
	for i := range 2500 { // more than one read of the directory
		want = append(want, fmt.Sprintf("d%d.example", i))
	}
	want = append(want, "a b", ".hidden", "#x#", "\xff\n", strings.Repeat("a", 255))
	for _, n := range want {
		write(t, dir, "etc/exim4/domains/"+n, nil)
	}
	if err := os.Mkdir(filepath.Join(dir, "etc/exim4/domains/directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	want = append(want, "directory")
	var got []string
	if err := tree.DomainNames(func(n string) error { got = append(got, n); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d names, want %d", len(got), len(want))
	}
	for _, n := range got { // none of them is more than a name in that directory
		if _, _, err := tree.Compare(tree.NoFiles(n)[0]); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}

	enough := errors.New("enough")
	if err := tree.DomainNames(func(string) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("stopped with %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "etc/exim4/domains")); err != nil {
		t.Fatal(err)
	}
	if err := tree.DomainNames(func(string) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestReadyMarkerComesAndGoes(t *testing.T) {
	tree, dir := openTree(t)
	at := filepath.Join(dir, "etc/exim4/maildomain.ready")
	for _, ready := range []bool{false, true, true, false, false, true} {
		if err := tree.SetReady(ready); err != nil {
			t.Fatal(err)
		}
		if is, err := tree.Ready(); err != nil || is != ready {
			t.Errorf("ready %v, %v; want %v", is, err, ready)
		}
		if _, err := os.Stat(at); (err == nil) != ready {
			t.Errorf("set to %v: %v", ready, err)
		}
	}
	checkNothingStaged(t, dir)

	// To Exim a link that leads somewhere is a marker, to us it is none.
	for _, target := range []string{"domains", "/dev/null", "nowhere"} {
		if err := errors.Join(os.Remove(at), os.Symlink(target, at)); err != nil {
			t.Fatal(err)
		}
		if is, err := tree.Ready(); err != nil || is {
			t.Errorf("a link to %s is a marker: %v, %v", target, is, err)
		}
		if err := tree.SetReady(false); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("taken away, the link to %s stands: %v", target, err)
		}
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
		if err := tree.SetReady(true); err != nil {
			t.Fatal(err)
		}
		if is, err := tree.Ready(); err != nil || !is {
			t.Errorf("in place of a link to %s: %v, %v", target, is, err)
		}
	}
}
