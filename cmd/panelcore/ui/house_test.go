package ui_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNoModuleIsKnown: what the pages are about they learn from metadata. Words of
// the module's trade have no place in their code.
func TestNoModuleIsKnown(t *testing.T) {
	trade := regexp.MustCompile(`(?i)mail|domain|dkim|dmarc|\bspf\b|exim|dovecot|alias|greylist|spam|postmaster`)
	imports := regexp.MustCompile(`"maildomain/`) // the module path of this repository
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".png") || filepath.Base(path) == "htmx.min.js" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for i, line := range strings.Split(imports.ReplaceAllString(string(b), `"`), "\n") {
			if found := trade.FindString(line); found != "" {
				t.Errorf("%s:%d: %q", path, i+1, found)
			}
		}
		return nil
	})
	if err != nil || files < 40 {
		t.Errorf("%d files read: %v", files, err)
	}
}
