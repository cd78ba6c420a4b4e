package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"maildomain/tests/world"
)

// Rotating the log of changes during a load loses no line, and tears none.
func TestRotationOfTheLogLosesNoLine(t *testing.T) {
	w := world.Start(t, world.Options{})
	log := filepath.Join(w.Root, "var/log/maildomain/changes.log")
	const callers, each, rotations = 4, 50, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				a, err := w.Call(t.Context(), "user1", "emaildomain.edit", "name", fmt.Sprintf("d%d-%d.example", c, i), "sok", "ok")
				if err != nil || !a.OK {
					t.Errorf("create: %v %s", err, a.Error)
					return
				}
			}
		})
	}
	for i := range rotations {
		// Two moves of the log want two times the signal taken: a call of ours between
		// them has the module at work.
		w.Must(t, "user2", "emaildomain.edit", "name", fmt.Sprintf("r%d.example", i), "sok", "ok")
		if err := os.Rename(log, fmt.Sprintf("%s.%d", log, i)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		pid := w.ModulePID()
		for end := time.Now().Add(20 * time.Second); pid == 0; pid = w.ModulePID() { // 0 would be our own group
			if time.Now().After(end) {
				t.Fatal("the module is not there")
			}
		}
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	files, err := filepath.Glob(log + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("the logs are %q, %v", files, err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var l struct {
				Object, User, Func, Time string
				After                    map[string]string
			}
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Fatalf("%s has the line %q: %v", name, lines.Text(), err)
			}
			if l.Func != "emaildomain.edit" || l.Time == "" || l.After["defaction"] != "error" || seen[l.Object] {
				t.Errorf("a line says %+v", l)
			}
			seen[l.Object] = true
		}
	}
	if len(seen) != callers*each+rotations {
		t.Errorf("%d changes are in the logs, %d were made", len(seen), callers*each+rotations)
	}
}

// 500 domains deleted in one call: one answer with a row each, and nothing else gone.
func TestManyAreDeletedInOneCall(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "stays.example", "sok", "ok")
	const many = 500
	elids := ""
	var wg sync.WaitGroup
	turns := make(chan struct{}, 16)
	for i := range many {
		n := fmt.Sprintf("d%d.example", i)
		elids += n + ", "
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if a, err := w.Call(t.Context(), "user1", "emaildomain.edit", "name", n, "sok", "ok"); err != nil || !a.OK {
				t.Errorf("create %s: %v %s", n, err, a.Error)
			}
		})
	}
	wg.Wait()
	w.Must(t, "user1", "emaildomain.delete", "elid", elids)
	if l := w.Must(t, "admin", "emaildomain"); l.Total != 1 || l.Elems[0]["name"] != "stays.example" {
		t.Errorf("%d domains are left: %v", l.Total, names(l))
	}
	entries, err := os.ReadDir(filepath.Join(w.Root, "etc/exim4/domains"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d settings files are left, %v", len(entries), err)
	}
}
