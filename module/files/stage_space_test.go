package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

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
