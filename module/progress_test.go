package module

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestLongGroupOperationTellsItsProgress(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user2"), "stays.example")
	var elids []string
	for i := range 500 {
		elids = append(elids, fmt.Sprintf("d%03d.example", i))
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(elids, 100) {
		wg.Go(func() { add(t, w, as("user1"), part...) })
	}
	wg.Wait()
	before := standing(t, w)["domains/stays.example"]

	var mu sync.Mutex
	var told []int
	w.panel.Progress = func(_ context.Context, requestID string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if requestID != "many" || total != 500 {
			t.Errorf("told of %s, %d", requestID, total)
		}
		told = append(told, done)
	}
	done, err := w.DeleteDomains(t.Context(), as("user1").request("many"), elids)
	all(t, done, err)
	if len(told) < 500/toldEach || slices.Max(told) != 500 {
		t.Errorf("told %v", told)
	}
	if now := standing(t, w); len(now) != 2 && now["domains/stays.example"] != before {
		t.Errorf("%d files are left, and the neighbour's is %q", len(now), now["domains/stays.example"])
	}
	checkFollows(t, w)

	told = nil
	done, err = w.DeleteDomains(t.Context(), as("user2").request("one"), []string{"stays.example"})
	all(t, done, err)
	if len(told) > 0 {
		t.Errorf("of a single domain told %v", told)
	}
}

// What a caller has given up is not begun any more; what was begun is told as done.
func TestGivenUpGroupOperationStops(t *testing.T) {
	w := newWorld(t)
	var elids []string
	for i := range 64 {
		elids = append(elids, fmt.Sprintf("d%02d.example", i))
	}
	add(t, w, as("user1"), elids...)
	ctx, cancel := context.WithCancel(t.Context())
	w.panel.Progress = func(context.Context, string, int, int) { cancel() }
	done, err := w.DeleteDomains(ctx, as("user1").request("many"), elids)
	if err != nil || len(done) != len(elids) {
		t.Fatal(len(done), err)
	}
	gone := 0
	for _, o := range done {
		if o.Err == nil {
			gone++
		}
	}
	left := 0
	for _, n := range elids {
		if _, _, err := w.find(t.Context(), as("user1"), n); err == nil {
			left++
		}
	}
	if gone+left != len(elids) || left == 0 {
		t.Errorf("%d told as gone, %d are left", gone, left)
	}
	checkFollows(t, w)
}
