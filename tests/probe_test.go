package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// questions to Exim, and the one right answer to each.
var questions = []struct {
	to   string
	code int
}{
	{"anyone@fixed.example", 250},
	{"anyone@error.example", 550},
	{"anyone@resting.example", 450},
	{"anyone@onward.example", 250},
	{"anyone@nowhere.example", 550},
}

// A prober asks Exim one question after the other, each in a session of its own,
// until its context ends.
type prober struct {
	wg    sync.WaitGroup
	stop  context.CancelFunc
	asked atomic.Int64
	later atomic.Int64 // told to come back: Exim was not ready
}

func probe(t *testing.T, x *lab.Exim, mayDefer bool) *prober {
	ctx, stop := context.WithCancel(t.Context())
	p := &prober{stop: stop}
	p.wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			q := questions[i%len(questions)]
			r, err := x.Rcpt(t.Context(), "someone@sender.example", q.to)
			if err != nil {
				t.Errorf("ask about %s: %v", q.to, err)
				return
			}
			p.asked.Add(1)
			switch {
			case r.Code == q.code:
			case mayDefer && r.Code/100 == 4:
				p.later.Add(1)
			default:
				t.Errorf("Exim answers %v, want %d", r, q.code)
			}
		}
	})
	return p
}

// end stops the prober once it has asked everything at least twice.
func (p *prober) end() {
	p.stop()
	p.wg.Wait()
}

func TestNoWrongAnswerWhileOtherDomainsChange(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "exim4")
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "fixed.example", "defaction", "redirect", "redirval", "me@elsewhere.example", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "error.example", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "resting.example", "defaction", "ignore", "sok", "ok")
	w.Must(t, "user1", "emaildomain.suspend", "elid", "resting.example")
	w.Must(t, "user1", "emaildomain.edit", "name", "onward.example", "defaction", "redirdomain", "redirval", "fixed.example", "sok", "ok")
	x := lab.Start(t, w.Root, lab.Options{})

	p := probe(t, x, false)
	const each = 200 // times five kinds of change
	for i := range each {
		n := fmt.Sprintf("other-%d.example", i)
		w.Must(t, "user1", "emaildomain.edit", "name", n, "ip", "127.0.0.12", "sok", "ok")
		w.Must(t, "user1", "emaildomain.edit", "elid", n, "defaction", "ignore", "sok", "ok")
		w.Must(t, "user1", "emaildomain.suspend", "elid", n)
		w.Must(t, "user1", "emaildomain.resume", "elid", n)
		if i%2 == 0 {
			w.Must(t, "user1", "emaildomain.delete", "elid", n)
		} else {
			w.Must(t, "user1", "emaildomain.edit", "elid", n, "ipsrc", "auto", "sok", "ok")
		}
	}
	p.end()
	t.Logf("%d questions during %d changes", p.asked.Load(), each*5)

	reconcile := func() {
		if out, err := exec.Command(w.Program("maildomain"), "reconcile", "--root", w.Root).CombinedOutput(); err != nil {
			t.Errorf("reconcile: %v\n%s", err, out)
		}
	}
	// Few files missing: they are put back with Exim at work.
	p = probe(t, x, false)
	for range 20 {
		for j := 1; j < 20; j += 2 {
			if err := os.Remove(filepath.Join(w.Root, files.Debian.Domains(), fmt.Sprintf("other-%d.example", j))); err != nil {
				t.Fatal(err)
			}
		}
		reconcile()
	}
	p.end()
	t.Logf("%d questions during 20 reconciliations of a few files", p.asked.Load())

	// Many: Exim asks to come back, and never says a wrong word.
	p = probe(t, x, true)
	for range 5 {
		for j := 1; j < each; j += 2 {
			if err := os.Remove(filepath.Join(w.Root, files.Debian.Domains(), fmt.Sprintf("other-%d.example", j))); err != nil {
				t.Fatal(err)
			}
		}
		reconcile()
	}
	p.end()
	t.Logf("%d questions during 5 reconciliations of many files, %d told to come back", p.asked.Load(), p.later.Load())
}
