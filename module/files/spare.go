package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spares are files without a name (open(2), O_TMPFILE), made beforehand: to find a free
// inode takes ext4 longer than all else that is done to a small file, up to 0.3 ms where
// many files were made and deleted. They hold no bytes, nobody else may open them, and
// they end with the process.
type spares struct {
	mu     sync.Mutex
	files  map[string][]*os.File // by the stage that they are for
	making map[string]bool
	barred bool // such files cannot be had here, or the tree is closed
}

const (
	spared      = 8                      // files for each stage
	sparesAfter = 100 * time.Millisecond // those who wait for an answer go first
)

// spare takes one; nil where there is none. More are made beside what goes on.
func (t *Tree) spare(stage string) (f *os.File) {
	s := &t.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barred {
		return nil
	}
	if n := len(s.files[stage]); n > 0 {
		f, s.files[stage] = s.files[stage][n-1], s.files[stage][:n-1]
	}
	if s.making == nil {
		s.files, s.making = map[string][]*os.File{}, map[string]bool{}
	}
	if !s.making[stage] {
		s.making[stage] = true
		time.AfterFunc(sparesAfter, func() { t.makeSpares(stage) })
	}
	return f
}

// makeSpares fills up the spares of a stage.
func (t *Tree) makeSpares(stage string) {
	err := t.eachSpare(stage, t.spares.keep)
	t.spares.mu.Lock()
	defer t.spares.mu.Unlock()
	t.spares.making[stage] = false
	// A stage that is gone for now is made again; what cannot be made is done without.
	t.spares.barred = t.spares.barred || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func (t *Tree) eachSpare(stage string, keep func(stage string, f *os.File) (more bool)) error {
	p, err := t.openPlace(stage)
	if err != nil {
		return err
	}
	defer p.dir.Close()
	for more := true; more; {
		fd, err := unix.Openat(int(p.dir.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fmt.Errorf("make a spare file: %w", err)
		}
		more = keep(stage, os.NewFile(uintptr(fd), path.Join(stage, "spare")))
	}
	return nil
}

func (s *spares) keep(stage string, f *os.File) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barred {
		_ = f.Close() // nothing is in it
		return false
	}
	s.files[stage] = append(s.files[stage], f)
	return len(s.files[stage]) < spared
}

// close lets go of all, and of those that come later.
func (s *spares) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barred = true
	var err error
	for _, fs := range s.files {
		for _, f := range fs {
			err = errors.Join(err, f.Close())
		}
	}
	s.files = nil
	return err
}

// fill writes a spare file and gives it its name; false where that name cannot be had
// in this way.
func (p *place) fill(w *os.File, name string, f File, o owner) (named bool, err error) {
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := o.give(w, f.Mode); err != nil {
		return true, err
	}
	if _, err := w.Write(f.Body); err != nil {
		return true, err
	}
	from := fmt.Sprintf("/proc/self/fd/%d", w.Fd()) // linkat(2) with AT_EMPTY_PATH is root's alone
	return p.try("name", name, func() error {
		return unix.Linkat(unix.AT_FDCWD, from, int(p.dir.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	}) == nil, nil
}
