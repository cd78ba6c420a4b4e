package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"maildomain/tests/world"
)

// Commands that change nothing do not make the database that they miss.
func TestCheckMakesNoDatabase(t *testing.T) {
	w := world.Start(t, world.Options{})
	root := t.TempDir()
	for _, args := range [][]string{{"check"}, {"reconcile", "--dry-run"}} {
		if out, err := exec.Command(w.Program("maildomain"), append(args, "--root", root)...).CombinedOutput(); err == nil {
			t.Errorf("%q finds nothing wrong with an empty root: %s", args, out)
		}
		if left, err := filepath.Glob(filepath.Join(root, "*")); err != nil || len(left) > 0 {
			t.Errorf("%q left %q, %v", args, left, err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.Root, "var/lib/maildomain/maildomain.db")); err != nil {
		t.Error(err)
	}
}
