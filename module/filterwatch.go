package module

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"maildomain/module/mail"
)

// Whether filters answer is kept in memory and nowhere else: it is true of now, and a
// process that begins asks before anybody can look. What lists show of it is added to
// rows that were read, so no row is written when a filter goes or comes.

// How often filters are asked: seldom, and soon again while one fails.
const (
	askEvery = time.Minute
	askAgain = 5 * time.Second
)

// filterWatch is what is known of filters. Its zero value knows nothing.
type filterWatch struct {
	reach dialer // nil: net.Dialer

	mu     sync.Mutex
	used   mail.Filters
	states map[string]FilterState // of those that are used
	due    time.Time              // they are not asked before then
}

// AskFilters asks each filter that is used whether it answers, when that is due: once a
// minute, and every five seconds while one does not. It takes two seconds at most.
func (m *Module) AskFilters(ctx context.Context) error {
	w := &m.filterWatch
	w.mu.Lock()
	now := m.db.Now()
	if wait := w.due.Sub(now); wait > 0 && wait <= askEvery { // more: the clock was put back
		w.mu.Unlock()
		return nil
	}
	w.due = now.Add(askAgain) // whatever comes of it
	w.mu.Unlock()
	used, err := m.Filters(ctx)
	if err != nil {
		return fmt.Errorf("read which filters are to be asked: %w", err)
	}
	states := w.ask(ctx, used)
	if ctx.Err() != nil {
		return nil // we stop: no answer says nothing of a filter
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, s := range states {
		was := w.states[name]
		switch {
		case s.Fails() && s != was:
			m.log.Warn().Str("filter", name).Str("state", string(s)).Msg("a filter does not answer")
		case !s.Fails() && was.Fails():
			m.log.Info().Str("filter", name).Msg("a filter answers again")
		}
	}
	w.used, w.states = used, states
	for _, s := range states {
		if s.Fails() {
			return nil
		}
	}
	if w.due.After(now) { // nobody has asked for another look meanwhile
		w.due = now.Add(askEvery)
	}
	return nil
}

// ask asks all of them at once.
func (w *filterWatch) ask(ctx context.Context, used mail.Filters) map[string]FilterState {
	dial := w.reach
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	answers := make([]FilterState, len(filterQuestions))
	var all sync.WaitGroup
	for i, q := range filterQuestions {
		if at := q.addr(used); !at.IsZero() {
			all.Go(func() { answers[i] = q.ask(ctx, dial, at) })
		}
	}
	all.Wait()
	states := map[string]FilterState{}
	for i, q := range filterQuestions {
		if answers[i] != "" {
			states[q.name] = answers[i]
		}
	}
	return states
}

// askSoon has the next AskFilters ask.
func (w *filterWatch) askSoon() {
	w.mu.Lock()
	w.due = time.Time{}
	w.mu.Unlock()
}

// failing are the filters that do not answer.
func (w *filterWatch) failing() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range filterQuestions {
		if w.states[q.name].Fails() {
			names = append(names, q.name)
		}
	}
	return names
}

// FilterStates are the states of all filters by their names, those that are not used too.
func (m *Module) FilterStates(ctx context.Context) (map[string]FilterState, error) {
	used, err := m.Filters(ctx)
	if err != nil {
		return nil, err
	}
	w := &m.filterWatch
	w.mu.Lock()
	defer w.mu.Unlock()
	states := map[string]FilterState{}
	for _, q := range filterQuestions {
		switch at := q.addr(used); {
		case at.IsZero():
			states[q.name] = FilterOff
		case w.states[q.name] == "" || at != q.addr(w.used):
			states[q.name] = FilterUnasked
		default:
			states[q.name] = w.states[q.name]
		}
	}
	return states, nil
}

// filtersOf says of each filter whether a domain has it on.
var filtersOf = map[string]func(mail.Domain) bool{
	"clamd":    func(d mail.Domain) bool { return d.Avcheck },
	"spamd":    func(d mail.Domain) bool { return d.Spamassassin },
	"postgrey": func(d mail.Domain) bool { return d.Greylist },
}

// noteFilters notes of the domains that have a filter on which does not answer, in the
// place of what was noted of them: it is about the mail of this moment, and goes by
// itself.
func (m *Module) noteFilters(ds []mail.Domain) {
	failing := m.filterWatch.failing()
	for i := range ds {
		for _, name := range failing {
			if filtersOf[name](ds[i]) {
				ds[i].Note = "filter_" + name
				break
			}
		}
	}
}
