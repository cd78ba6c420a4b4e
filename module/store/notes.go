package store

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// NoteSoon is Note that nobody waits for but the reads that begin later: they see it.
// over is told how it ended.
func (db *DB) NoteSoon(f func(context.Context, *Tx) error, over func(error)) {
	noted := make(chan struct{})
	db.notes.begin(noted)
	go func() {
		err := guarded(func() error { return db.Note(context.Background(), f) })
		db.notes.end(noted)
		over(err)
	}()
}

// notes are those under way.
type notes struct {
	mu   sync.Mutex
	open map[chan struct{}]struct{}
}

func (n *notes) begin(c chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[chan struct{}]struct{}{}
	}
	n.open[c] = struct{}{}
}

func (n *notes) end(c chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
	close(c)
}

// wait waits for the notes that have begun.
func (n *notes) wait(ctx context.Context) error {
	n.mu.Lock()
	open := slices.Collect(maps.Keys(n.open))
	n.mu.Unlock()
	for _, c := range open {
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
