package module

import (
	"context"
	"fmt"
	"slices"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// An SSL is a domain's certificate as a form or a list shows it, without private keys.
type SSL struct {
	Domain      mail.Domain          // zero: it is the mail server's own
	Certificate store.CertificateRow // its chain is empty where there is none
	Order       *store.OrderRow      // nil: none is wanted
	Findings    []store.Finding      // of what the mail servers showed when they were asked last
	Choices     []string             // of sources: selfsigned, letsencrypt and the certificates that the owner has in the panel
	Counts      store.OrderCounts    // at the authority of the settings
}

// read reads what the database has of the certificate of a name.
func (s *SSL) read(ctx context.Context, tx *store.Tx, name string, names []mail.Name, set mail.Settings) error {
	c, err := certificateOf(ctx, tx, name)
	if err != nil {
		return err
	}
	if c != nil {
		c.Key, c.Before = nil, mail.Certificate{}
		switch s.Certificate = *c; {
		case c.Source == mail.SelfSigned || s.Domain.SSLName == mail.SelfSigned:
			s.Certificate.Renew = c.Expire.Add(-selfSignedLeft)
		case c.Source != mail.LetsEncrypt || !s.Domain.Name.IsZero() && s.Domain.SSLName != mail.LetsEncrypt: // another is to follow, or none
			s.Certificate.Renew = time.Time{}
		}
	}
	o, found, err := tx.Order(ctx, name)
	if err != nil {
		return err
	}
	if found {
		o.Key = nil
		s.Order = &o
	}
	if len(names) == 0 {
		names = certificateNames(c)
	}
	if s.Counts, err = tx.OrderCounts(ctx, set.ACME.Directory, sortedNames(names)); err != nil {
		return err
	}
	fs, err := tx.FindingsOf(ctx, mail.StoredName(name))
	for _, f := range fs {
		if f.Why == mail.ForTLS {
			s.Findings = append(s.Findings, f)
		}
	}
	return err
}

// DomainSSL is the certificate of the mail domain elid.
func (m *Module) DomainSSL(ctx context.Context, by Actor, elid string) (s SSL, err error) {
	if s.Domain, _, err = m.find(ctx, by, elid); err != nil {
		return s, err
	}
	set, err := m.Settings(ctx)
	if err != nil {
		return s, err
	}
	if err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.read(ctx, tx, s.Domain.Name.String(), s.Domain.SecureAlias, set)
	}); err != nil {
		return s, fmt.Errorf("read the certificate of %s: %w", s.Domain.Name, err)
	}
	s.Choices = m.sslChoices(ctx, s.Domain.Owner)
	return s, nil
}

// sslChoices are the sources that an owner's domains can have certificates from.
func (m *Module) sslChoices(ctx context.Context, owner string) []string {
	own := []string{string(mail.SelfSigned), string(mail.LetsEncrypt)}
	return append(own, slices.DeleteFunc(slices.Clone(m.panelCertificates(ctx, owner)), func(n string) bool { return slices.Contains(own, n) })...)
}

const sslFunction = "emaildomain.ssl"

// EditSSL changes what e says of certificates for each of some mail domains; with renew
// each gets a new one as soon as can be, from where it comes from.
func (m *Module) EditSSL(ctx context.Context, by Actor, elids []string, e mail.DomainEdit, renew bool) ([]Outcome, error) {
	e = mail.DomainEdit{Secure: e.Secure, SecureAlias: e.SecureAlias, SSLName: e.SSLName, SSLChallenge: e.SSLChallenge, Email: e.Email}
	return m.all(ctx, by, elids, func(elid string) error {
		had, err := m.fingerprint(ctx, elid)
		if err != nil {
			return err
		}
		n, err := m.editDomain(ctx, by, sslFunction, elid, e)
		if err != nil || !renew {
			return err
		}
		return m.renewNow(ctx, by, n, had)
	})
}

// fingerprint is that of the certificate of the mail domain elid, empty where there is
// none.
func (m *Module) fingerprint(ctx context.Context, elid string) (f string, err error) {
	n, err := mail.ParseName(elid)
	if err != nil { // whoever is to change it says so
		return "", nil
	}
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		f, err = tx.Fingerprint(ctx, n.String())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the certificate of %s: %w", n, err)
	}
	return f, nil
}

// renewNow has a domain get another certificate than it had, if it shows one.
func (m *Module) renewNow(ctx context.Context, by Actor, n mail.Name, had string) error {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return err
	}
	by.about = "renewal of " + n.String()
	fetch := false
	err = m.recertify(ctx, by, sslFunction, n, func(ctx context.Context, tx *store.Tx, d *mail.Domain, was *store.CertificateRow) (*store.CertificateRow, error) {
		switch {
		case d == nil || !scope.Has(d.Owner):
			return nil, missed(n.String())
		case d.SSLName == mail.LetsEncrypt:
			tx.Aside()
			return was, orderNow(ctx, tx, n.String(), d.SecureAlias)
		case d.SSLName == mail.SelfSigned:
			if was != nil && was.Source == mail.SelfSigned && fingerprintOf(was) != had {
				return was, nil // the same call made it
			}
			if err := maySignAnew(was, tx.Now); err != nil {
				return nil, err
			}
			c, err := selfSigned(was, d.SecureAlias, tx.Now)
			return &store.CertificateRow{Certificate: c, Source: mail.SelfSigned}, err
		}
		fetch = true
		return was, nil
	})
	if err != nil || !fetch || by.Preview != nil {
		return err
	}
	var d mail.Domain
	if d, _, err = m.find(ctx, by, n.String()); err != nil {
		return err
	}
	c, err := m.ownCertificate(ctx, d.Owner, d.SSLName)
	if err != nil {
		return err
	}
	return m.followOne(ctx, n, store.PanelCertificate{Owner: d.Owner, Name: d.SSLName}, c)
}

// signedAgain is how old a certificate is at least that is made anew by hand: Dovecot is
// to be told of each, which everybody notices who logs in.
const signedAgain = time.Hour

// maySignAnew refuses to make a certificate again that was just made.
func maySignAnew(was *store.CertificateRow, now time.Time) error {
	if was == nil || was.Source != mail.SelfSigned {
		return nil
	}
	at := was.Expire.Add(signedAgain - selfSignedLasts)
	if !now.Before(at) {
		return nil
	}
	return &mail.Error{Kind: mail.Busy, Field: "renew", Text: "busy_ssl_signed", Args: map[string]string{"at": at.UTC().Format("2006-01-02 15:04 UTC")}}
}

// certificateNames are the host names in a certificate; nil is in none.
func certificateNames(c *store.CertificateRow) []mail.Name {
	if c == nil {
		return nil
	}
	return chainNames(c)
}

// orderNow has a certificate ordered that may be good still, unless a limit of the
// authority's is known to be used up.
func orderNow(ctx context.Context, tx *store.Tx, name string, names []mail.Name) error {
	tx.Aside()
	if err := mayOrder(ctx, tx, name, names); err != nil {
		return err
	}
	if was, err := certificateOf(ctx, tx, name); err != nil {
		return err
	} else if was != nil && was.Source == mail.LetsEncrypt {
		if err := tx.SetRenewal(ctx, *was, tx.Now, was.Ask); err != nil {
			return err
		}
	}
	o, found, err := tx.Order(ctx, name)
	if err != nil {
		return err
	}
	if !found || !slices.Equal(o.Names, sortedNames(names)) {
		o = store.OrderRow{Domain: name, Names: sortedNames(names), Since: tx.Now}
	}
	if o.Step == "" { // else it is under way
		o.Due = tx.Now
	}
	return tx.PutOrder(ctx, o)
}
