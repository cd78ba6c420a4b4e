package files

import (
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff is the change as a unified diff of the file.
func (c Change) Diff() string {
	return string(diff.Diff("/"+c.Path, c.Was, "/"+c.Path, c.Body))
}

// Diff is what Put would do, as a unified diff from the standing file; empty where
// the bytes are the same.
func (t *Tree) Diff(want File) (string, error) {
	_, have, _, err := t.look(want.Path)
	if err != nil {
		return "", fmt.Errorf("compare %s: %w", want.Path, err)
	}
	return Change{File: want, Was: have}.Diff(), nil
}
