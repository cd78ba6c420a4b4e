package world

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

var built struct {
	sync.Once
	dir string
	err error
}

// programs builds the programs once for all tests of a process.
func programs(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "maildomain-test-"); built.err != nil {
			return
		}
		built.err = Build(built.dir, "-race")
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// Build builds the programs into dir.
func Build(dir string, flags ...string) error {
	args := append(append([]string{"build"}, flags...), "-o", dir+"/", "maildomain/cmd/maildomain", "maildomain/cmd/panelcore")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// Clean removes what Start built. TestMain calls it at the end.
func Clean() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}
