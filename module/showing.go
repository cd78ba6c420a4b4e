package module

import (
	"context"
	"fmt"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// remember keeps what was served beside what takes its place, until that was seen: the
// last that was seen, if it fits the names.
func (s *showing) remember(now time.Time, names []mail.Name) {
	if s.was == nil || string(s.was.Chain) == string(s.is.Chain) {
		return
	}
	s.is.Before, s.is.BeforeSource = mail.Certificate{}, ""
	seen := *s.was
	if s.was.Before.Name != "" {
		seen = store.CertificateRow{Certificate: s.was.Before, Source: s.was.BeforeSource}
	}
	if chain, err := mail.ParseChain(seen.Chain); err == nil && chain.CoversAll(names) && chain.NotAfter.After(now) {
		s.is.Before, s.is.BeforeSource = mail.Certificate{Name: s.is.Name, Chain: seen.Chain, Key: seen.Key}, seen.Source
	}
}

// reshow decides about the certificate of a domain that stands, or is new, and what
// follows for what is served.
func (m *Module) reshow(ctx context.Context, tx *store.Tx, by Actor, n mail.Name, before, after *mail.Domain, have ownCertificates) (s showing, err error) {
	var was *store.CertificateRow
	if before != nil {
		if was, err = certificateOf(ctx, tx, n.String()); err != nil {
			return s, err
		}
	}
	if s, err = m.certify(ctx, tx, by, before, after, was, have); err != nil {
		return s, err
	}
	return s, s.shown(ctx, tx, n, before, after)
}

// certificateOf is the certificate of a name; nil where there is none.
func certificateOf(ctx context.Context, tx *store.Tx, name string) (*store.CertificateRow, error) {
	c, found, err := tx.Certificate(ctx, name)
	if err != nil || !found {
		return nil, err
	}
	return &c, nil
}

// settle writes the rows of a certificate once those of its domain are written, and
// adds the files to what the change does: before those of a domain that stands, for
// data goes before the gate; after those of one that goes.
func (s *showing) settle(ctx context.Context, tx *store.Tx, l files.Layout, d *deed, stands bool) error {
	if stands {
		if err := s.write(ctx, tx, d.domain); err != nil {
			return err
		}
	}
	plan, err := s.plan(ctx, tx, l, d.domain)
	if err != nil {
		return err
	}
	if s.lists != nil {
		d.shown = append(d.shown, d.domain)
	}
	if stands {
		d.plan = append(plan, d.plan...)
	} else {
		d.plan = append(d.plan, plan...)
	}
	return nil
}

// write writes the rows of a certificate, and of its order. Those of the domain are
// written already.
func (s *showing) write(ctx context.Context, tx *store.Tx, n mail.Name) error {
	if s.is == s.was && s.order == nil && !s.drop {
		return nil
	}
	if s.is != nil && s.is != s.was {
		if err := tx.PutCertificate(ctx, *s.is); err != nil {
			return fmt.Errorf("keep the certificate of %s: %w", n, err)
		}
	}
	if s.order != nil {
		return tx.PutOrder(ctx, *s.order)
	}
	if s.drop {
		if err := tx.DropOrder(ctx, n.String()); err != nil {
			return err
		}
	}
	return tx.RenewServed(ctx, n)
}
