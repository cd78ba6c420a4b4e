package module

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// What a former server is to a zone now.
type formerRole int

const (
	formerIdle   formerRole = iota // nobody is answered from it
	formerServes                   // the world is: what is withdrawn is missed
	formerSame                     // it has the zone of the present server, and is the same, or follows it
	formerSilent                   // it does not say
)

// stillServes finds out what a former server is to the zone of a domain, by the serial of
// that zone there, at the present server, and at those that the world asks. An error
// without formerSilent means that somebody else could not be asked.
func (m *Module) stillServes(ctx context.Context, set mail.Settings, s store.FormerServer, n mail.Name) (formerRole, error) {
	if set.DNS == mail.DNSByHand {
		return formerIdle, nil // somebody asked for it
	}
	var there, now dns.Serial
	if s.Mode == mail.DNSByServer {
		server, err := nameServer(asSettings(s))
		if err != nil {
			return formerSilent, err
		}
		if there, err = server.Serial(ctx, n.String()); err != nil {
			return formerSilent, err
		}
		if there == (dns.Serial{}) {
			return formerIdle, nil // it has no such zone any more
		}
	}
	if set.DNS == mail.DNSByServer {
		server, err := nameServer(set)
		if err != nil {
			return formerIdle, err
		}
		if now, err = server.Serial(ctx, n.String()); err != nil {
			return formerIdle, err
		}
		if there == now && now != (dns.Serial{}) {
			if there, now, err = m.probe(ctx, set, s, n); err != nil || there == now {
				return formerSame, err
			}
		}
	}
	a, err := m.asker(set)
	if err != nil {
		return formerIdle, err
	}
	world, err := a.Serials(ctx, n.String())
	switch {
	case errors.Is(err, dns.ErrNotDelegated):
		return formerIdle, nil
	case err != nil:
		return formerIdle, err
	case s.Mode == mail.DNSByServer && slices.Contains(world, there), s.Mode == mail.DNSByCore && !slices.Contains(world, now):
		return formerServes, nil
	}
	return formerIdle, nil
}

// probe changes the zone of a domain at the present server, and returns the serials of
// the former one and of the present one after that: copies of a zone that were changed
// as often have the same, but not for long.
func (m *Module) probe(ctx context.Context, set mail.Settings, s store.FormerServer, n mail.Name) (there, now dns.Serial, err error) {
	r := mail.Record{Name: "_maildomain." + n.String(), Type: mail.TypeTXT, TTL: 60, Values: []string{"probe " + rand.Text()}}
	err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.TakeAway(ctx, n, r, tx.Now.Add(probed)) // it has an owner before it stands
	})
	if err != nil {
		return there, now, fmt.Errorf("write a probe down: %w", err)
	}
	for _, o := range m.handOver(ctx, set, n, []mail.RecordChange{{Record: r, Ours: r.Values}}) {
		if o.Handed != mail.Published {
			return there, now, fmt.Errorf("probe the zone: %s", o.Reason)
		}
	}
	for f, to := range map[*dns.Serial]mail.Settings{&there: asSettings(s), &now: set} {
		server, e := nameServer(to)
		if e == nil {
			*f, e = server.Serial(ctx, n.String())
		}
		err = errors.Join(err, e)
	}
	return there, now, err
}
