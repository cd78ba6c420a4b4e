package files

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

const (
	settings  = "etc/exim4/domains/a.example"
	addresses = "etc/exim4/domainips"
	stageDir  = "etc/exim4/maildomain.stage"
)

// openTree is a tree with its directories, below a directory that is also returned.
func openTree(t *testing.T) (*Tree, string) {
	t.Helper()
	dir := t.TempDir()
	return treeAt(t, dir), dir
}

func treeAt(t *testing.T, dir string) *Tree {
	t.Helper()
	tree, err := OpenTree(dir, Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	return tree
}

// file is a file of the module's at p, with some text in it.
func file(p, text string) File {
	return File{Path: p, Body: []byte(header + text), Mode: 0o640, Group: Debian.EximGroup}
}

func write(t *testing.T, dir, p string, body []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, p), body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, p string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, p))
	if errors.Is(err, fs.ErrNotExist) {
		return "no file"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stage(t *testing.T, tree *Tree, plan ...Change) *Staged {
	t.Helper()
	s, err := tree.Stage(plan)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, s *Staged) {
	t.Helper()
	if err := s.Publish(); err != nil {
		t.Fatal(err)
	}
}

// checkNothingStaged says that no file was left to wait.
func checkNothingStaged(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, stageDir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the stage: %q, %v", left, err)
	}
}

// checkRefused says that staging a plan fails in a way that a person can act on,
// and that nothing below dir is other than before.
func checkRefused(t *testing.T, tree *Tree, dir, field, text string, plan ...Change) {
	t.Helper()
	before := withoutStage(snapshot(t, dir), dir)
	_, err := tree.Stage(plan)
	if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Unavailable || e.Field != field || e.Text != text || e.Cause == nil {
		t.Errorf("staging: %v, want unavailable(%s): %s with its cause", err, field, text)
	}
	if diff := cmp.Diff(before, withoutStage(snapshot(t, dir), dir)); diff != "" {
		t.Errorf("a change that was refused changed:\n%s", diff)
	}
	checkNothingStaged(t, dir)
}

// withoutStage leaves out the stage itself and the directory that it is made in,
// whose times change.
func withoutStage(all map[string]string, dir string) map[string]string {
	maps.DeleteFunc(all, func(p, _ string) bool {
		return p == filepath.Join(dir, stageDir) || p == filepath.Join(dir, "etc/exim4")
	})
	return all
}

func TestStagedFileStandsBesideItsPlace(t *testing.T) {
	tree, dir := openTree(t)
	s := stage(t, tree, Change{File: file(addresses, "ips")}, Change{File: file(settings, "x")})
	if got := read(t, dir, settings) + read(t, dir, addresses); got != "no fileno file" {
		t.Errorf("before the commit there stands %q", got)
	}
	if names, err := os.ReadDir(filepath.Join(dir, "etc/exim4/domains")); err != nil || len(names) != 0 {
		t.Errorf("the directory that Exim searches holds %v, %v", names, err)
	}
	info, err := os.Stat(filepath.Join(dir, stageDir))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the stage: %v, %v", info, err)
	}
	publish(t, s)
	if got := read(t, dir, settings); got != header+"x" {
		t.Errorf("published: %q", got)
	}
	if got := read(t, dir, addresses); got != header+"ips" {
		t.Errorf("published: %q", got)
	}
	checkNothingStaged(t, dir)
}

func TestDropLeavesNothing(t *testing.T) {
	tree, dir := openTree(t)
	publish(t, stage(t, tree, Change{File: file(settings, "old")}))
	before := snapshot(t, dir)
	s := stage(t, tree, Change{File: file(settings, "new")}, Change{File: file(addresses, "new")}, Change{File: File{Path: settings}})
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutStage(before, dir), withoutStage(snapshot(t, dir), dir)); diff != "" {
		t.Errorf("dropped, but:\n%s", diff)
	}
	checkNothingStaged(t, dir)
	if err := s.Drop(); err != nil {
		t.Errorf("dropping again: %v", err)
	}
}

func TestPlanIsStagedWhollyOrNotAtAll(t *testing.T) {
	tree, dir := openTree(t)
	write(t, dir, settings, []byte("someone's\n"))
	checkRefused(t, tree, dir, "files", "unavailable_foreign", Change{File: file(addresses, "x")}, Change{File: file(settings, "x")})
}

func TestPublishedFileHasModeAndGroupUnderAnyUmask(t *testing.T) {
	tree, dir := openTree(t)
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		old := syscall.Umask(mask)
		s, err := tree.Stage([]Change{{File: file(settings, fmt.Sprint(mask))}})
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s)
		i, err := os.Stat(filepath.Join(dir, settings))
		if err != nil {
			t.Fatal(err)
		}
		if i.Mode() != 0o640 {
			t.Errorf("under umask %03o: mode %v", mask, i.Mode())
		}
		if os.Geteuid() == 0 {
			st := i.Sys().(*syscall.Stat_t)
			if want := groupID(t, Debian.EximGroup); st.Uid != 0 || st.Gid != want {
				t.Errorf("owner %d:%d, want 0:%d", st.Uid, st.Gid, want)
			}
		}
	}
}

// groupID is the id of a group; root's where this system has no such group.
func groupID(t *testing.T, name string) uint32 {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

func TestRemovalNeedsNoStage(t *testing.T) {
	tree, dir := openTree(t)
	write(t, dir, settings, []byte(header))
	publish(t, stage(t, tree, Change{File: File{Path: settings}}))
	if got := read(t, dir, settings); got != "no file" {
		t.Errorf("there stands %q", got)
	}
}

func TestRemovingWhatIsGoneIsDone(t *testing.T) {
	tree, dir := openTree(t)
	write(t, dir, settings, []byte(header))
	s := stage(t, tree, Change{File: File{Path: settings}, Was: []byte(header)})
	if err := os.Remove(filepath.Join(dir, settings)); err != nil {
		t.Fatal(err)
	}
	publish(t, s)
	if diff := cmp.Diff([]Finding{{settings, FileMissing}}, s.Findings); diff != "" {
		t.Error(diff)
	}
	publish(t, stage(t, tree, Change{File: File{Path: settings}}))
}

// A gate that opened before its data would let mail in that goes the wrong way.
func TestPublishStopsAtTheFirstFailure(t *testing.T) {
	tree, dir := openTree(t)
	s := stage(t, tree, Change{File: file(addresses, "x")}, Change{File: file(settings, "x")})
	if err := os.MkdirAll(filepath.Join(dir, addresses, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(); err == nil {
		t.Fatal("a file was renamed over a directory")
	}
	if got := read(t, dir, settings); got != "no file" {
		t.Errorf("the gate is open: %q", got)
	}
	checkNothingStaged(t, dir)
}

func TestEmptyStageRemovesWhatWasLeft(t *testing.T) {
	tree, dir := openTree(t)
	if err := tree.EmptyStage(); err != nil {
		t.Errorf("no stage yet: %v", err)
	}
	publish(t, stage(t, tree, Change{File: file(settings, "stays")}))
	stage(t, tree, Change{File: file(settings, "left")})
	write(t, dir, stageDir+"/1.1", []byte("left"))
	if err := os.MkdirAll(filepath.Join(dir, stageDir, "d/d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../domains", filepath.Join(dir, stageDir, "l")); err != nil {
		t.Fatal(err)
	}
	if err := tree.EmptyStage(); err != nil {
		t.Fatal(err)
	}
	checkNothingStaged(t, dir)
	if got := read(t, dir, settings); got != header+"stays" {
		t.Errorf("emptying the stage changed a published file to %q", got)
	}
}

// Reconcile at the command line stages beside the process that serves.
func TestProcessesStageBesideEachOther(t *testing.T) {
	_, dir := openTree(t)
	var all sync.WaitGroup
	for i := range 4 {
		tree := treeAt(t, dir)
		for j := range 8 {
			all.Go(func() {
				p := fmt.Sprintf("etc/exim4/domains/d%d%d.example", i, j)
				for k := range 10 {
					s, err := tree.Stage([]Change{{File: file(p, fmt.Sprint(k))}})
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Publish(); err != nil {
						t.Error(err)
					}
				}
				if f, is, err := tree.Compare(file(p, "9")); is || err != nil {
					t.Errorf("%s: %v, %v", p, f, err)
				}
			})
		}
	}
	all.Wait()
	checkNothingStaged(t, dir)
}
