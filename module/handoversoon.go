package module

import (
	"context"
	"time"

	"maildomain/module/store"
)

// handOverSoon begins to hand over what a change wants in DNS, unless the name server
// had just been silent: then the background does it. What it returns waits for the end,
// and says how the records of the last domain stand then; none where that is not known.
func (m *Module) handOverSoon(ctx context.Context, d *deed) (handed func() []store.RecordRow) {
	if d == nil || d.first == nil {
		return func() []store.RecordRow { return nil }
	}
	end := make(chan []store.RecordRow, 2)
	go func() { end <- m.handOverInTurn(context.WithoutCancel(ctx), d, func() { end <- nil }) }()
	return func() []store.RecordRow { return <-end }
}

// handOverInTurn hands it over, each domain when those before it in its lane are done. The
// place in the lane is kept however long that takes: who came next would take the values
// that are noted as sent for ours, though what stands may be another's. Where it takes
// longer than a change waits, late is told.
func (m *Module) handOverInTurn(ctx context.Context, d *deed, late func()) (rows []store.RecordRow) {
	tell := time.AfterFunc(handOverLimit, late)
	defer tell.Stop()
	for _, n := range d.dns {
		lane := m.lanes.of(n)
		lane <- struct{}{}
		if n == d.dns[len(d.dns)-1] {
			tell.Stop()
		}
		ctx, cancel := context.WithTimeout(ctx, handOverLimit)
		var err error
		if rows, err = m.handOverIn(ctx, lane, n, d.first[n]); err != nil {
			m.log.Warn().Err(err).Str("domain", n.String()).Msg("records were not handed over; it will be tried again")
		}
		cancel()
	}
	return rows
}
