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
	failed, err := tx.Failures(ctx, sortedNames(names), tx.Now.Add(-afterFailure))
	if err != nil || len(failed) < mostFailures {
		return err
	}
	return tooSoon(failed[0].Add(afterFailure))
}

func tooSoon(at time.Time) error {
	return &mail.Error{Kind: mail.Busy, Field: "renew", Text: "busy_ssl_renew", Args: map[string]string{"at": at.UTC().Format("2006-01-02 15:04 UTC")}}
}
