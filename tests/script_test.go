package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// A stage is what one script plays on.
type stage struct {
	world *world.World
	exim  *lab.Exim // started at the first need
	seen  int       // letters that arrived were asked about
	t     testing.TB
}

// Scripts read like a page of the manual. Beside testscript's own commands:
//
//	ctl [-u USER] FUNC name=value …   panelcore ctl
//	maildomain COMMAND …              the module's own commands, over the script's root
//	route ADDRESS                     exim -bt: status 0 routed, 1 deferred, 2 undeliverable
//	rcpt CODE ADDRESS                 a session with the running Exim: its answer to RCPT
//	send CODE FROM TO                 a letter handed to the running Exim
//	arrived TO FROM-IP HELO           the next letter that left, as the world outside saw it
//
// $ROOT is the module's root.
func TestScripts(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "exim4")
	var stages sync.Map // by working directory: scripts play side by side
	paths, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("scripts: %q, %v", paths, err)
	}
	at := func(ts *testscript.TestScript) *stage {
		s, _ := stages.Load(ts.Getenv("WORK"))
		return s.(*stage)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/scripts",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			tb := e.T().(testing.TB)
			w := world.Start(tb, world.Options{})
			stages.Store(e.WorkDir, &stage{world: w, t: tb})
			e.Setenv("ROOT", w.Root)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ctl": func(ts *testscript.TestScript, neg bool, args []string) {
				w := at(ts).world
				finish(ts, neg, exec.Command(w.Program("panelcore"), append([]string{"ctl", "--data", w.Data}, args...)...))
			},
			"maildomain": func(ts *testscript.TestScript, neg bool, args []string) {
				w := at(ts).world
				finish(ts, neg, exec.Command(w.Program("maildomain"), append(args, "--root", w.Root)...))
			},
			"route": func(ts *testscript.TestScript, neg bool, args []string) {
				s := at(ts)
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				for _, a := range args[1:] {
					r, err := s.running(ts).Route(s.t.Context(), a)
					ts.Check(err)
					write(ts, r.Text+"\n", "")
					if r.Status != want {
						ts.Fatalf("exim -bt %s: status %d, want %d\n%s", a, r.Status, want, r.Text)
					}
				}
			},
			"rcpt": func(ts *testscript.TestScript, neg bool, args []string) {
				s := at(ts)
				for _, a := range args[1:] {
					r, err := s.running(ts).Rcpt(s.t.Context(), "someone@sender.example", a)
					ts.Check(err)
					write(ts, r.String()+"\n", "")
					if strconv.Itoa(r.Code) != args[0] {
						ts.Fatalf("Exim answers %v to %s, want %s", r, a, args[0])
					}
				}
			},
			"send": func(ts *testscript.TestScript, neg bool, args []string) {
				s := at(ts)
				r, err := s.running(ts).Send(s.t.Context(), args[1], args[2], "Subject: a test\r\n\r\nA letter.\r\n")
				ts.Check(err)
				if strconv.Itoa(r.Code) != args[0] {
					ts.Fatalf("Exim answers %v, want %s", r, args[0])
				}
			},
			"arrived": func(ts *testscript.TestScript, neg bool, args []string) {
				at(ts).arrived(ts, args[0], args[1], args[2])
			},
		},
	})
}

// running is the script's Exim.
func (s *stage) running(ts *testscript.TestScript) *lab.Exim {
	if s.exim == nil {
		s.exim = lab.Start(s.t, s.world.Root, lab.Options{})
	}
	return s.exim
}

// finish runs a command as testscript's exec does.
func finish(ts *testscript.TestScript, neg bool, c *exec.Cmd) {
	var out, errs strings.Builder
	c.Dir, c.Stdout, c.Stderr = ts.MkAbs("."), &out, &errs
	err := c.Run()
	write(ts, out.String(), errs.String())
	if (err != nil) != neg {
		ts.Fatalf("%s: %v\n%s%s", strings.Join(c.Args[1:], " "), err, out.String(), errs.String())
	}
}

func write(ts *testscript.TestScript, out, errs string) {
	_, err := ts.Stdout().Write([]byte(out))
	ts.Check(err)
	_, err = ts.Stderr().Write([]byte(errs))
	ts.Check(err)
}

// arrivalLimit is how long a letter may be on its way.
const arrivalLimit = 30 * time.Second

// arrived waits for the next letter that left, and compares where it went and how
// it came.
func (s *stage) arrived(ts *testscript.TestScript, to, ip, helo string) {
	ctx, end := context.WithTimeout(s.t.Context(), arrivalLimit)
	defer end()
	letters, err := s.running(ts).Sink.Wait(ctx, s.seen+1)
	ts.Check(err)
	l := letters[s.seen]
	s.seen++
	if got := strings.Join(l.To, " "); got != to {
		ts.Fatalf("a letter for %q arrived, want %q", got, to)
	}
	if l.Peer.String() != ip || l.Helo != helo {
		ts.Fatalf("the letter came from %s, who says %s; want %s, %s", l.Peer, l.Helo, ip, helo)
	}
}
