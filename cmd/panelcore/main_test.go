package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/api"
	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/cmd/panelcore/ui"
)

func TestMain(m *testing.M) {
	testscript.Main(withToy{m}, map[string]func(){"panelcore": main})
}

// withToy runs the tests with the toy built; the program itself needs none.
type withToy struct{ m *testing.M }

func (w withToy) Run() int { return paneltest.Build(w.m.Run) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LISTEN", "127.0.0.1:0")
			e.Setenv("TOY", paneltest.Toy)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // with -race each program would take a second to end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await,
			"subst": subst,
		},
	})
}

// await waits until a file is there, or with ! before it is not.
func await(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); (err == nil) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("await %s: not within half a minute", args[0])
		}
	}
}

// subst puts the values of environment variables into a file.
func subst(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o644))
}

// TestModuleDoesNotOutliveItsCore: the next core would start a second one on the
// same data.
func TestModuleDoesNotOutliveItsCore(t *testing.T) {
	dir, err := os.MkdirTemp("", "panel")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p := &paneltest.Panel{Diary: filepath.Join(dir, "diary")}
	if err := os.Mkdir(filepath.Join(dir, "modules.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.d", "toy.json"), []byte(paneltest.ToyDropIn(p.Diary)), 0o644); err != nil {
		t.Fatal(err)
	}
	core := exec.Command("panelcore", "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if err := core.Start(); err != nil {
		t.Fatal(err)
	}
	defer core.Process.Kill()
	paneltest.Eventually(t, "the module runs", func() bool { return p.Count(t, "registered") == 1 })
	pid, _, _ := strings.Cut(p.Notes(t)[0], " ")
	core.Process.Kill()
	core.Wait()
	paneltest.Eventually(t, "the module has ended", func() bool {
		b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		return err != nil || strings.Contains(string(b), ") Z ") // nobody may be there to reap it
	})
	again := exec.Command("panelcore", "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer again.Process.Kill()
	paneltest.Eventually(t, "the next module runs", func() bool { return p.Count(t, "registered") == 2 })
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.Wait(); err != nil {
		t.Error(err)
	}
}

func TestChallengesAreLookedAtBeforePages(t *testing.T) {
	c, err := core.Open(t.Context(), core.Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := withPages(c, api.New(c, zerolog.Nop()), ui.New(c, zerolog.Nop(), nil), netip.Addr{})
	for target, want := range map[string]string{
		"/.well-known/acme-challenge/nosuch":          "404 there is no such challenge\n",
		"/.well-known/acme-challenge/../../login":     "404 there is no such challenge\n",
		"/.well-known/acme-challenge/%2e%2e/../login": "404 there is no such challenge\n",
		"/.well-known/security.txt":                   "404 <!doctype html>",
		"/login":                                      "200 <!doctype html>",
	} {
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if got := fmt.Sprint(w.Code, " ", w.Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.100s", target, got)
		}
	}
}
