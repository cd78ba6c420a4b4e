package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withSpares waits until files are at hand for the stage of Exim's files.
func withSpares(t *testing.T, tree *Tree) {
	t.Helper()
	publish(t, stage(t, tree, Change{File: file(settings, "first")}))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		tree.spares.mu.Lock()
		n, barred := len(tree.spares.files[stageDir]), tree.spares.barred
		if tree.spares.making[stageDir] {
			n = 0 // not at its end
		}
		tree.spares.mu.Unlock()
		if barred {
			t.Fatal("the file system of the tests has no files without names")
		}
		if n == spared {
			tree.spares.mu.Lock()
			tree.spares.making[stageDir] = true // no more are made
			tree.spares.mu.Unlock()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d spare files, want %d", n, spared)
		}
	}
}

func staged(t *testing.T, dir string) (names []string) {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(dir, stageDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

func TestFilesMadeBeforehandAreAsOthers(t *testing.T) {
	tree, dir := openTree(t)
	withSpares(t, tree)
	if names := staged(t, dir); len(names) > 0 {
		t.Fatalf("%q are seen", names)
	}
	for i, mode := range []os.FileMode{0o640, 0o644, 0o600} {
		f := file(settings, "a new text")
		f.Mode = mode
		s := stage(t, tree, Change{File: f, Was: []byte(header + "first")})
		if got := len(tree.spares.files[stageDir]); got != spared-1-i {
			t.Errorf("%d spare files are left", got)
		}
		publish(t, s)
		if finding, differs, err := tree.Compare(f); differs || err != nil {
			t.Errorf("mode %v: %v, %v", mode, finding, err)
		}
		st, err := os.Stat(filepath.Join(dir, settings))
		if err != nil {
			t.Fatal(err)
		}
		if n := st.Sys().(*syscall.Stat_t).Nlink; n != 1 {
			t.Errorf("it has %d names", n)
		}
	}
	s := stage(t, tree, Change{File: file(settings, "dropped")})
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
	if names := staged(t, dir); len(names) > 0 {
		t.Errorf("%q are left", names)
	}
}

func TestNobodyWaitsForFilesMadeBeforehand(t *testing.T) {
	tree, dir := openTree(t)
	for i := range 3 * spared {
		publish(t, stage(t, tree, Change{File: file(addresses, string(rune('a'+i)))}))
	}
	if got, want := read(t, dir, addresses), header+string(rune('a'+3*spared-1)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The stage may be on another file system by now, or in another mount.
func TestFilesMadeBeforehandForAnotherFileSystemAreNotUsed(t *testing.T) {
	dir := t.TempDir()
	ownSpace(t)
	tree := treeAt(t, dir)
	withSpares(t, tree)
	mountAt(t, "tmpfs", filepath.Join(dir, "etc/exim4"), "tmpfs", 0, "size=1m")
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	f := file(settings, "here")
	publish(t, stage(t, tree, Change{File: f}))
	if finding, differs, err := tree.Compare(f); differs || err != nil {
		t.Errorf("%v, %v", finding, err)
	}
}

func TestClosedTreeHoldsNoFiles(t *testing.T) {
	dir := t.TempDir()
	tree, err := OpenTree(dir, Debian)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	withSpares(t, tree)
	var fds []int
	for _, f := range tree.spares.files[stageDir] {
		fds = append(fds, int(f.Fd()))
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.Fstat(fd, &unix.Stat_t{}); err == nil {
			t.Errorf("descriptor %d is open", fd)
		}
	}
	tree.makeSpares(stageDir) // that had begun before
	if n := len(tree.spares.files[stageDir]); n > 0 {
		t.Errorf("%d more were made", n)
	}
}
