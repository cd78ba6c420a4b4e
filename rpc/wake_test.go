package rpc

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"maildomain/rpc/wire"
)

// A module that ends has told the core when it wants to be called, on every connection
// on which the core knows it, and before that is closed.
func TestCoreIsToldWhenToCallAgainBeforeTheEnd(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 4, 5, 0, time.UTC)
	for what, end := range map[string]func(*served, *clock){
		"idle":  func(_ *served, c *clock) { c.fire(<-c.timers) },
		"ended": func(s *served, _ *clock) { s.stop() },
	} {
		t.Run(what, func(t *testing.T) {
			core, clock := NewCore(0, nil), newClock()
			s := serve(t, Config{
				Core: core, Idle: time.Minute, Now: clock.Now, After: clock.After, RegisterWait: time.Millisecond,
				Leave: func(ctx context.Context) { core.Wake(ctx, at) },
			})
			p, stranger := s.core(t), s.dial(t)
			s.until(t, "a core", func() bool { _, err := core.conn(t.Context()); return err == nil })
			s.settle(t)
			end(s, clock)
			w := p.nextRequest(wire.CoreWake)
			var told wire.Wake
			if err := json.Unmarshal(w.Params, &told); err != nil || !told.At.Equal(at) || string(w.Params) != `{"at":"2026-11-24T03:04:05Z"}` {
				t.Errorf("%s, %v", w.Params, err)
			}
			p.wantEnd()
			stranger.wantEnd() // who never agreed to the registration is no core
			if err := await(t, s.end, "Serve"); err != nil {
				t.Error(err)
			}
		})
	}
}
