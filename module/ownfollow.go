package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// ownFollowed is how certificates are followed that owners have in the panel.
type ownFollowed struct {
	doubt atomic.Bool  // they may be others, or domains lack one
	due   atomic.Int64 // to be looked at without doubt, ms since 1970
	after atomic.Int64 // the panel is not asked before then, ms since 1970
}

const (
	ownFollowedEvery = 24 * time.Hour
	ownFollowedAgain = 10 * time.Minute // where it did not work for one of them
	furnishedAtOnce  = 64
	followedFunction = "emaildomain.ssl.follow"
)

// ErrRefused is in the error of a question that the panel answered with an error, or
// with what is no answer: it says nothing about the next question.
var ErrRefused = errors.New("the panel refuses that")

// errAway is the error of a question that the panel cannot be asked at all just now.
type errAway struct{ error }

func (e errAway) Unwrap() error { return e.error }

func away(err error) bool {
	_, is := errors.AsType[errAway](err)
	return is
}

// What can be said of a certificate of the panel's that is served. Each names a sentence.
const (
	problemGone   = "ssl_gone"   // the panel has it no more
	problemUnfit  = "ssl_unfit"  // what the panel has cannot be served
	problemCovers = "ssl_covers" // what the panel has is not for all names
)

// FollowCertificates fetches the certificates that owners have in the panel, where they
// may have become others, and once a day; and makes those that domains lack. What is
// gone is noted, and served until it ends.
func (m *Module) FollowCertificates(ctx context.Context) error {
	now := m.db.Now()
	f := &m.certificates
	if now.UnixMilli() < f.after.Load() || !f.doubt.Swap(false) && now.UnixMilli() < f.due.Load() {
		return nil
	}
	heard := m.spoken.Load()
	err := m.furnishCertificates(ctx)
	if !away(err) {
		err = errors.Join(err, m.followOwn(ctx))
	}
	switch {
	case away(err) || ctx.Err() != nil:
		f.doubt.Store(true)
		m.restFrom(&f.after, now, heard)
	case err != nil:
		f.due.Store(now.Add(ownFollowedAgain).UnixMilli())
	default:
		f.due.Store(now.Add(ownFollowedEvery).UnixMilli())
	}
	return err
}

// furnishCertificates makes the certificates that domains are to have and have not: of
// those from before there were any. One that cannot be made keeps no other waiting,
// unless the panel is away.
func (m *Module) furnishCertificates(ctx context.Context) (failed error) {
	var last mail.Name
	for {
		var lacking []mail.Name
		err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			lacking, err = tx.DomainsWithoutCertificate(ctx, last, furnishedAtOnce)
			return err
		})
		if err != nil || len(lacking) == 0 {
			return errors.Join(failed, err)
		}
		for _, last = range lacking {
			err := m.furnishCertificate(ctx, last)
			switch {
			case errors.Is(err, files.ErrManyCertificates): // the others wait until there is room
				m.log.Warn().Err(err).Str("domain", last.String()).Msg("a domain that is to have a certificate gets none")
				return failed
			case err != nil:
				failed = errors.Join(failed, fmt.Errorf("make a certificate for %s: %w", last, err))
			}
			if away(err) || ctx.Err() != nil {
				return failed
			}
		}
	}
}

func (m *Module) furnishCertificate(ctx context.Context, n mail.Name) error {
	return m.withCertificates(ctx, func(have ownCertificates) error {
		return m.recertify(ctx, itself, followedFunction, n, func(ctx context.Context, tx *store.Tx, d *mail.Domain, was *store.CertificateRow) (*store.CertificateRow, error) {
			if d == nil || was != nil {
				return was, nil
			}
			s, err := m.certify(ctx, tx, itself, nil, d, nil, have)
			if e, is := errors.AsType[*mail.Error](err); is && e.Field == "ssl_name" {
				err = s.selfSign(tx.Now, *d)
				s.is.Problem = problemGone
			}
			if err == nil && s.order != nil {
				err = tx.PutOrder(ctx, *s.order)
			}
			return s.is, err
		})
	})
}

// followOwn has domains show the certificates of their owners as the panel has them. One
// that fails keeps no other waiting, unless the panel is away.
func (m *Module) followOwn(ctx context.Context) (failed error) {
	if m.panel.Certificate == nil {
		return nil
	}
	var all []store.PanelCertificate
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = tx.PanelCertificates(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range all {
		if err := ctx.Err(); err != nil {
			return errors.Join(failed, err)
		}
		c, err := m.ownCertificate(ctx, p.Owner, p.Name)
		if err != nil {
			failed = errors.Join(failed, err)
			if away(err) {
				return failed
			}
			continue
		}
		for _, n := range p.Domains {
			if err := m.followOne(ctx, n, p, c); err != nil {
				failed = errors.Join(failed, fmt.Errorf("bring the certificate of %s up to date: %w", n, err))
			}
		}
	}
	return failed
}

// followOne has a domain show its certificate as the panel has it.
func (m *Module) followOne(ctx context.Context, n mail.Name, p store.PanelCertificate, c ownCertificate) error {
	var d *mail.Domain
	var was *store.CertificateRow
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if d, err = domain(ctx, tx, n); err != nil || d == nil {
			return err
		}
		was, err = certificateOf(ctx, tx, n.String())
		return err
	})
	if err != nil || d == nil || was == nil || !d.Secure || d.Owner != p.Owner || d.SSLName != p.Name {
		return err
	}
	problem := ""
	switch {
	case c.err != nil:
		problem = problemUnfit
		if e, is := errors.AsType[*mail.Error](c.err); is && e.Text == "value_ssl_name" {
			problem = problemGone
		}
	case !c.chain.CoversAll(d.SecureAlias):
		problem = problemCovers
	case was.Source != p.Name || !bytes.Equal(was.Chain, c.certificate.Chain):
		if refused, err := m.refused(ctx, n, c.chain.Fingerprint); err != nil || refused && was.Expire.After(m.db.Now()) {
			return err
		}
		if err := m.install(ctx, itself, followedFunction, n, c.certificate, p.Name, acme.Renewal{}); err != nil {
			return err
		}
	}
	if problem != was.Problem {
		if err := m.noteProblem(ctx, n, problem); err != nil {
			return err
		}
	}
	if problem == "" || was.Expire.After(m.db.Now()) {
		return nil
	}
	return m.recertify(ctx, itself, followedFunction, n, func(_ context.Context, tx *store.Tx, d *mail.Domain, was *store.CertificateRow) (*store.CertificateRow, error) {
		if d == nil || was == nil || was.Expire.After(tx.Now) || d.SSLName != p.Name {
			return was, nil
		}
		fresh, err := selfSigned(was, d.SecureAlias, tx.Now)
		return &store.CertificateRow{Certificate: fresh, Source: mail.SelfSigned, Problem: problem}, err
	})
}

func (m *Module) noteProblem(ctx context.Context, n mail.Name, problem string) error {
	return m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.NoteCertificate(ctx, n.String(), problem)
	})
}
