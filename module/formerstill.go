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
	there, now, found, err := serials(ctx, set, s, n)
	switch {
	case err != nil:
		return found, err
	case s.Mode == mail.DNSByServer && there == (dns.Serial{}):
		return formerIdle, nil // it has no such zone any more
	case there == now && now != (dns.Serial{}):
		if there, now, err = m.probe(ctx, set, s, n); err != nil || there == now {
			return formerSame, err
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
	case set.DNS == mail.DNSByServer:
		// The world has moved when all of it is answered from the present server. What else
		// answers, a secondary that lags or who signs the zone, may have it from the former one.
		if now == (dns.Serial{}) || slices.ContainsFunc(world, func(w dns.Serial) bool { return w != now }) {
			return formerServes, nil
		}
	case slices.Contains(world, there):
		return formerServes, nil
	}
	return formerIdle, nil
}

// serialReads is how often serials are read that change meanwhile.
const serialReads = 5

// serials are those of the zone of a domain at the former server and at the present one,
// at one moment: a server that goes by both names has one then. Who has none to say has a
// zero one. An error is with formerSilent where the former server does not say.
func serials(ctx context.Context, set mail.Settings, s store.FormerServer, n mail.Name) (there, now dns.Serial, found formerRole, err error) {
	read := func(of mail.Settings) (dns.Serial, error) {
		if of.DNS != mail.DNSByServer {
			return dns.Serial{}, nil
		}
		server, err := nameServer(of)
		if err != nil {
			return dns.Serial{}, err
		}
		return server.Serial(ctx, n.String())
	}
	if there, err = read(asSettings(s)); err != nil {
		return there, now, formerSilent, err
	}
	for range serialReads {
		if now, err = read(set); err != nil {
			return there, now, formerIdle, err
		}
		again, err := read(asSettings(s))
		if err != nil {
			return there, now, formerSilent, err
		}
		if again == there {
			return there, now, formerIdle, nil
		}
		there = again
	}
	return there, now, formerIdle, errors.New("the zone changes again and again")
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
	there, now, _, err = serials(ctx, set, s, n)
	return there, now, err
}
