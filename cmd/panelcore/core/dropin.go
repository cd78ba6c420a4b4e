package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// A dropIn is DATA/modules.d/NAME.json: a module that this core uses.
type dropIn struct {
	Name   string   `json:"name"`
	Socket string   `json:"socket"` // a relative path starts in the data directory
	Exec   []string `json:"exec"`   // the program, when the core is to own the socket and start it; a relative path starts where the core was started
}

var moduleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// readDropIns reads the modules of a data directory in the order of their names.
func readDropIns(data string) ([]dropIn, error) {
	paths, err := filepath.Glob(filepath.Join(globSafe(data), "modules.d", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	var drops []dropIn
	for _, path := range paths { // Glob sorts
		d, err := readDropIn(path)
		if err != nil {
			return nil, fmt.Errorf("read module %s: %w", path, err)
		}
		if !filepath.IsAbs(d.Socket) {
			d.Socket = filepath.Join(data, d.Socket)
		}
		drops = append(drops, d)
	}
	return drops, nil
}

// globSafe quotes what Glob would take for a pattern.
func globSafe(path string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(path, `\$0`)
}

func readDropIn(path string) (d dropIn, err error) {
	if err := onlyOwn(path); err != nil {
		return d, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return d, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return d, err
	}
	switch {
	case !moduleName.MatchString(d.Name):
		return d, fmt.Errorf("name %q: a letter, then up to 31 of a-z 0-9 -", d.Name)
	case d.Name+".json" != filepath.Base(path):
		return d, fmt.Errorf("name %q: the file is to be named after it", d.Name)
	case d.Socket == "":
		return d, errors.New("socket is missing")
	case len(d.Exec) > 0 && !filepath.IsAbs(d.Exec[0]) && filepath.Base(d.Exec[0]) == d.Exec[0]:
		return d, fmt.Errorf("exec %q: a path is needed, PATH is not searched", d.Exec[0])
	}
	return d, nil
}

// onlyOwn refuses a file that another user could have written: it names a program
// that the core runs.
func onlyOwn(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !ok || fi.Mode().Type() != 0:
		return errors.New("not a file")
	case fi.Mode().Perm()&0o002 != 0:
		return &fs.PathError{Op: "trust", Path: path, Err: errors.New("everyone can write it")}
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return &fs.PathError{Op: "trust", Path: path, Err: fmt.Errorf("it belongs to user id %d", st.Uid)}
	}
	return nil
}
