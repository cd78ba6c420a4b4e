package core_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

// ends has the toy ask to be called then, and end.
func ends(t *testing.T, p *paneltest.Panel, at time.Time) {
	t.Helper()
	if got := p.As(t, "user1", "thing.wake", "wake", fmt.Sprintf(`{"at":%q}`, at.Format(time.RFC3339))); got != "OK\n" {
		t.Fatal(got)
	}
	exits := p.Count(t, "idle exit")
	if got := p.As(t, "user1", "thing.exit"); got != "OK\n" {
		t.Fatal(got)
	}
	paneltest.Eventually(t, "the end of the toy", func() bool { return p.Count(t, "idle exit") > exits })
}

// wake looks for modules to be called, and says how often the toy was started by then.
func wake(t *testing.T, p *paneltest.Panel) int {
	t.Helper()
	if err := p.Core.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.Count(t, "start")
}

// called waits until the toy was started so often: a core sees late that one has ended.
func called(t *testing.T, p *paneltest.Panel, n int) {
	t.Helper()
	paneltest.Eventually(t, "the start of the toy", func() bool { return wake(t, p) == n })
}

func TestModuleIsCalledWhenItAskedToBe(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{WakePause: time.Hour}})
	ends(t, p, p.Clock.Now().Add(24*time.Hour))
	before := wake(t, p)
	p.Clock.Advance(24*time.Hour - time.Second)
	if n := wake(t, p); n != before {
		t.Fatal("called too early")
	}
	p.Clock.Advance(time.Second)
	called(t, p, before+1)
	// The core has answered the registration by now; the toy notes it when it has read that.
	paneltest.Eventually(t, "the toy registers", func() bool { return p.Count(t, "registered with") == before+1 })
	p.Clock.Advance(24 * time.Hour)
	if got := p.As(t, "user1", "thing.exit"); got != "OK\n" {
		t.Fatal(got)
	}
	paneltest.Eventually(t, "the end of the toy", func() bool { return strings.Count(p.Log.String(), "module ended") == before+1 })
	if n := wake(t, p); n != before+1 {
		t.Error("called again without having asked")
	}
}

func TestModuleThatDoesNotMindIsNotCalled(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{WakePause: time.Hour}})
	if got := p.As(t, "user1", "thing.wake", "wake", `{"at":"2030-01-01T00:00:01Z"}`); got != "OK\n" {
		t.Fatal(got)
	}
	ends(t, p, time.Time{})
	before := wake(t, p)
	p.Clock.Advance(100 * 24 * time.Hour)
	if n := wake(t, p); n != before {
		t.Error("called")
	}
}

func TestModuleIsCalledByTheCoreItself(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{WakePause: time.Millisecond}})
	ends(t, p, p.Clock.Now().Add(time.Hour))
	before := p.Count(t, "start")
	p.Clock.Advance(time.Hour)
	paneltest.Eventually(t, "the start of the toy", func() bool { return p.Count(t, "start") > before })
}

func TestInstantOfAModuleSurvivesARestartOfTheCore(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{WakePause: time.Hour}})
	ends(t, p, p.Clock.Now().Add(time.Hour))
	before := p.Count(t, "start")
	p.Restart(t, core.Options{WakePause: time.Hour})
	p.Clock.Advance(time.Hour)
	called(t, p, before+1)
}

// One that cannot be reached is called again later, and not all the time.
func TestModuleThatIsNotThereIsCalledAgainLater(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{WakePause: time.Hour}})
	ends(t, p, p.Clock.Now().Add(time.Hour))
	before := p.Count(t, "start")
	drop := filepath.Join(p.Data, "modules.d", "toy.json")
	there, err := os.ReadFile(drop)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(drop, b, 0o644); err != nil {
			t.Fatal(err)
		}
		p.Restart(t, core.Options{WakePause: time.Hour})
	}
	write([]byte(`{"name": "toy", "socket": "run/nosuch.sock"}`))
	calls := func() int { wake(t, p); return strings.Count(p.Log.String(), "wanted to be called") }
	p.Clock.Advance(time.Hour)
	if first, again := calls(), calls(); first != 1 || again != 1 {
		t.Fatalf("called %d, then %d times", first, again)
	}
	p.Clock.Advance(time.Minute)
	if n := calls(); n != 2 {
		t.Fatalf("called %d times", n)
	}
	write(there)
	p.Clock.Advance(time.Minute)
	called(t, p, before+1)
}
