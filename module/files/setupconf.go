package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rogpeppe/go-internal/diff"
)

// It may hold what not everybody is to read, by way of macros and hooks.
const confMode = 0o640

// ensureConf writes Exim's main configuration file, or tells why not.
func (r *Report) ensureConf(root *os.Root, l Layout, own owner) error {
	want := EximConf(l)
	info, err := root.Lstat(l.EximConf)
	var standing []byte
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Conf = ConfNone
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	default:
		if standing, err = root.ReadFile(l.EximConf); err != nil {
			return err
		}
		if standing == nil {
			standing = []byte{}
		}
		r.Conf = CheckEximConf(standing)
		if !info.Mode().IsRegular() {
			r.Conf = ConfForeign // a link is somebody's arrangement
		}
	}

	same := bytes.Equal(standing, want)
	switch r.Conf {
	case ConfNone:
		r.Done = append(r.Done, "/"+l.EximConf+": written")
	case ConfOwn:
		if same && info.Mode().Perm() == confMode && (!own.set || own.has(info)) {
			return nil
		}
		done := "owner and mode put right"
		if !same {
			done = "replaced by this version's"
		}
		r.Done = append(r.Done, "/"+l.EximConf+": "+done)
	case ConfEdited, ConfForeign:
		r.Diff = string(diff.Diff("/"+l.EximConf, standing, "maildomain's", want))
		return nil
	}
	return replace(root, l.EximConf, want, confMode, own)
}

// replace puts data in the place of name, complete or not at all.
func replace(root *os.Root, name string, data []byte, mode fs.FileMode, own owner) (err error) {
	part := name + ".maildomain-new"
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(part) // the error is told; the next run removes it too
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		_, err = own.give(f, mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Rename(part, name)
}
