package module

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

const (
	backAgain     = 2 * 24 * time.Hour         // when another may be tried after the one before was put back
	backOutlasted = backAgain + 2*24*time.Hour // what is put back lasts as long as that
)

// blames says that the servers cannot use the new certificate: TLS fails with it, or
// they go on with the one before. Who shows a third one reads something else than the
// module writes, and would with the one before too.
func (s *sight) blames() bool {
	if s.row == nil || s.row.Before.Name == "" {
		return false
	}
	chain, err := mail.ParseChain(s.row.Before.Chain)
	before := err == nil && s.shown[hex.EncodeToString(chain.Fingerprint[:])]
	for i, f := range s.findings {
		if s.wanted[i] != fingerprintOf(s.row) { // another domain's is shown for that name
			continue
		}
		if f.Verdict.Text == mail.CheckTLSHandshake || f.Verdict.Text == mail.CheckTLSOther && before {
			return true
		}
	}
	return false
}

// canGoBack says that the certificate before still does for all names, and for as long
// as it takes to try again.
func (s *sight) canGoBack(now time.Time) bool {
	chain, err := mail.ParseChain(s.row.Before.Chain)
	return err == nil && chain.NotAfter.After(now.Add(backOutlasted)) && (s.domain == nil || chain.CoversAll(s.domain.SecureAlias)) &&
		hex.EncodeToString(chain.Fingerprint[:]) != fingerprintOf(s.row)
}

// back notes of every name that the certificate before was put back, which has this
// fingerprint, in the place of the one that was looked for.
func (s *sight) back(fingerprint string) {
	var ports, why string
	for _, f := range s.findings {
		if f.Verdict.State == mail.Wrong {
			ports, why = f.Verdict.Args["ports"], f.Verdict.Args["error"]
			if why == "" {
				why = errOther.Error()
			}
			break
		}
	}
	for i := range s.findings {
		s.findings[i].Verdict = mail.Say(mail.Wrong, mail.CheckTLSBack, "ports", ports, "error", why, "fingerprint", fingerprint, "refused", fingerprintOf(s.row))
	}
}

// refused says that a certificate was served for a domain and gave way to the one
// before, which is served still: nobody is to try it again but a person.
func (m *Module) refused(ctx context.Context, n mail.Name, fingerprint [32]byte) (refused bool, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		is, err := tx.Fingerprint(ctx, n.String())
		if err != nil {
			return err
		}
		fs, err := tx.FindingsOf(ctx, n)
		for _, f := range fs {
			args := f.Verdict.Args
			refused = refused || f.Verdict.Text == mail.CheckTLSBack && args["refused"] == hex.EncodeToString(fingerprint[:]) && args["fingerprint"] == is
		}
		return err
	})
	return refused, err
}

// putBack has the certificate before served again. Another is ordered, or made, anew, but
// not before somebody had time to see to the servers: authorities count.
func (m *Module) putBack(ctx context.Context, s *sight) error {
	again := acme.Renewal{At: m.db.Now().Add(backAgain)}
	err := m.install(ctx, itself, "emaildomain.ssl.back", s.name, s.row.Before, s.row.BeforeSource, again)
	if err != nil {
		return fmt.Errorf("put the certificate before back: %w", err)
	}
	m.reloads.hurry(m.db.Now())
	var is *store.CertificateRow
	err = m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) (err error) {
		tx.Aside()
		if is, err = certificateOf(ctx, tx, s.name.String()); err != nil || is == nil || s.row.Source != mail.LetsEncrypt || is.Source == mail.LetsEncrypt {
			return err
		}
		if _, ordered, err := tx.Order(ctx, is.Name); ordered || err != nil {
			return err
		}
		return tx.PutOrder(ctx, store.OrderRow{Domain: is.Name, Names: sortedNames(shownFor(s.domain, s.row)), Since: tx.Now, Due: again.At})
	})
	if err != nil || is == nil || string(is.Chain) != string(s.row.Before.Chain) { // or something else took its place meanwhile
		return err
	}
	s.back(fingerprintOf(is))
	var v mail.Verdict
	for _, f := range s.findings {
		v = f.Verdict
	}
	m.log.Error().Str("domain", s.name.String()).Str("ports", v.Args["ports"]).Str("seen", v.Args["error"]).
		Msg("a new certificate could not be served; the one before was put back")
	return nil
}
