package world

import (
	"context"
	"strings"
	"time"
)

// notRunning is what the core says of a module that did not start in time: it was sent
// nothing.
const notRunning = "the part of the panel that does this is not running"

// started calls, and again while the module takes longer to start than the core waits:
// a machine may do much else.
func (w *World) started(ctx context.Context, user, function string, params ...string) (Answer, error) {
	for end := time.Now().Add(startLimit); ; {
		a, err := w.Call(ctx, user, function, params...)
		if err != nil || a.Error != "unavailable(func)" || !strings.HasPrefix(a.Msg, notRunning) || time.Now().After(end) {
			return a, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
