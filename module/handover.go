package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// handOverLimit bounds what a change waits for DNS. What is not done by then is done
// in the background.
const handOverLimit = 5 * time.Second

// restAfterSilence is how long no change waits for a name server that did not answer.
const restAfterSilence = 30 * time.Second

// leftoverAgain is when what a server did not take away is tried again.
const leftoverAgain = 24 * time.Hour

// HandOver gives the pending records of a domain to whoever serves them, and notes
// what became of each. One domain is handed over by one at a time: an older state
// would overtake a newer one.
func (m *Module) HandOver(ctx context.Context, n mail.Name) error {
	_, err := m.handOverNow(ctx, n, nil)
	return err
}

// handOverNow is HandOver that says how the domain's rows stand after it. First are values
// of it that were noted to be sent, and were not before.
func (m *Module) handOverNow(ctx context.Context, n mail.Name, first []store.RecordValue) (after []store.RecordRow, err error) {
	lane := m.lanes.of(n)
	select {
	case lane <- struct{}{}:
		return m.handOverIn(ctx, lane, n, first)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an earlier hand-over of %s: %w", n, ctx.Err())
	}
}

// handOverIn is handOverNow for who has the lane, and gives it back. What became of the
// records is noted beside what goes on; reads that come later wait for it.
func (m *Module) handOverIn(ctx context.Context, lane chan struct{}, n mail.Name, first []store.RecordValue) (after []store.RecordRow, err error) {
	leave := func() { <-lane }
	defer func() { leave() }()
	var h handOver
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error { return h.read(ctx, tx, n, first) })
	if err == nil && h.offers {
		err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			more, err := tx.OfferRecords(ctx, n)
			if err != nil {
				return err
			}
			return h.read(ctx, tx, n, slices.Concat(first, more))
		})
	}
	if err != nil {
		return nil, err
	}
	rows, set, now := h.rows, h.set, h.now
	changes, about := recordChanges(rows, h.first, now)
	if len(changes)+len(h.over) == 0 {
		return rows, nil
	}
	var outcomes []mail.RecordOutcome
	if len(changes) > 0 {
		outcomes = m.handOverFor(ctx, set, n, h.owner, changes)
	}
	if slices.ContainsFunc(outcomes, silent) {
		m.silentUntil.Store(now.Add(restAfterSilence).UnixMilli())
	}
	type step struct{ was, is store.RecordRow }
	var steps []step
	for _, was := range h.over {
		is := was
		is.State, is.Text, is.Args, is.Reason = mail.Published, "", nil, ""
		steps = append(steps, step{was, is})
	}
	for i, o := range outcomes {
		for _, was := range about[i] {
			is := was
			is.State, is.Text, is.Args, is.Reason = o.Handed, o.Text, o.Args, o.Reason
			is.Offered = set.DNS != mail.DNSByHand && h.offered(was, o)
			if o.Handed == mail.Pending {
				is.Due, is.Tries = now.Add(mail.Delay(is.Tries)), is.Tries+1
			} else if !is.Wanted {
				is.Due, is.Tries = now.Add(leftoverAgain), is.Tries+1
				if was.State == mail.Pending {
					is.Tries = 1
				}
			}
			steps = append(steps, step{was, is})
		}
	}
	noted := leave
	leave = func() {} // whoever is next finds what is noted
	m.db.NoteSoon(func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		for _, s := range steps {
			if err := tx.SetRecord(ctx, n, s.was, s.is); err != nil {
				return err
			}
		}
		return tx.RenewNote(ctx, n)
	}, func(err error) {
		noted()
		if err != nil && !errors.Is(err, store.ErrClosed) { // the rows are pending still: it is done again
			m.log.Error().Err(err).Str("domain", n.String()).Msg("what became of records was not noted")
		}
	})
	for _, r := range rows {
		if i := slices.IndexFunc(steps, func(s step) bool { return s.was.Name == r.Name && s.was.Type == r.Type && s.was.Value == r.Value }); i >= 0 {
			r = steps[i].is
		}
		after = append(after, r)
	}
	return after, nil
}

// A handOver is what there is to do for a domain.
type handOver struct {
	rows   []store.RecordRow // as they are to be handed over
	over   []store.RecordRow // not wanted, and not to be taken away
	first  []store.RecordRow // of rows: never sent before
	offers bool              // some have to be noted as sent first
	owner  string            // as in handOverFor
	set    mail.Settings
	now    time.Time
}

// read reads it, with values of which is known that they were never sent, whatever
// their rows say.
func (h *handOver) read(ctx context.Context, tx *store.Tx, n mail.Name, first []store.RecordValue) error {
	all, err := tx.RecordsOf(ctx, n)
	if err != nil {
		return err
	}
	*h = handOver{now: tx.Now}
	for _, r := range all {
		over := false
		if !r.Wanted {
			over = !r.Offered // never sent: what stands is another's
			if !over {
				if over, err = tx.OthersWant(ctx, n, r); err != nil { // stands on for them
					return err
				}
			}
		}
		if over {
			h.over = append(h.over, r)
			continue
		}
		h.rows = append(h.rows, r)
		if !r.Wanted || r.Offered && !slices.Contains(first, store.RecordValue{Name: r.Name, Type: r.Type, Value: r.Value}) {
			continue
		}
		others := false
		if r.Why == mail.ForHost {
			if others, err = tx.OthersOffered(ctx, n, r); err != nil {
				return err
			}
		}
		if !others {
			h.first = append(h.first, r)
		}
	}
	for _, r := range h.rows {
		h.offers = h.offers || r.Turn(h.now) && slices.ContainsFunc(h.rows, func(o store.RecordRow) bool {
			return o.Wanted && !o.Offered && o.Name == r.Name && o.Type == r.Type
		})
	}
	if h.owner, err = tx.OwnerOf(ctx, n); err != nil {
		return err
	}
	h.set, err = settings(ctx, tx)
	h.offers = h.offers && h.set.DNS != mail.DNSByHand
	return err
}

func has(rows []store.RecordRow, r store.RecordRow) bool {
	return slices.ContainsFunc(rows, func(o store.RecordRow) bool { return o.Name == r.Name && o.Type == r.Type && o.Value == r.Value })
}

// offered says that a value may stand because of us, by what became of its set.
func (h *handOver) offered(r store.RecordRow, o mail.RecordOutcome) bool {
	switch o.Handed {
	case mail.Published:
		v, err := mail.NormalValue(r.Type, r.Value)
		return o.Verdict.State != mail.Right && (err != nil || !slices.Contains(o.Foreign, v))
	case mail.Pending:
		return o.Sent || !has(h.first, r)
	}
	return !has(h.first, r)
}

// recordChanges are rows as changes of whole record sets, with the rows that each is
// about. A set of which nothing has its turn now is left alone. What is sent for the first
// time is not ours if it stands.
func recordChanges(rows, first []store.RecordRow, now time.Time) (changes []mail.RecordChange, about [][]store.RecordRow) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Name == rows[0].Name && rows[n].Type == rows[0].Type {
			n++
		}
		set := rows[:n]
		rows = rows[n:]
		if !slices.ContainsFunc(set, func(r store.RecordRow) bool { return r.Turn(now) }) {
			continue
		}
		c := mail.RecordChange{Record: mail.Record{Name: set[0].Name, Type: set[0].Type}, Remove: true}
		for _, r := range set {
			if !has(first, r) {
				c.Ours = append(c.Ours, r.Value)
			}
			if r.Wanted {
				c.Remove = false
				c.Values, c.TTL, c.Why = append(c.Values, r.Value), r.TTL, r.Why
			}
		}
		changes, about = append(changes, c), append(about, set)
	}
	return changes, about
}
