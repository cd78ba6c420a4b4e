package files

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"
)

// EraseLeft removes for good mail that no row knows of and that was set aside before
// then: what an earlier mailbox of a name had left, and what lay in the trash of
// another database.
func (t *Tree) EraseLeft(before time.Time) error {
	trash := t.layout.Trash()
	d, err := t.openDir(trash)
	if err != nil {
		return fmt.Errorf("open the trash: %w", err)
	}
	names, err := d.Readdirnames(-1)
	err = errors.Join(err, d.Close())
	for _, n := range names {
		if !strings.HasPrefix(n, leftPrefix) {
			continue
		}
		p := path.Join(trash, n)
		info, e := t.root.Lstat(p)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t) // a rename leaves the time of the last change as it was, and sets this one
		if ok && time.Unix(st.Ctim.Unix()).Before(before) {
			err = errors.Join(err, t.root.RemoveAll(p))
		}
	}
	if err != nil {
		return fmt.Errorf("erase mail that was left: %w", err)
	}
	return nil
}
