package module

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A wish is an order with all that it follows from, as it was when it was begun.
type wish struct {
	order     store.OrderRow
	records   mail.Name            // the domain that records are handed over for
	owner     string               // empty: the server itself
	have      store.CertificateRow // what is served now; its source is empty where there is none
	reuse     *store.CertificateRow
	challenge mail.Challenge // as the domain wants it proved; then as it is proved
	contact   mail.Address   // of the domain; zero: none
	set       mail.Settings
	params    mail.Params
	part      []mail.Name                           // that the certificate is ordered for; nil: all that the order names
	why       error                                 // not for all
	wrong     map[mail.Challenge]map[mail.Name]bool // names that cannot be proved in a way
	resumed   bool                                  // begun already: what could work was found out then
	away      bool                                  // the panel is not connected, and what is known of it is of before

	stopped func() bool // the process is about to end: the next one goes on with the order
}

// wish is what an order comes to now; false where it is not wanted any more.
func (m *Module) wish(ctx context.Context, o store.OrderRow) (w wish, wanted bool, err error) {
	p, set, away, err := m.lastParams(ctx)
	if err != nil {
		return w, false, err
	}
	err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		tx.Aside()
		w, wanted = wish{order: o, set: set, params: p, away: away}, false
		now, found, err := tx.Order(ctx, o.Domain)
		if err != nil || !found || now.Due.After(tx.Now) {
			return err
		}
		w.order = now
		if wanted, err = w.read(ctx, tx); err != nil || !wanted {
			return errors.Join(err, tx.FinishOrder(ctx, now))
		}
		if w.reuse == nil {
			late, err := heldOff(ctx, tx, w.order)
			if err != nil {
				return err
			}
			if late != nil {
				w.order.Due, w.order.Kind, w.order.Text, w.order.Args, w.order.Detail = late.Again, string(late.Kind), late.Text, nil, late.Detail
				wanted = false
			}
		}
		return tx.PutOrder(ctx, w.order)
	})
	return w, wanted, err
}

// read finds out what the order is for; false where nothing is to be ordered.
func (w *wish) read(ctx context.Context, tx *store.Tx) (wanted bool, err error) {
	o := &w.order
	if w.have, _, err = tx.Certificate(ctx, o.Domain); err != nil {
		return false, err
	}
	names := o.Names
	if o.Domain == mail.ServerCertificate {
		w.challenge = w.set.ACME.Challenge
		w.records = names[0]
	} else {
		d, found, err := tx.Domain(ctx, mail.StoredName(o.Domain))
		if err != nil || !found || !d.Secure || d.SSLName != mail.LetsEncrypt {
			return false, err
		}
		names = sortedNames(d.SecureAlias)
		w.records, w.owner, w.contact, w.challenge = d.Name, d.Owner, d.Email, d.SSLChallenge
		if w.challenge == mail.ChallengeAuto {
			w.challenge = w.set.ACME.Challenge
		}
		if w.reuse, err = reusable(ctx, tx, d, names, &w.have); err != nil {
			return false, err
		}
	}
	if o.URL != "" && (o.Directory != w.set.ACME.Directory || !slices.Equal(o.Names, names)) {
		o.URL, o.Key, o.Part, o.Failures = "", nil, nil, 0 // nobody will ask for it again
	}
	o.Directory, o.Names = w.set.ACME.Directory, names
	if o.URL == "" && w.fresh(tx.Now) {
		return false, nil
	}
	w.resumed = o.URL != "" && o.Challenge != "" && o.Kind != string(acme.NotHere)
	if w.resumed {
		w.challenge = o.Challenge
	}
	if o.URL != "" {
		w.part = o.Part
	}
	return true, nil
}

// fresh says that what is served is what the order is to obtain: its end was not
// noted any more.
func (w *wish) fresh(now time.Time) bool {
	if w.have.Source != mail.LetsEncrypt || !w.have.Renew.After(now) {
		return false
	}
	_, ok := mail.Covering([]mail.Certificate{w.have.Certificate}, w.order.Names, now)
	return ok
}

// key is the one to use again, so that a renewal is one rename for the servers; nil: a
// new one is made. What an owner brought is the owner's.
func (w *wish) key() []byte {
	if w.order.URL == "" && len(w.order.Key) > 0 { // the one before was not taken
		return bytes.Clone(w.order.Key)
	}
	if w.have.Source != mail.SelfSigned && w.have.Source != mail.LetsEncrypt {
		return nil
	}
	k, err := mail.ParseKey(w.have.Key)
	if err != nil {
		return nil
	}
	if _, is := k.(*ecdsa.PrivateKey); !is {
		return nil
	}
	return bytes.Clone(w.have.Key)
}

// replaces is the chain that is renewed; nil: none, nor is one that has no name in
// common with the order.
func (w *wish) replaces() []byte {
	has := func(n mail.Name) bool { return slices.Contains(w.order.Names, n) }
	if w.have.Source != mail.LetsEncrypt || !slices.ContainsFunc(chainNames(&w.have), has) {
		return nil
	}
	return w.have.Chain
}

// reusable is a certificate of the owner's that covers names and is not to be renewed
// yet; nil where there is none. One that the domain has, and that covers them too, does
// not give way to an older one: it may be replaced for its key.
func reusable(ctx context.Context, tx *store.Tx, d mail.Domain, names []mail.Name, have *store.CertificateRow) (*store.CertificateRow, error) {
	rows, err := tx.Reusable(ctx, d.Name, d.Owner, names[0])
	if err != nil {
		return nil, err
	}
	if have != nil && have.Source == mail.LetsEncrypt && covers(have, names, tx.Now) {
		since := issued(*have)
		rows = slices.DeleteFunc(rows, func(r store.CertificateRow) bool { return !issued(r).After(since) })
	}
	cs := make([]mail.Certificate, len(rows))
	for i, r := range rows {
		cs[i] = r.Certificate
	}
	best, found := mail.Covering(cs, names, tx.Now)
	if !found {
		return nil, nil
	}
	i := slices.IndexFunc(rows, func(r store.CertificateRow) bool { return r.Name == best.Name && bytes.Equal(r.Chain, best.Chain) })
	return &rows[i], nil
}

// issued is when a certificate begins; zero where it cannot be read.
func issued(c store.CertificateRow) time.Time {
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		return time.Time{}
	}
	return chain.NotBefore
}

// unfilled notes why there is no certificate, and when it is tried again.
func (m *Module) unfilled(ctx context.Context, w wish, why error) error {
	was := w.order
	p, is := errors.AsType[*acme.Problem](why)
	now := m.db.Now()
	o := was
	o.Step = ""
	var fresh []byte
	if is && p.Text == "acme_key" { // it may be known to be in wrong hands: it is not used again
		var err error
		if fresh, err = mail.NewKey(); err != nil {
			return err
		}
	}
	if is && w.away && p.Kind == acme.NotHere { // it connects in a moment, or is restarted
		is, o.Due = false, now.Add(awayRest)
		why = nil
		m.log.Info().Err(p).Str("domain", o.Domain).Time("again", o.Due).Msg("no certificate yet, and the panel is not there")
	} else if is {
		o.Challenge = w.challenged()
		o.Failures++
		o.Due = acme.NextTry(o.Failures, p.Again, now)
		o.Kind, o.Text, o.Args, o.Detail = string(p.Kind), p.Text, p.Args, p.Detail
		if p.CountsAsFailure() { // that order came to nothing
			o.URL, o.Key, o.Part = "", fresh, nil
		} else if p.Kind == acme.NotHere {
			o.Due = w.beforeItEnds(o.Due, p.Again, now)
		}
		m.log.Warn().Err(p).Str("domain", o.Domain).Time("again", o.Due).Msg("no certificate yet")
	} else { // a fault of ours, which is not the order's
		o.Due = now.Add(orderRest)
	}
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		if is && p.CountsAsFailure() && was.URL != "" { // what we found out before, nobody has counted
			if err := tx.NoteEvent(ctx, w.set.ACME.Directory, store.OrderFailed, o.Domain, w.names()); err != nil {
				return err
			}
		}
		if is && p.Kind == acme.RateLimited {
			wait := store.Wait{Directory: w.set.ACME.Directory, Domain: o.Domain, Until: acme.NextTry(1, p.Again, now), Detail: p.Detail}
			if p.OfAll() {
				wait.Domain = ""
			}
			if err := tx.PutWait(ctx, wait); err != nil {
				return err
			}
		}
		if is && p.OfAll() {
			if err := putOff(ctx, tx, o, p.Again); err != nil {
				return err
			}
			if p.Text == "acme_account" {
				if err := forgetAccount(ctx, tx, w.set.ACME.Directory); err != nil {
					return err
				}
			}
		}
		err := tx.SetOrder(ctx, was, o)
		if errors.Is(err, store.ErrGivenUp) {
			return nil
		}
		return err
	})
	if is || why == nil {
		return err
	}
	return errors.Join(fmt.Errorf("order a certificate for %s: %w", o.Domain, why), err)
}

// challenged is how it was tried, "" where no way was chosen.
func (w *wish) challenged() mail.Challenge {
	if w.challenge == mail.ChallengeAuto {
		return ""
	}
	return w.challenge
}

// putOff has the other orders that are due wait too, and for the same reason as o: what
// the authority does not take of one it does not take of others. Each waits as after a
// failure of its own, and not before the authority asked to be asked again.
func putOff(ctx context.Context, tx *store.Tx, o store.OrderRow, again time.Time) error {
	others, err := tx.OrdersDue(ctx, mostPutOff)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.Domain == o.Domain || other.Step != "" {
			continue
		}
		other.Due = acme.NextTry(other.Failures+1, again, tx.Now)
		other.Kind, other.Text, other.Args, other.Detail = o.Kind, o.Text, o.Args, o.Detail
		if err := tx.PutOrder(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

const mostPutOff = 1000
