package module

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"slices"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A showing is what a change makes of the certificate of a mail domain. It is worked
// out before anything is written.
type showing struct {
	was, is *store.CertificateRow // nil: none
	order   *store.OrderRow       // to be written down; nil: none
	drop    bool                  // an order that stands is not wanted any more
	lists   *servedLists          // nil: what is served does not change
}

// How long certificates that nobody vouches for are made to last, and how much of that
// is left when another takes the place of one.
const (
	selfSignedLasts = 2 * 365 * 24 * time.Hour
	selfSignedLeft  = 30 * 24 * time.Hour
)

// certify decides which certificate a domain is to show as it is to be: in the change
// itself, so that one is served at once. was is what it has. Where a domain comes to
// an owner who lacks the certificate that it had, it gets one that nobody vouches for.
func (m *Module) certify(ctx context.Context, tx *store.Tx, by Actor, before, after *mail.Domain, was *store.CertificateRow, have ownCertificates) (s showing, err error) {
	s.was = was
	switch {
	case after == nil:
		return s, nil
	case !after.Secure: // it stays, to be used again
		s.is, s.drop = was, before != nil && before.Secure
		return s, nil
	case before != nil && was != nil && before.Secure && sameCertificate(*before, *after):
		s.is = was
		return s, nil
	}
	if by.Level != mail.LevelAdmin && (before == nil || !before.Secure || before.Owner != after.Owner || !slices.Equal(before.SecureAlias, after.SecureAlias)) {
		if err := ownNames(ctx, tx, *after); err != nil {
			return s, err
		}
	}
	passed := before == nil && was != nil || before != nil && before.Owner != after.Owner && before.SSLName == after.SSLName
	if after.SSLName == mail.SelfSigned || after.SSLName == mail.LetsEncrypt {
		s.drop = after.SSLName == mail.SelfSigned
		if after.SSLName == mail.LetsEncrypt {
			err = s.authorise(ctx, tx, before, *after)
		} else {
			err = s.selfSign(tx.Now, *after)
		}
	} else {
		s.drop = true
		err = s.bring(tx.Now, *after, have, passed && before == nil)
		if e, is := errors.AsType[*mail.Error](err); is && e.Field == "ssl_name" && passed {
			after.SSLName = mail.SelfSigned
			err = s.selfSign(tx.Now, *after)
		}
	}
	if err != nil {
		return s, err
	}
	s.is.Name, s.is.Lacks = after.Name.String(), lacking(s.is, after.SecureAlias)
	if before != nil && before.Secure {
		s.remember(tx.Now, after.SecureAlias)
	}
	return s, nil
}

// sameCertificate says that two states of a domain want the same certificate.
func sameCertificate(a, b mail.Domain) bool {
	if a.SSLName == mail.LetsEncrypt && a.SSLChallenge != b.SSLChallenge {
		return false
	}
	return a.Owner == b.Owner && a.SSLName == b.SSLName && slices.Equal(a.SecureAlias, b.SecureAlias)
}

// ownNames refuses names that lie in another owner's mail domain.
func ownNames(ctx context.Context, tx *store.Tx, d mail.Domain) error {
	for _, n := range d.SecureAlias {
		owner, err := tx.OwnerOver(ctx, n)
		if err != nil {
			return err
		}
		if owner != "" && owner != d.Owner && n != d.Name {
			return &mail.Error{Kind: mail.Invalid, Field: "secure_alias", Value: n.String(), Text: "value_secure_alias_taken"}
		}
	}
	return nil
}

// covers says that a certificate can be shown for names now and for some time.
func covers(c *store.CertificateRow, names []mail.Name, now time.Time) bool {
	if c == nil {
		return false
	}
	chain, err := mail.ParseChain(c.Chain)
	until := now
	if c.Source == mail.SelfSigned {
		until = now.Add(selfSignedLeft)
	}
	return err == nil && chain.CoversAll(names) && chain.NotAfter.After(until)
}

// lacking are the names that a certificate is not for.
func lacking(c *store.CertificateRow, names []mail.Name) []mail.Name {
	chain, err := mail.ParseChain(c.Chain)
	return slices.DeleteFunc(sortedNames(names), func(n mail.Name) bool { return err == nil && chain.Covers(n) })
}

// vouches says that a certificate is of an authority, and good for some of names: it is
// shown for these while another is ordered.
func vouches(c *store.CertificateRow, names []mail.Name, now time.Time) bool {
	if c == nil || c.Source != mail.LetsEncrypt {
		return false
	}
	chain, err := mail.ParseChain(c.Chain)
	return err == nil && chain.NotAfter.After(now) && slices.ContainsFunc(names, chain.Covers)
}

// selfSign keeps a certificate that the server made, or makes one.
func (s *showing) selfSign(now time.Time, d mail.Domain) error {
	if s.was != nil && s.was.Source == mail.SelfSigned && covers(s.was, d.SecureAlias, now) {
		s.is = keep(s.was)
		return nil
	}
	c, err := selfSigned(s.was, d.SecureAlias, now)
	s.is = &store.CertificateRow{Certificate: c, Source: mail.SelfSigned}
	return err
}

// selfSigned makes a certificate, with the key of was where that is our own.
func selfSigned(was *store.CertificateRow, names []mail.Name, now time.Time) (mail.Certificate, error) {
	until := now.Add(selfSignedLasts).Truncate(time.Second)
	if key := ownKey(was); key != nil {
		return mail.SelfSignWith(key, names, now, until)
	}
	return mail.SelfSign(names, now, until)
}

// ownKey is the key of a certificate where the server made it; nil: it is another's, or
// there is none.
func ownKey(c *store.CertificateRow) []byte {
	if c == nil || c.Source != mail.SelfSigned && c.Source != mail.LetsEncrypt {
		return nil
	}
	k, err := mail.ParseKey(c.Key)
	if _, is := k.(*ecdsa.PrivateKey); err != nil || !is {
		return nil
	}
	return c.Key
}

// keep is a certificate that goes on as it is, with nothing said against it.
func keep(was *store.CertificateRow) *store.CertificateRow {
	is := *was
	is.Problem = ""
	return &is
}

// authorise uses a certificate of an authority that there is, or has one ordered and
// meanwhile shows what covers the names; one of an authority also where it covers some.
func (s *showing) authorise(ctx context.Context, tx *store.Tx, before *mail.Domain, d mail.Domain) error {
	if s.was != nil && s.was.Source == mail.LetsEncrypt && covers(s.was, d.SecureAlias, tx.Now) && (s.was.Renew.IsZero() || s.was.Renew.After(tx.Now)) {
		s.is, s.drop = keep(s.was), true
		return nil
	}
	again, err := reusable(ctx, tx, d, d.SecureAlias, s.was)
	if err != nil {
		return err
	}
	if again != nil {
		s.is, s.drop = &store.CertificateRow{Certificate: again.Certificate, Source: mail.LetsEncrypt, Renew: again.Renew, Ask: again.Ask}, true
		return nil
	}
	if covers(s.was, d.SecureAlias, tx.Now) || vouches(s.was, d.SecureAlias, tx.Now) {
		s.is = keep(s.was)
	} else {
		c, err := selfSigned(s.was, d.SecureAlias, tx.Now)
		if err != nil {
			return err
		}
		s.is = &store.CertificateRow{Certificate: c, Source: mail.SelfSigned}
	}
	same := before != nil && before.Secure && sameCertificate(*before, d)
	s.order, err = wantedOrder(ctx, tx, d.Name.String(), d.SecureAlias, same)
	return err
}

// afterFailure is how long an order for names waits that an authority has counted a
// failure for, though somebody changed what it is to be.
const afterFailure = time.Hour

// wantedOrder is the order for a certificate as it is to be written down; nil where it
// stands already. With same nothing of what it follows from has changed.
func wantedOrder(ctx context.Context, tx *store.Tx, domain string, names []mail.Name, same bool) (*store.OrderRow, error) {
	o := store.OrderRow{Domain: domain, Names: sortedNames(names), Since: tx.Now, Due: tx.Now}
	stands, found, err := tx.Order(ctx, domain)
	if err != nil {
		return nil, err
	}
	if found && same && slices.Equal(stands.Names, o.Names) {
		return nil, nil
	}
	if slices.Equal(stands.Names, o.Names) { // what is begun can be proved in another way too
		o.Directory, o.URL, o.Key = stands.Directory, stands.URL, stands.Key
	}
	if stands.Kind == string(acme.RateLimited) && stands.Due.After(tx.Now) {
		o.Due = stands.Due
	}
	for _, failed := range [][]mail.Name{o.Names, stands.Names} {
		if len(failed) == 0 {
			continue
		}
		lately, err := tx.FailedLately(ctx, failed, tx.Now.Add(-afterFailure))
		if err != nil {
			return nil, err
		}
		if lately {
			o.Due = later(o.Due, tx.Now.Add(afterFailure))
		}
	}
	if o.Due.After(tx.Now) && found { // and it is said why it waits
		if stands.Due.After(tx.Now) {
			o.Due = stands.Due
		}
		o.Failures, o.Kind, o.Text, o.Args, o.Detail = stands.Failures, stands.Kind, stands.Text, stands.Args, stands.Detail
	}
	return &o, nil
}

// bring shows a certificate that the owner has in the panel. With kept the one that the
// domain has will do, if it is that.
func (s *showing) bring(now time.Time, d mail.Domain, have ownCertificates, kept bool) error {
	if kept && s.was.Source == d.SSLName && covers(s.was, d.SecureAlias, now) {
		s.is = keep(s.was)
		return nil
	}
	c, err := have.of(d.Owner, d.SSLName)
	if err != nil {
		return err
	}
	for _, n := range d.SecureAlias {
		if !c.chain.Covers(n) {
			return &mail.Error{Kind: mail.Invalid, Field: "ssl_name", Value: string(d.SSLName), Text: "value_ssl_name_covers", Args: map[string]string{"name": n.Unicode()}}
		}
	}
	s.is = &store.CertificateRow{Certificate: c.certificate, Source: d.SSLName}
	return nil
}
