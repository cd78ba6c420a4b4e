package module

import (
	"context"
	"errors"
	"slices"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// partTries is how often fewer names are tried: each try may show one more that cannot
// be proved.
const partTries = 4

// lastPart is what part of its lifetime a certificate is kept to that is for a name which
// the next one would not be for.
const lastPart = 10

// names are those that a certificate is ordered for now.
func (w *wish) names() []mail.Name {
	if len(w.part) > 0 {
		return w.part
	}
	return w.order.Names
}

// beyond notes that a name cannot be proved in a way, if err says so of it.
func (w *wish) beyond(by mail.Challenge, n mail.Name, err error) {
	p, is := errors.AsType[*acme.Problem](err)
	if !is || p.Kind != acme.NotHere && p.Kind != acme.Forbidden {
		return
	}
	if w.wrong == nil {
		w.wrong = map[mail.Challenge]map[mail.Name]bool{}
	}
	if w.wrong[by] == nil {
		w.wrong[by] = map[mail.Name]bool{}
	}
	w.wrong[by][n] = true
}

// provable are the names that may be proved in one way, whichever is for more; none where
// what is wrong is about no name.
func (w *wish) provable() (most []mail.Name) {
	for _, by := range []mail.Challenge{mail.ChallengeHTTP, mail.ChallengeDNS} {
		wrong := w.wrong[by]
		if len(wrong) == 0 {
			continue
		}
		ns := slices.DeleteFunc(slices.Clone(w.names()), func(n mail.Name) bool { return wrong[n] })
		if len(ns) > len(most) {
			most = ns
		}
	}
	return most
}

// partly chooses how a certificate for those names of a domain is proved that can be,
// where that is worth an order: the others wait alone, and keep none from being renewed.
// What was begun for more names is given up. Why is what is wrong with these, and the
// error where there is nothing to order.
func (m *Module) partly(ctx context.Context, dir acme.Directory, a acme.Account, w *wish, why error) (s acme.Solver, done func(), err error) {
	for range partTries {
		part := w.provable()
		if w.resumed || w.order.Domain == mail.ServerCertificate || len(part) == 0 || len(part) == len(w.names()) || !w.gains(part, m.db.Now()) {
			break
		}
		w.part, w.wrong = part, nil
		if s, done, err = m.solver(ctx, dir, a, w); err == nil {
			w.why = why
			return s, done, nil
		}
		if _, is := errors.AsType[*acme.Problem](err); !is {
			return s, done, err
		}
	}
	w.part = nil
	return nil, func() {}, why
}

// gains says that a certificate for part of the names is worth an order: it is for more
// than the one that is served, or that is to be renewed; and none is lost by it that the
// one that is served is good for a while yet.
func (w *wish) gains(part []mail.Name, now time.Time) bool {
	lost := slices.DeleteFunc(slices.Clone(w.order.Names), func(n mail.Name) bool { return slices.Contains(part, n) })
	chain, err := mail.ParseChain(w.have.Chain)
	switch {
	case err != nil || w.have.Source == mail.SelfSigned || !chain.NotAfter.After(now):
		return true
	case goodFor(&w.have, lost, now):
		return false
	}
	due := !w.have.Renew.IsZero() && !w.have.Renew.After(now) || w.have.Renew.IsZero() && !now.Before(soonEnds(chain))
	return !chain.CoversAll(part) || w.have.Source == mail.LetsEncrypt && due
}

// goodFor says that a certificate which somebody vouches for is for one of names, and
// does not end soon.
func goodFor(c *store.CertificateRow, names []mail.Name, now time.Time) bool {
	if c == nil || c.Source == mail.SelfSigned {
		return false
	}
	chain, err := mail.ParseChain(c.Chain)
	return err == nil && now.Before(soonEnds(chain)) && slices.ContainsFunc(names, chain.Covers)
}

// soonEnds is when the last part of a certificate's lifetime begins.
func soonEnds(c mail.Chain) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / lastPart)
}

// partlyFor says that a certificate for some of a domain's names is to be served: it is
// for one, and the one that is served is not good for any of the others.
func partlyFor(is, was *store.CertificateRow, d mail.Domain, now time.Time) bool {
	lacks := lacking(is, d.SecureAlias)
	return len(lacks) > 0 && len(lacks) < len(d.SecureAlias) && !goodFor(was, lacks, now)
}

// beforeItEnds is when an order that waits is tried again: once more when what is served
// is about to end, for then it gives way to one for fewer names.
func (w *wish) beforeItEnds(due, again, now time.Time) time.Time {
	chain, err := mail.ParseChain(w.have.Chain)
	if err != nil || w.have.Source == mail.SelfSigned {
		return due
	}
	if at := soonEnds(chain); at.After(now) && at.After(again) && at.Before(due) {
		return at
	}
	return due
}

// restStands has the names that could not be proved wait on, with what is wrong with them.
func (w *wish) restStands(ctx context.Context, tx *store.Tx) error {
	o := w.order
	o.URL, o.Key, o.Part, o.Step, o.Since = "", nil, nil, "", tx.Now
	o.Failures++
	o.Due = acme.NextTry(o.Failures, time.Time{}, tx.Now)
	if p, is := errors.AsType[*acme.Problem](w.why); is {
		o.Kind, o.Text, o.Args, o.Detail = string(p.Kind), p.Text, p.Args, p.Detail
	}
	err := tx.SetOrder(ctx, w.order, o)
	if errors.Is(err, store.ErrGivenUp) {
		return nil
	}
	return err
}
