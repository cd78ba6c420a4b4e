package module

import (
	"context"
	"errors"
	"fmt"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// directory is the authority of the settings.
func (m *Module) directory(s mail.Settings) acme.Directory {
	return acme.Directory{
		URL: s.ACME.Directory, EAB: acme.EAB{KeyID: s.ACME.EABKid, Key: s.ACME.EABKey},
		Roots: m.orders.roots, Dial: m.orders.dial, Now: m.db.Now,
	}
}

// account is the server's account at an authority. It is opened once, with the first
// order; its key is kept before, so that one of which the answer was lost is found again.
func (m *Module) account(ctx context.Context, dir acme.Directory, w *wish) (acme.Account, error) {
	m.orders.opening.Lock()
	defer m.orders.opening.Unlock()
	var a store.AccountRow
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		var found bool
		var err error
		if a, found, err = tx.Account(ctx, dir.URL); found || err != nil {
			return err
		}
		if a.Key, err = mail.NewKey(); err != nil {
			return err
		}
		return tx.PutAccount(ctx, a)
	})
	if err != nil {
		return acme.Account{}, fmt.Errorf("keep the account's key: %w", err)
	}
	if a.URL != "" {
		return acme.Account{URL: a.URL, Key: a.Key}, nil
	}
	contact := w.set.ACME.Contact
	if contact.IsZero() {
		contact = w.contact
	}
	opened, err := dir.Register(ctx, a.Key, contact)
	if p, is := errors.AsType[*acme.Problem](err); is && p.Text == "acme_contact" && w.set.ACME.Contact.IsZero() {
		// The domain's own address was only a guess, and an account needs none.
		contact = mail.Address{}
		opened, err = dir.Register(ctx, a.Key, contact)
	}
	if err != nil {
		return acme.Account{}, err
	}
	a.URL, a.Contact = opened.URL, contactText(contact)
	err = m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.PutAccount(ctx, a)
	})
	if err != nil {
		return acme.Account{}, fmt.Errorf("keep the account: %w", err)
	}
	m.log.Info().Str("authority", dir.URL).Str("account", opened.URL).Msg("an account at the certificate authority was opened")
	return opened, nil
}

func contactText(a mail.Address) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}

// forgetAccount has the account looked up anew, with its key: the authority did not
// know it by its address. Where it does not know it by its key either, or has closed it,
// the next order opens another.
func forgetAccount(ctx context.Context, tx *store.Tx, directory string) error {
	a, found, err := tx.Account(ctx, directory)
	if err != nil || !found {
		return err
	}
	if a.URL == "" {
		return tx.DropAccount(ctx, directory)
	}
	a.URL = ""
	return tx.PutAccount(ctx, a)
}
