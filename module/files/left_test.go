package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Mail that an earlier mailbox had left is kept for a while, and then takes no room
// any more; what a row knows of, and what is no one's, stays.
func TestMailThatWasLeftIsErasedInTime(t *testing.T) {
	tree, dir := openTree(t)
	trash := filepath.Join(dir, tree.layout.Trash())
	must(t, tree.MakeBox(boxAddress), os.WriteFile(filepath.Join(dir, boxDir, "1"), []byte("first"), 0o600))
	must(t, tree.MakeBox(boxAddress), tree.Lay(7, boxDir)) // what was there is set aside, then the new one deleted
	must(t, os.Mkdir(filepath.Join(trash, "mine"), 0o700), os.Symlink(dir, filepath.Join(trash, "left.link")))
	left := func() []string {
		found, err := filepath.Glob(filepath.Join(trash, "left.*"))
		must(t, err)
		return found
	}
	must(t, tree.EraseLeft(time.Now().Add(-time.Hour)))
	if n := len(left()); n != 2 {
		t.Fatalf("%d are left, of 2", n)
	}
	must(t, tree.EraseLeft(time.Now().Add(time.Hour)))
	if found := left(); len(found) > 0 {
		t.Errorf("still there: %q", found)
	}
	for _, p := range []string{filepath.Join(trash, "7"), filepath.Join(trash, "mine"), filepath.Join(dir, tree.layout.Mail)} {
		if _, err := os.Lstat(p); err != nil {
			t.Error(err)
		}
	}
}
