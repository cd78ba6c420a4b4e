package files

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A place is an open directory, and what stands in it goes by its name there. It is
// reached through the root of a tree, so that no link leads out of that; in it no
// link is followed.
type place struct {
	dir      *os.File
	path     string
	writable func() error           // nil where entries can be made and removed; asked once
	stage    func() (*place, error) // where files for this place wait; a rename from there can work
}

// places are the directories of all that is staged, each opened and tried once:
// every step of a path is a call of the system, and a commit has many files. They
// are closed when nothing is staged any more.
type places struct {
	mu   sync.Mutex
	held int // Staged that have not ended
	open map[string]*place
}

func (ps *places) hold() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.held++
}

func (ps *places) release() error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.held--; ps.held > 0 {
		return nil
	}
	return ps.close()
}

// close is for the holder of mu.
func (ps *places) close() error {
	var err error
	for _, p := range ps.open {
		err = errors.Join(err, p.dir.Close())
	}
	ps.open = nil
	return err
}

// place is the directory at dir, for the holder of places.
func (t *Tree) place(dir string) (*place, error) { return t.placeBy(dir, t.openPlace) }

func (t *Tree) placeBy(dir string, open func(string) (*place, error)) (*place, error) {
	t.places.mu.Lock()
	defer t.places.mu.Unlock()
	if p, is := t.places.open[dir]; is {
		return p, nil
	}
	p, err := open(dir)
	if err != nil {
		return nil, err
	}
	if t.places.open == nil {
		t.places.open = map[string]*place{}
	}
	t.places.open[dir] = p
	return p, nil
}

func (t *Tree) openPlace(dir string) (*place, error) {
	f, err := t.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	p := &place{dir: f, path: dir}
	p.writable = sync.OnceValue(p.tryWriting)
	p.stage = sync.OnceValues(func() (*place, error) { return t.stageOf(p) })
	return p, nil
}

// stages are where files wait for their commit: beside the directories that
// daemons search, on the same file system.
func (t *Tree) stages() []string {
	return []string{path.Join(t.layout.Exim, "maildomain.stage"), path.Join(t.layout.Dovecot, "maildomain.stage")}
}

func (t *Tree) stageOf(p *place) (*place, error) {
	i := slices.IndexFunc(t.stages(), func(s string) bool { return strings.HasPrefix(p.path+"/", path.Dir(s)+"/") })
	if i < 0 {
		return nil, &fs.PathError{Op: "stage for", Path: p.path, Err: errors.New("no directory of the module's")}
	}
	stage, err := t.placeBy(t.stages()[i], t.openStage)
	if err != nil {
		return nil, err
	}
	return stage, stage.leadsTo(p)
}

// openStage makes the stage where there is none.
func (t *Tree) openStage(dir string) (*place, error) {
	p, err := t.openPlace(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if err := t.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return t.openPlace(dir)
}

// create makes a new file with the owner and mode of f, never readable by more
// than f is to be.
func (p *place) create(name string, f File, o owner) (err error) {
	w, err := p.openFile(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, f.Mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := o.give(w, f.Mode); err != nil {
		return err
	}
	_, err = w.Write(f.Body)
	return err
}

// openFile does not follow a link and does not wait for the other end of a pipe.
func (p *place) openFile(name string, flags int, mode fs.FileMode) (*os.File, error) {
	var fd int
	err := p.try("open", name, func() (err error) {
		fd, err = unix.Openat(int(p.dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode.Perm()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path.Join(p.path, name)), nil
}

// look says what stands under that name; of a file of ours also what is in it,
// and its owner and mode.
func (p *place) look(name string) (standing, []byte, fs.FileInfo, error) {
	var st unix.Stat_t
	err := p.try("look at", name, func() error {
		return unix.Fstatat(int(p.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nothing, nil, nil, nil
	case err != nil:
		return nothing, nil, nil, err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return link, nil, nil, nil
	case st.Mode&unix.S_IFMT != unix.S_IFREG: // not opened: it may be a pipe, and wait
		return foreign, nil, nil, nil
	}
	f, err := p.openFile(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return nothing, nil, nil, nil
	}
	if err != nil {
		return nothing, nil, nil, err
	}
	defer f.Close()
	return inspect(f)
}

// move renames a file of this place into another.
func (p *place) move(name string, to *place, as string) error {
	return to.try("rename to", as, func() error {
		return unix.Renameat(int(p.dir.Fd()), name, int(to.dir.Fd()), as)
	})
}

// remove removes a file, where there is one.
func (p *place) remove(name string) error {
	err := p.try("remove", name, func() error { return unix.Unlinkat(int(p.dir.Fd()), name, 0) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// try makes a call of the system that a signal may interrupt.
func (p *place) try(what, name string, call func() error) error {
	for {
		err := call()
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: what, Path: path.Join(p.path, name), Err: err}
		}
	}
}

func (p *place) tryWriting() error {
	return p.try("write in", "", func() error { return unix.Faccessat(int(p.dir.Fd()), ".", unix.W_OK, 0) })
}

// leadsTo finds out whether a rename from here to another place can work.
func (p *place) leadsTo(to *place) error {
	from, err := p.mount()
	if err != nil {
		return err
	}
	there, err := to.mount()
	if err != nil {
		return err
	}
	if from != there {
		return &fs.PathError{Op: "rename into", Path: to.path, Err: syscall.EXDEV}
	}
	return nil
}

// mount is the id of the mount that the directory is on (statx(2)).
func (p *place) mount() (uint64, error) {
	var s unix.Statx_t
	err := p.try("statx", "", func() error {
		return unix.Statx(int(p.dir.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &s)
	})
	return s.Mnt_id, err
}
