package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

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

func TestMissingDirectoryIsNoMissingFile(t *testing.T) {
	tree, dir := openTree(t)
	if err := os.Remove(filepath.Join(dir, "etc/exim4/domains")); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(settings, "x")})
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: File{Path: settings}})
	if _, _, err := tree.Compare(file(settings, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("compared: %v", err)
	}
}

// needRoot leaves the test out for an ordinary user, but not under CI.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs root, for mounts of its own")
	}
	t.Skip("this test needs root, for mounts of its own")
}

// ownSpace gives the test's thread mounts of its own, which end with it.
func ownSpace(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread() // never unlocked: Go ends the thread with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("make a private mount namespace: %v", err)
	}
	mountOn(t, "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

func mountAt(t *testing.T, from, at, kind string, flags uintptr, options string) {
	t.Helper()
	mountOn(t, from, at, kind, flags, options)
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

func mountOn(t *testing.T, from, at, kind string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount(from, at, kind, flags, options); err != nil {
		t.Fatalf("mount %s: %v", at, err)
	}
}

func TestFullDiskChangesNothing(t *testing.T) {
	dir := t.TempDir()
	ownSpace(t)
	mountAt(t, "tmpfs", dir, "tmpfs", 0, "size=256k")
	tree := treeAt(t, dir)
	publish(t, stage(t, tree, Change{File: file(settings, "old")}))

	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	long := file(settings, string(bytes.Repeat([]byte("x"), 64<<10)))
	checkRefused(t, tree, dir, "disk", "unavailable_disk", Change{File: long, Was: []byte(header + "old")})
	checkRefused(t, tree, dir, "disk", "unavailable_disk", Change{File: file(addresses, "x")}, Change{File: long})
	if err := tree.Put(long); err == nil {
		t.Error("put on a full disk")
	}
	publish(t, stage(t, tree, Change{File: File{Path: settings}})) // removing needs no room

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	publish(t, stage(t, tree, Change{File: long}))
	if got := read(t, dir, settings); got != string(long.Body) {
		t.Errorf("with room again there stand %d bytes", len(got))
	}
}

func TestReadOnlyDirectoryIsFoundBeforeTheCommit(t *testing.T) {
	ownSpace(t)
	tree, dir := openTree(t)
	publish(t, stage(t, tree, Change{File: file(settings, "old")}))
	domains := filepath.Join(dir, "etc/exim4/domains")
	mountAt(t, domains, domains, "", unix.MS_BIND, "")
	mountOn(t, "", domains, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(addresses, "x")}, Change{File: file(settings, "new")})
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: File{Path: settings}})

	mountOn(t, "", domains, "", unix.MS_BIND|unix.MS_REMOUNT, "")
	// Writable again, but another mount: a rename out of the stage cannot work.
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(settings, "new")})
	if err := unix.Unmount(domains, 0); err != nil {
		t.Fatal(err)
	}
	publish(t, stage(t, tree, Change{File: file(settings, "new")}))
}

func TestImmutableDirectoryIsFoundBeforeTheCommit(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	publish(t, stage(t, tree, Change{File: file(settings, "old")}))
	d, err := os.Open(filepath.Join(dir, "etc/exim4/domains"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Skipf("this file system knows no immutable directories: %v", err)
	}
	const immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
	set := func(to int) error { return unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, to) }
	if err := set(flags | immutable); err != nil {
		t.Skipf("this file system knows no immutable directories: %v", err)
	}
	t.Cleanup(func() { _ = set(flags) })
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(settings, "new")})
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: File{Path: settings}})
}

func TestUnwritableDirectoryIsFoundByAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		return // root may write anywhere; TestReadOnlyDirectoryIsFoundBeforeTheCommit stands for it
	}
	tree, dir := openTree(t)
	domains := filepath.Join(dir, "etc/exim4/domains")
	if err := os.Chmod(domains, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(domains, 0o700) })
	checkRefused(t, tree, dir, "files", "unavailable_files", Change{File: file(settings, "new")})
}
