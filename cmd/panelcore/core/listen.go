package core

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into a sockaddr_un (unix(7)).
const maxSocketPath = 107

// ListenUnix returns a listening stream socket at path that only this user can
// dial. A socket that a dead process left there is replaced; the lock on the data
// directory says that its owner is dead.
func ListenUnix(path string) (*os.File, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen at %s: the path is longer than %d bytes; choose a shorter data directory", path, maxSocketPath)
	}
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("listen at %s: something that is no socket is in the way", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace old socket: %w", err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	// The mode of the socket before bind is the mode of the file that bind makes:
	// there is no moment in which others can dial.
	if err := errors.Join(unix.Fchmod(fd, 0o600), unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, unix.SOMAXCONN)); err != nil {
		f.Close()
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return f, nil
}
