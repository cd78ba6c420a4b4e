package lab

import (
	"context"
	"fmt"
	"strings"
)

// Answers of exim -bt, its exit status.
const (
	Routed        = 0 // delivered, sent on or thrown away
	Deferred      = 1 // tried again later
	Undeliverable = 2 // returned to the sender
)

// A Route is what exim -bt says of addresses.
type Route struct {
	Status int // the worst of all addresses: Routed, Deferred or Undeliverable
	Text   string
}

// Route asks where letters for addresses would go. Like the command, it looks
// at the files as they are now and needs no daemon.
func (x *Exim) Route(ctx context.Context, addresses ...string) (Route, error) {
	status, out, err := x.Run(ctx, append([]string{"-bt", "--"}, addresses...)...)
	if err != nil {
		return Route{}, err
	}
	if status < Routed || status > Undeliverable {
		return Route{}, fmt.Errorf("route %q: status %d: %s", addresses, status, out)
	}
	return Route{Status: status, Text: strings.TrimSpace(out)}, nil
}
