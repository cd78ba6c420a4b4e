package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/rpc/wire"
)

func health(ctx context.Context, m *module.Module, started time.Time, log zerolog.Logger) wire.Health {
	out := wire.Health{Status: "ok", Version: version, UptimeS: int64(time.Since(started).Seconds()), Queues: map[string]int{}, Filters: map[string]string{}}
	h, err := m.Health(ctx)
	if err != nil {
		log.Error().Err(err).Msg("health")
	}
	if err != nil || !h.OK {
		out.Status = "degraded"
	}
	if h.Queues != nil {
		out.Queues = h.Queues
	}
	for name, state := range h.Filters {
		out.Filters[name] = string(state)
	}
	out.Domains, out.Revision, out.AppliedRevision, out.Drift = h.Domains, h.Revision, h.Applied, int(h.Drift)
	return out
}
