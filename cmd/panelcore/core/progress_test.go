package core

import (
	"strings"
	"testing"

	"maildomain/rpc/wire"
)

func TestProgressIsOfRunningCallsOfTheModuleThatTells(t *testing.T) {
	c := &Core{progress: newProgress()}
	mine, other := &module{name: "mine"}, &module{name: "other"}
	is := func(want int, running bool) {
		t.Helper()
		if p, ok := c.Progress("r"); p.Done != want || ok != running {
			t.Errorf("%d %v, want %d %v", p.Done, ok, want, running)
		}
	}
	c.progress.report(mine, wire.Progress{RequestID: "r", Done: 1, Total: 9}) // nothing runs
	is(0, false)
	end := c.progress.begin("r", mine)
	is(0, true)
	c.progress.report(mine, wire.Progress{RequestID: "r", Done: 4, Total: 9, Text: strings.Repeat("x", 1000)})
	c.progress.report(mine, wire.Progress{RequestID: "r", Done: 3, Total: 9}) // overtaken
	c.progress.report(other, wire.Progress{RequestID: "r", Done: 8, Total: 9})
	is(4, true)
	if p, _ := c.Progress("r"); len(p.Text) > 200 {
		t.Errorf("a text of %d bytes is kept", len(p.Text))
	}
	// The same call once more, as a second click makes it.
	endAgain := c.progress.begin("r", mine)
	endAgain()
	is(4, true)
	end()
	is(0, false)
	if len(c.progress.calls) != 0 {
		t.Error("ended calls are kept")
	}
}
