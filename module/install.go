package module

import (
	"bytes"
	"context"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// install makes c the certificate of the mail domain n, or of the mail server itself
// (mail.ServerCertificate), and drops the order that it fills. Where the domain is gone,
// or wants another source or other names by now, it does nothing and says nothing. What
// was served before is kept until c was seen; putting just that back is always right.
func (m *Module) install(ctx context.Context, by Actor, function string, n mail.Name, c mail.Certificate, source mail.SSLName, renew acme.Renewal) error {
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		return err
	}
	c.Name, c.Expire = n.String(), chain.NotAfter
	is := store.CertificateRow{Certificate: c, Source: source, Renew: renew.At, Ask: renew.Ask}
	return m.recertify(ctx, by, function, n, func(ctx context.Context, tx *store.Tx, d *mail.Domain, was *store.CertificateRow) (*store.CertificateRow, error) {
		back := restored(was, &is)
		if d == nil && n.String() == mail.ServerCertificate && !back {
			anew := source == mail.SelfSigned && was != nil && was.Source == source // while another is ordered
			if wanted, err := serverWants(ctx, tx, was, source); err != nil || !wanted && !anew {
				return was, err
			}
		}
		switch {
		case d == nil && n.String() != mail.ServerCertificate:
			return was, nil
		case d != nil && !back && source == mail.LetsEncrypt && source == d.SSLName && partlyFor(&is, was, *d, tx.Now):
			is.Lacks = lacking(&is, d.SecureAlias)
			return &is, nil
		case d != nil && (!chain.CoversAll(d.SecureAlias) || !back && source != d.SSLName && source != mail.SelfSigned):
			return was, nil
		case d != nil && source == mail.SelfSigned && d.SSLName != mail.SelfSigned && !back && was != nil && was.Source != mail.SelfSigned && covers(was, d.SecureAlias, tx.Now):
			return was, nil
		}
		return &is, nil
	})
}

// recertify is change for the certificate of a mail domain alone, or of the mail
// server, for which decide gets no domain. Decide returns the certificate as it is to
// be, was itself where it is to stay as it is.
func (m *Module) recertify(ctx context.Context, by Actor, function string, n mail.Name,
	decide func(context.Context, *store.Tx, *mail.Domain, *store.CertificateRow) (*store.CertificateRow, error)) error {
	return m.change(ctx, by, function, n.String(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
		d, err := domain(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		was, err := certificateOf(ctx, tx, n.String())
		if err != nil || d != nil && !d.Secure {
			return nil, err
		}
		is, err := decide(ctx, tx, d, was)
		if err != nil || is == was {
			return nil, err
		}
		s := showing{was: was, is: is, drop: is.Source == mail.LetsEncrypt && len(is.Lacks) == 0}
		s.is.Name = n.String()
		names := shownFor(d, is)
		if !restored(was, is) {
			s.remember(tx.Now, names)
		}
		if was != nil && bytes.Equal(was.Chain, is.Chain) { // nothing that anybody sees
			is.Before, is.BeforeSource = was.Before, was.BeforeSource
			tx.Aside()
			return nil, s.write(ctx, tx, n)
		}
		did := &deed{domain: n, before: certificateText(d, was), after: certificateText(d, is)}
		if d == nil {
			return m.serve(ctx, tx, did, was, is)
		}
		if err := s.shown(ctx, tx, n, d, d); err != nil {
			return nil, err
		}
		return did, s.settle(ctx, tx, m.tree.Layout(), did, true)
	})
}

// restored says that a certificate is the one that was served before.
func restored(was, is *store.CertificateRow) bool {
	return was != nil && was.Before.Name != "" && bytes.Equal(was.Before.Chain, is.Chain)
}

// shownFor are the names that a certificate is shown for.
func shownFor(d *mail.Domain, c *store.CertificateRow) []mail.Name {
	if d != nil {
		return d.SecureAlias
	}
	return chainNames(c)
}

// chainNames are the names in a certificate that are names of hosts.
func chainNames(c *store.CertificateRow) (names []mail.Name) {
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		return nil
	}
	for _, s := range chain.Names {
		if n, err := mail.ParseName(s); err == nil {
			names = append(names, n)
		}
	}
	return names
}

// certificateText is a certificate as the history has it, nothing secret; with the
// owner, so that a later one does not see it.
func certificateText(d *mail.Domain, c *store.CertificateRow) map[string]string {
	text := map[string]string{}
	if d != nil {
		text["owner"] = d.Owner
	}
	if c != nil {
		text["certificate"] = string(c.Source) + " until " + c.Expire.UTC().Format(time.DateOnly) + ", SHA-256 " + fingerprintOf(c)
	}
	return text
}
