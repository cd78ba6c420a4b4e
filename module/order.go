package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

const (
	ordersAtOnce  = 4
	ordersOfOne   = 3               // owner, of these: whose take long hold up nobody else
	ordersRead    = 64              // of those that are due, at one go
	orderLimit    = 5 * time.Minute // for one
	renewalsAgain = time.Minute     // while orders are under way: slow ones of one hold up nobody's renewal
	orderGlance   = time.Second     // between two looks for new ones while others are under way
	orderRest     = 5 * time.Minute // after a fault of our own
	awayRest      = time.Minute     // for the panel to connect
)

// Ordering says that certificates are being ordered, or to be ordered by now.
func (m *Module) Ordering(ctx context.Context) bool {
	if m.orders.some() {
		return true
	}
	due := false
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		os, err := tx.OrdersDue(ctx, 1)
		due = len(os) > 0
		return err
	})
	return err == nil && due
}

// Orders works off what is due of certificates: those that end are ordered anew or
// made anew, and orders are gone on with, at most ordersAtOnce together. It returns
// when nothing is due any more, is harmless at any time, and is called by one at a time.
func (m *Module) Orders(ctx context.Context) error {
	err := errors.Join(m.tidyOrders(ctx), m.renewals(ctx), m.workOff(ctx))
	if ctx.Err() != nil { // what stands is for the next process
		return err
	}
	return errors.Join(err, m.dropProofs(ctx))
}

// tidyOrders clears away what earlier orders left.
func (m *Module) tidyOrders(ctx context.Context) error {
	if !m.orders.rested {
		err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			return errors.Join(tx.RestOrders(ctx), tx.DropOrders(ctx), tx.ForgetEvents(ctx))
		})
		if err != nil {
			return fmt.Errorf("look after the orders that were under way: %w", err)
		}
		m.orders.rested = true
	}
	return m.dropProofs(ctx)
}

// workOff does the orders that are due, until there are none.
func (m *Module) workOff(ctx context.Context) error {
	ended := make(chan error, ordersAtOnce)
	tried := map[string]time.Time{}
	looked := m.db.Now()
	var failed error
	for under := 0; ; {
		if now := m.db.Now(); now.Sub(looked) >= renewalsAgain && ctx.Err() == nil {
			looked = now
			failed = errors.Join(failed, m.renewals(ctx), m.dropProofs(ctx))
		}
		var next *dueOrder
		if under < ordersAtOnce && ctx.Err() == nil {
			var err error
			if next, err = m.nextOrder(ctx, tried); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if next != nil {
			tried[next.Domain] = next.Due
			under++
			go func() { ended <- m.order(ctx, *next) }()
			continue
		}
		if under == 0 {
			return errors.Join(failed, ctx.Err())
		}
		wait := time.NewTimer(orderGlance)
		select {
		case err := <-ended:
			failed = errors.Join(failed, err)
			under--
		case <-wait.C:
		}
		wait.Stop()
	}
}

// A dueOrder is an order that is to be tried, for a domain of an owner; the server's own
// has none.
type dueOrder struct {
	store.OrderRow
	owner string
}

// nextOrder is an order that is due, and of whose names none is being ordered, which
// is then noted to be; nil where there is none. One that was tried when it was due
// then is not tried again.
func (m *Module) nextOrder(ctx context.Context, tried map[string]time.Time) (next *dueOrder, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		next = nil
		due, err := tx.OrdersDue(ctx, ordersRead, m.orders.busy()...)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(due, func(o store.OrderRow) bool {
			at, was := tried[o.Domain]
			again := !was || !at.Equal(o.Due) && !m.alone // what lacks the panel lacks it all the time
			return again && !m.orders.under(o.Names)
		})
		if i < 0 {
			return nil
		}
		d, _, err := tx.Domain(ctx, mail.StoredName(due[i].Domain))
		next = &dueOrder{due[i], d.Owner}
		return err
	})
	if err != nil || next == nil {
		return nil, err
	}
	m.orders.begin(next)
	return next, nil
}

// order does one order, and notes what became of it.
func (m *Module) order(ctx context.Context, due dueOrder) error {
	defer m.orders.end(&due)
	o := due.OrderRow
	limited, cancel := context.WithTimeoutCause(ctx, orderLimit, errSlow)
	defer cancel()
	w, wanted, err := m.wish(limited, o)
	w.stopped = func() bool { return ctx.Err() != nil }
	if err == nil && wanted {
		err = m.fill(limited, &w)
	}
	switch {
	case err == nil, errors.Is(err, store.ErrGivenUp):
		return nil
	case ctx.Err() != nil: // it goes on at the next start
		return nil
	}
	if w.order.Domain == "" {
		w.order = o
	}
	return m.unfilled(ctx, w, err)
}

// errSlow ends an order that takes too long; the next try goes on with it. Other orders
// need not be slow.
var errSlow = &acme.Problem{Kind: acme.Slow, Text: "acme_slow", Cause: errors.New("it was not done in time")}

// fill obtains the certificate of a wish and puts it into service.
func (m *Module) fill(ctx context.Context, w *wish) error {
	if w.reuse != nil {
		return m.filled(ctx, w, w.reuse.Certificate, acme.Renewal{At: w.reuse.Renew, Ask: w.reuse.Ask})
	}
	dir := m.directory(w.set)
	a, err := m.account(ctx, dir, w)
	if err != nil {
		return err
	}
	solver, done, err := m.solver(ctx, dir, a, w)
	if err != nil {
		solver, done, err = m.partly(ctx, dir, a, w, err)
	}
	if err != nil {
		return err
	}
	defer done()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	c, err := dir.Order(ctx, a, acme.Request{
		Names: w.names(), Solver: solver, Begun: acme.Begun{URL: w.order.URL, Key: w.order.Key},
		Key: w.key(), Replaces: w.replaces(),
		Keep: func(ctx context.Context, b acme.Begun) error { return m.begun(ctx, w, b) },
		Step: func(s acme.Step) {
			if err := m.step(ctx, w, s); errors.Is(err, store.ErrGivenUp) {
				giveUp(err)
			}
		},
		Left: func(n mail.Name, err error) {
			m.log.Warn().Err(err).Str("name", n.String()).Msg("a proof for the certificate authority could not be taken away yet")
		},
	})
	if err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if err := m.issued(ctx, w); err != nil {
		return err
	}
	at, err := dir.Renewal(ctx, c.Chain)
	at.At = later(at.At, m.db.Now().Add(soonestRenewal)) // whatever is wrong with a clock
	if err != nil {
		m.log.Warn().Err(err).Str("domain", w.order.Domain).Msg("the authority does not say when to renew; a third of the lifetime is left then")
	}
	return m.filled(ctx, w, c, at)
}

// soonestRenewal is between an order and the next one: without it a clock that is
// wrong, or an authority, would have certificates ordered without end.
const soonestRenewal = 6 * time.Hour

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// filled puts a certificate into service; with it the order is over.
func (m *Module) filled(ctx context.Context, w *wish, c mail.Certificate, at acme.Renewal) error {
	if err := m.install(ctx, itself, "emaildomain.ssl.issue", mail.StoredName(w.order.Domain), c, mail.LetsEncrypt, at); err != nil {
		return fmt.Errorf("put the certificate of %s into service: %w", w.order.Domain, err)
	}
	return m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		if len(w.part) > 0 {
			return w.restStands(ctx, tx)
		}
		return tx.FinishOrder(ctx, w.order)
	})
}

// begun writes a new order at the authority down.
func (m *Module) begun(ctx context.Context, w *wish, b acme.Begun) error {
	o := w.order
	o.Directory, o.URL, o.Key, o.Part = w.set.ACME.Directory, b.URL, b.Key, w.part
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		if err := tx.NoteEvent(ctx, o.Directory, store.OrderBegun, o.Domain, w.names()); err != nil {
			return err
		}
		return tx.SetOrder(ctx, w.order, o)
	})
	if err == nil {
		w.order = o
	}
	return err
}

// step writes down how far an order is.
func (m *Module) step(ctx context.Context, w *wish, s acme.Step) error {
	o := w.order
	o.Step, o.Challenge = string(s), w.challenge
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.SetOrder(ctx, w.order, o)
	})
	if err == nil {
		w.order = o
	}
	return err
}

// issued counts a certificate, once for each order.
func (m *Module) issued(ctx context.Context, w *wish) error {
	return m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		noted, err := tx.Noted(ctx, w.order.Directory, store.OrderFilled, w.names(), w.order.Since)
		if noted || err != nil {
			return err
		}
		return tx.NoteEvent(ctx, w.order.Directory, store.OrderFilled, w.order.Domain, w.names())
	})
}
