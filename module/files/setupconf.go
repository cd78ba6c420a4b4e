package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rogpeppe/go-internal/diff"
)

// A mainConf is a main configuration file, whole.
type mainConf struct {
	path  string
	group string // empty: root's
	mode  fs.FileMode
	text  func(Layout) []byte
}

func mainConfs(l Layout) []mainConf {
	return []mainConf{
		// It may hold what not everybody is to read, by way of macros and hooks.
		{path: l.EximConf, group: l.EximGroup, mode: 0o640, text: EximConf},
		// Every process of Dovecot's, and doveadm for every user, may read it.
		{path: l.DovecotConf(), mode: 0o644, text: DovecotConf},
	}
}

// Beside is what is added to the name of another's configuration file when
// Setup puts ours in its place.
const Beside = ".before-maildomain"

// ensure writes c, or tells why not.
func (c mainConf) ensure(root *os.Root, l Layout, own owner, others Others) (found FoundConf, done string, err error) {
	want := c.text(l)
	standing, info, err := c.standing(root)
	if err != nil {
		return FoundConf{}, "", err
	}
	found = FoundConf{Path: c.path, State: CheckConf(standing)}
	if info != nil && !info.Mode().IsRegular() {
		found.State = ConfForeign // a link is somebody's arrangement
	}

	same := bytes.Equal(standing, want)
	switch found.State {
	case ConfNone:
		done = "written"
	case ConfOwn:
		if same && info.Mode().Perm() == c.mode && (!own.set || own.has(info)) {
			return found, "", nil
		}
		done = "owner and mode put right"
		if !same {
			done = "replaced by this version's"
		}
	case ConfEdited, ConfForeign:
		if others == KeepOthers {
			found.Diff = string(diff.Diff("/"+c.path, standing, "maildomain's", want))
			return found, "", nil
		}
		// A link of its own: at no moment is there no configuration.
		if err := root.Link(c.path, c.path+Beside); err != nil {
			return found, "", fmt.Errorf("keep what stands there: %w", err)
		}
		done = "written, what stood there is now /" + c.path + Beside
	}
	return found, done, replace(root, c.path, want, c.mode, own)
}

// standing is what stands in c's place; nil where nothing does.
func (c mainConf) standing(root *os.Root) ([]byte, fs.FileInfo, error) {
	info, err := root.Lstat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, errors.New("it is a directory")
	}
	b, err := root.ReadFile(c.path)
	if b == nil {
		b = []byte{}
	}
	return b, info, err
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
