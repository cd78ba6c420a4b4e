package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makePoint makes the mount point dir in a space, where the machine has none: the
// directory above it is laid anew, in memory, with all that is in it bound back.
// The machine's own stays as it is.
func makePoint(dir string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(dir)
	entries, err := os.ReadDir(above)
	if err != nil {
		return fmt.Errorf("lay %s anew: %w", above, err)
	}
	// Seen from a descriptor, what is there stays within reach when it is covered.
	under, err := os.OpenFile(above, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("lay %s anew: %w", above, err)
	}
	defer func() { _ = under.Close() }()
	if err := syscall.Mount("tmpfs", above, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("lay %s anew: %w", above, err)
	}
	for _, e := range entries {
		from := fmt.Sprintf("/proc/self/fd/%d/%s", under.Fd(), e.Name())
		if err := bindBack(from, filepath.Join(above, e.Name()), e.Type()); err != nil {
			return fmt.Errorf("lay %s anew: %w", above, err)
		}
	}
	return os.Mkdir(dir, 0o755)
}

func bindBack(from, to string, kind fs.FileMode) error {
	switch {
	case kind&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case kind.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	case kind.IsRegular() || kind&fs.ModeSocket != 0:
		if err := os.WriteFile(to, nil, 0o600); err != nil {
			return err
		}
	default:
		return nil // pipes and devices: nobody here asks for them
	}
	return syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, "")
}
