package core

import (
	"sync"

	"maildomain/rpc/wire"
)

// progress is how far the calls are that run now, by their request id.
type progress struct {
	mu    sync.Mutex
	calls map[string]*runningCall
}

type runningCall struct {
	owner *module
	count int // calls of that id that run at once: one and its repeats
	last  wire.Progress
}

func newProgress() *progress { return &progress{calls: map[string]*runningCall{}} }

// begin takes notice of a call until the function that it returns is called.
func (p *progress) begin(id string, owner *module) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[id]
	if c == nil {
		c = &runningCall{owner: owner}
		p.calls[id] = c
	}
	c.count++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.count--; c.count == 0 {
			delete(p.calls, id)
		}
	}
}

// report keeps what a module says of one of its calls. What is said of a call
// that does not run, or of another's, is forgotten; so is what is overtaken.
func (p *progress) report(from *module, w wire.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.calls[w.RequestID]; c != nil && c.owner == from && w.Done >= c.last.Done {
		w.Text = cut(w.Text)
		c.last = w
	}
}

// Progress says how far the running call of that id is; false for a call that
// does not run. The total is 0 until the module has said something.
func (c *Core) Progress(id string) (wire.Progress, bool) {
	c.progress.mu.Lock()
	defer c.progress.mu.Unlock()
	if r := c.progress.calls[id]; r != nil {
		return r.last, true
	}
	return wire.Progress{}, false
}
