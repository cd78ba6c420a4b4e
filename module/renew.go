package module

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

const (
	renewalsAtOnce = 64             // that are begun at one go
	askedAgain     = 6 * time.Hour  // when an authority did not answer
	latestRenewal  = 24 * time.Hour // before the end, whatever an authority proposes
)

// renewals has certificates ordered anew whose time has come, and makes those anew that
// nobody vouches for. One that should have been long ago, for nobody ran, is ordered once.
func (m *Module) renewals(ctx context.Context) error {
	failed := m.askRenewals(ctx)
	var due, ending []store.CertificateRow
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if due, err = tx.RenewalsDue(ctx, renewalsAtOnce); err != nil {
			return err
		}
		ending, err = tx.SelfSignedEnding(ctx, tx.Now.Add(selfSignedLeft), renewalsAtOnce)
		return err
	})
	if err != nil {
		return errors.Join(failed, fmt.Errorf("look for certificates that end: %w", err))
	}
	for _, c := range due {
		failed = errors.Join(failed, m.orderAnew(ctx, c.Name))
	}
	for _, c := range ending {
		failed = errors.Join(failed, m.signAnew(ctx, c))
	}
	return failed
}

// askRenewals asks the authority when certificates are to be renewed (RFC 9773), until
// it does not answer.
func (m *Module) askRenewals(ctx context.Context) error {
	var rows []store.CertificateRow
	var set mail.Settings
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if rows, err = tx.RenewalsToAsk(ctx, renewalsAtOnce); err != nil {
			return err
		}
		set, err = settings(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for certificates to ask about: %w", err)
	}
	dir, silent := m.directory(set), false
	for _, c := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at := acme.Renewal{At: c.Renew, Ask: m.db.Now().Add(askedAgain)}
		if !silent {
			told, err := dir.Renewal(ctx, c.Chain)
			if p, is := errors.AsType[*acme.Problem](err); is {
				silent = p.Kind == acme.Unreachable
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				m.log.Warn().Err(err).Str("domain", c.Name).Msg("the authority does not say when to renew; what it said last holds")
			default:
				at = told
			}
		}
		if latest := c.Expire.Add(-latestRenewal); at.At.After(latest) {
			at.At = latest
		}
		if at.Why != "" && at.At.Before(c.Renew) {
			m.log.Info().Str("domain", c.Name).Time("renew", at.At).Str("why", at.Why).Msg("the authority wants a certificate renewed early")
		}
		err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			return tx.SetRenewal(ctx, c, at.At, at.Ask)
		})
		if err != nil {
			return fmt.Errorf("note when to renew the certificate of %s: %w", c.Name, err)
		}
	}
	return nil
}

// orderAnew has the certificate of a domain ordered, if it is to be renewed still.
func (m *Module) orderAnew(ctx context.Context, name string) error {
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		c, found, err := tx.Certificate(ctx, name)
		if err != nil || !found || c.Source != mail.LetsEncrypt || c.Renew.IsZero() || c.Renew.After(tx.Now) {
			return err
		}
		if _, ordered, err := tx.Order(ctx, name); ordered || err != nil {
			return err
		}
		names, err := renewalNames(ctx, tx, c)
		if err != nil || len(names) == 0 {
			return err
		}
		return tx.PutOrder(ctx, store.OrderRow{Domain: name, Names: names, Since: tx.Now, Due: tx.Now})
	})
	if err != nil {
		return fmt.Errorf("have the certificate of %s renewed: %w", name, err)
	}
	return nil
}

// renewalNames are the names that a certificate's domain wants one for now, sorted; those
// that it has, for the server's own.
func renewalNames(ctx context.Context, tx *store.Tx, c store.CertificateRow) ([]mail.Name, error) {
	if c.Name != mail.ServerCertificate {
		d, _, err := tx.Domain(ctx, mail.StoredName(c.Name))
		return sortedNames(d.SecureAlias), err
	}
	return sortedNames(chainNames(&c)), nil
}

// signAnew makes a certificate anew that nobody vouches for.
func (m *Module) signAnew(ctx context.Context, c store.CertificateRow) error {
	var names []mail.Name
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		tx.Aside()
		if names, err = renewalNames(ctx, tx, c); err != nil {
			return err
		}
		return tx.SetRenewal(ctx, c, tx.Now.Add(askedAgain), c.Ask) // it may be of no use
	})
	if err != nil || len(names) == 0 {
		return err
	}
	now := m.db.Now()
	fresh, err := selfSigned(&c, names, now)
	if err != nil {
		return err
	}
	if err := m.install(ctx, itself, "emaildomain.ssl.renew", mail.StoredName(c.Name), fresh, mail.SelfSigned, acme.Renewal{}); err != nil {
		return fmt.Errorf("put a new certificate of %s into service: %w", c.Name, err)
	}
	return nil
}
