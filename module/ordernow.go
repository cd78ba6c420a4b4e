package module

import (
	"context"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// mostFailures is how many failures of the same names in an hour are left to people:
// Let's Encrypt takes five.
const mostFailures = 4

// mayOrder says that a certificate may be ordered by hand, or when: not before, where
// a limit of the authority's is known to be used up. The name is that of a mail domain,
// or mail.ServerCertificate.
func mayOrder(ctx context.Context, tx *store.Tx, name string, names []mail.Name) error {
	o, found, err := tx.Order(ctx, name)
	if err != nil {
		return err
	}
	if found && o.Kind == string(acme.RateLimited) && o.Due.After(tx.Now) {
		return tooSoon(o.Due)
	}
	set, err := settings(ctx, tx)
	if err != nil {
		return err
	}
	o.Domain, o.Directory = name, set.ACME.Directory
	late, err := heldOff(ctx, tx, o)
	if err != nil {
		return err
	}
	if late != nil {
		return tooSoon(late.Again)
	}
	failed, err := tx.Failures(ctx, sortedNames(names), tx.Now.Add(-afterFailure))
	if err != nil || len(failed) < mostFailures {
		return err
	}
	return tooSoon(failed[0].Add(afterFailure))
}

// mostBegun is how many orders of a domain are begun in an hour: what one's owner changes
// again and again is not to use up what an authority allows the whole server.
const mostBegun = 5

// heldOff is why an authority is not to be asked for an order yet, and until when; nil:
// it may be.
func heldOff(ctx context.Context, tx *store.Tx, o store.OrderRow) (*acme.Problem, error) {
	w, found, err := tx.Wait(ctx, o.Directory, o.Domain)
	switch {
	case err != nil:
		return nil, err
	case found:
		return &acme.Problem{Kind: acme.RateLimited, Text: "acme_rate_limited", Again: w.Until, Detail: w.Detail}, nil
	case o.URL != "": // that one is begun
		return nil, nil
	}
	begun, err := tx.OrdersBegun(ctx, o.Directory, o.Domain, tx.Now.Add(-time.Hour))
	if err != nil || len(begun) < mostBegun {
		return nil, err
	}
	return &acme.Problem{Kind: acme.RateLimited, Text: "acme_often", Again: begun[len(begun)-mostBegun].Add(time.Hour)}, nil
}

func tooSoon(at time.Time) error {
	return &mail.Error{Kind: mail.Busy, Field: "renew", Text: "busy_ssl_renew", Args: map[string]string{"at": at.UTC().Format("2006-01-02 15:04 UTC")}}
}
