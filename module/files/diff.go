package files

import "github.com/rogpeppe/go-internal/diff"

// Diff is the change as a unified diff of the file.
func (c Change) Diff() string {
	return string(diff.Diff("/"+c.Path, c.Was, "/"+c.Path, c.Body))
}
