package module

import (
	"context"
	"errors"
	"fmt"

	"maildomain/module/mail"
)

// errNeedsCertificate is the error of a change that wants a certificate which an owner
// has in the panel: it is asked for outside of the transaction, and the change tried again.
type errNeedsCertificate struct {
	owner string
	name  mail.SSLName
}

func (errNeedsCertificate) Error() string { return "a certificate is to be fetched first" }

// An ownCertificate is one that an owner has in the panel.
type ownCertificate struct {
	certificate mail.Certificate
	chain       mail.Chain
	err         error // why it cannot be used; nil: it can
}

// ownCertificates are those that were fetched for a change.
type ownCertificates map[errNeedsCertificate]ownCertificate

// of is the certificate of that name; an error that has it fetched where it was not.
func (have ownCertificates) of(owner string, name mail.SSLName) (ownCertificate, error) {
	need := errNeedsCertificate{owner, name}
	c, fetched := have[need]
	if !fetched {
		return c, need
	}
	return c, c.err
}

// withCertificates runs a change, and fetches the certificates that it wants.
func (m *Module) withCertificates(ctx context.Context, change func(ownCertificates) error) error {
	have := ownCertificates{}
	for {
		err := change(have)
		need, is := errors.AsType[errNeedsCertificate](err)
		if !is {
			return err
		}
		if _, asked := have[need]; asked {
			return fmt.Errorf("use certificate %s of %s: the change does not take it", need.name, need.owner)
		}
		if have[need], err = m.ownCertificate(ctx, need.owner, need.name); err != nil {
			return err
		}
	}
}

// spares are what a change may take that is not made or asked for in a transaction.
type spares struct {
	keys         spareKeys
	certificates ownCertificates
}

// withSpares runs a change, with all that it needs.
func (m *Module) withSpares(ctx context.Context, change func(spares) error) error {
	return m.withCertificates(ctx, func(have ownCertificates) error {
		return m.withKeys(func(keys spareKeys) error { return change(spares{keys, have}) })
	})
}

// ownCertificate fetches one. That it is not there, or not fit to be served, is in the
// answer; the error is about the panel.
func (m *Module) ownCertificate(ctx context.Context, owner string, name mail.SSLName) (c ownCertificate, err error) {
	gone := &mail.Error{Kind: mail.Invalid, Field: "ssl_name", Value: string(name), Text: "value_ssl_name"}
	if m.panel.Certificate == nil {
		return ownCertificate{err: gone}, nil
	}
	chain, key, found, err := m.panel.Certificate(ctx, owner, string(name))
	if err != nil && !errors.Is(err, ErrRefused) {
		err = errAway{err}
	}
	switch {
	case err != nil:
		return c, fmt.Errorf("ask for certificate %s of %s: %w", name, owner, err)
	case !found:
		return ownCertificate{err: gone}, nil
	}
	c.certificate, c.chain, c.err = mail.ParseCertificate(chain, key, m.db.Now())
	if e, is := errors.AsType[*mail.Error](c.err); is {
		c.err = &mail.Error{Kind: e.Kind, Field: "ssl_name", Value: string(name), Text: e.Text, Args: e.Args}
	}
	return c, nil
}
