package rpc

import (
	"context"
	"sync"
)

// turns are the calls under way by their request id. Calls of one id take turns: a
// core that repeats a call while the first one still runs is to get the first
// one's answer, not to start it a second time beside it.
type turns struct {
	mu sync.Mutex
	of map[string]*queue
}

// A queue is the calls of one id, the one that runs and those that wait.
type queue struct {
	turn    chan struct{} // holds one token while a call runs
	cancels map[*ticket]context.CancelCauseFunc
}

// A ticket is one call's place in the queue of its id.
type ticket struct {
	in *turns
	id string
	q  *queue
}

// join puts a call into the queue of its id. The caller leaves it when the call
// has ended; until then cancel is what ends the call early.
func (t *turns) join(id string, cancel context.CancelCauseFunc) *ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.of[id]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1), cancels: map[*ticket]context.CancelCauseFunc{}}
		if t.of == nil {
			t.of = map[string]*queue{}
		}
		t.of[id] = q
	}
	k := &ticket{in: t, id: id, q: q}
	q.cancels[k] = cancel
	return k
}

// run runs f when the earlier calls of the id have ended, unless ctx ends first.
func (k *ticket) run(ctx context.Context, f func() (any, error)) (any, error) {
	select {
	case k.q.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-k.q.turn }()
	return f()
}

// leave takes the call out of the queue.
func (k *ticket) leave() {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	if delete(k.q.cancels, k); len(k.q.cancels) == 0 {
		delete(k.in.of, k.id)
	}
}

// cancel ends the calls of that id.
func (t *turns) cancel(id string, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.of[id]; q != nil {
		for _, cancel := range q.cancels {
			cancel(cause)
		}
	}
}
