package files

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
)

// A standing says what stands in the place of a file.
type standing int

const (
	nothing standing = iota
	ours             // a file that the module wrote
	link             // a symbolic link, which Exim takes for no file either; never followed
	foreign          // what somebody else put there
)

// largest is the most that is read of a standing file; ours are far below it but
// for domainips, which at a million domains is some 40 MB.
const largest = 256 << 20

// look says what stands at p; of a file of ours also what is in it, and its owner
// and mode.
func (t *Tree) look(p string) (standing, []byte, fs.FileInfo, error) {
	d, err := t.openPlace(path.Dir(p))
	if err != nil {
		return nothing, nil, nil, err
	}
	defer d.dir.Close()
	return d.look(path.Base(p))
}

func inspect(f *os.File) (standing, []byte, fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nothing, nil, nil, err
	}
	head, err := io.ReadAll(io.LimitReader(f, int64(len(mark))))
	if err != nil {
		return nothing, nil, nil, err
	}
	stands := ours
	if !begun(head) {
		stands = foreign
	}
	rest, err := io.ReadAll(io.LimitReader(f, largest))
	return stands, append(head, rest...), info, err
}

// as is what stands there to somebody who wants f there: a file that carries no mark
// of ours is ours by its name.
func (s standing) as(f File, info fs.FileInfo) standing {
	if s == foreign && f.Bare && info != nil {
		return ours
	}
	return s
}

// begun says that a file with that beginning is the module's. Our files are not
// synced: what stands after a power failure may have no bytes yet, some of them, or
// zeros, and is ours to write again.
func begun(head []byte) bool {
	return bytes.HasPrefix([]byte(mark), head) || len(bytes.Trim(head, "\x00")) == 0
}
