package module

import (
	"bytes"
	"context"
	"fmt"

	"maildomain/module/mail"
	"maildomain/module/store"
)

const serverSSLFunction = "email.toplevel.ssl.edit"

// ServerSSL is the certificate that is served where no other one fits. Only an
// administrator may see it.
func (m *Module) ServerSSL(ctx context.Context, by Actor) (s SSL, err error) {
	if by.Level != mail.LevelAdmin {
		return s, &mail.Error{Kind: mail.Access, Field: "level"}
	}
	set, err := m.Settings(ctx)
	if err != nil {
		return s, err
	}
	for _, n := range mail.ServerSSLNames {
		s.Choices = append(s.Choices, string(n))
	}
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.read(ctx, tx, mail.ServerCertificate, nil, set)
	})
	if err != nil {
		return s, fmt.Errorf("read the certificate of the mail server: %w", err)
	}
	return s, nil
}

// EditServerSSL changes it. One of an authority, or one that nobody vouches for, is for
// the mail server's own host name. Only an administrator may.
func (m *Module) EditServerSSL(ctx context.Context, by Actor, e mail.ServerSSLEdit) error {
	if by.Level != mail.LevelAdmin {
		return &mail.Error{Kind: mail.Access, Field: "level"}
	}
	p, _, err := m.params(ctx)
	if err != nil {
		return err
	}
	given, err := givenCertificate(e, m)
	if err != nil {
		return err
	}
	return m.change(ctx, by, serverSSLFunction, mail.ServerCertificate, func(ctx context.Context, tx *store.Tx) (*deed, error) {
		was, err := certificateOf(ctx, tx, mail.ServerCertificate)
		if err != nil {
			return nil, err
		}
		_, ordered, err := tx.Order(ctx, mail.ServerCertificate)
		if err != nil {
			return nil, err
		}
		source := serverSource(was, ordered)
		did := &deed{before: certificateText(nil, was)}
		did.before["ssl_name"] = string(source)
		if e.SSLName != nil && *e.SSLName != "" {
			source = mail.SSLName(*e.SSLName)
		}
		is := was
		switch source {
		case mail.GivenCertificate:
			if given != nil {
				is = &store.CertificateRow{Certificate: *given, Source: source}
			} else if was == nil || was.Source != mail.GivenCertificate {
				return nil, &mail.Error{Kind: mail.Invalid, Field: "certificate", Text: "value_certificate_pem"}
			}
		case mail.SelfSigned, mail.LetsEncrypt:
			host, err := mail.ParseName(p.MailHost)
			if err != nil {
				return nil, &mail.Error{Kind: mail.Invalid, Field: "ssl_name", Value: string(source), Text: "value_ssl_host"}
			}
			if is, err = serverCertificate(ctx, tx, source, host, was, e.Renew); err != nil {
				return nil, err
			}
		default:
			return nil, &mail.Error{Kind: mail.Invalid, Field: "ssl_name", Value: string(source), Text: "value_ssl_name"}
		}
		did.after = certificateText(nil, is)
		did.after["ssl_name"] = string(source)
		if source != mail.LetsEncrypt {
			if err := tx.DropOrder(ctx, mail.ServerCertificate); err != nil {
				return nil, err
			}
		}
		return m.serve(ctx, tx, did, was, is)
	})
}

// serve makes is the certificate of the mail server itself.
func (m *Module) serve(ctx context.Context, tx *store.Tx, did *deed, was, is *store.CertificateRow) (*deed, error) {
	if was == is || was != nil && is != nil && bytes.Equal(was.Chain, is.Chain) && was.Source == is.Source {
		if len(differences(did.before, did.after)) == 0 {
			return nil, nil
		}
		return did, nil
	}
	s := showing{was: was, is: is, drop: is.Source == mail.LetsEncrypt} // it is filled
	s.is.Name = mail.ServerCertificate
	if !restored(was, is) {
		s.remember(tx.Now, chainNames(is))
	}
	kept, err := tx.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var had mail.Certificate
	if was != nil && kept[tlsPlaced] != "" { // else what stands there may be somebody's from before us
		had = was.Certificate
	}
	own := mail.StoredName(mail.ServerCertificate)
	did.plan, did.shown = m.tree.Layout().CertificateChanges(had, is.Certificate), []mail.Name{own}
	return did, s.write(ctx, tx, own)
}

// givenCertificate is the certificate in an edit; nil where there is none.
func givenCertificate(e mail.ServerSSLEdit, m *Module) (*mail.Certificate, error) {
	text := func(s *string) []byte {
		if s == nil {
			return nil
		}
		return []byte(*s)
	}
	if len(text(e.Certificate))+len(text(e.Key)) == 0 || e.SSLName != nil && *e.SSLName != "" && *e.SSLName != string(mail.GivenCertificate) {
		return nil, nil
	}
	c, _, err := mail.ParseCertificate(text(e.Certificate), text(e.Key), m.db.Now())
	return &c, err
}

// serverSource is where the mail server's own certificate is to come from.
func serverSource(was *store.CertificateRow, ordered bool) mail.SSLName {
	switch {
	case ordered:
		return mail.LetsEncrypt
	case was == nil:
		return mail.SelfSigned
	}
	return was.Source
}

// serverWants says that the mail server's own certificate is to come from there.
func serverWants(ctx context.Context, tx *store.Tx, was *store.CertificateRow, source mail.SSLName) (bool, error) {
	_, ordered, err := tx.Order(ctx, mail.ServerCertificate)
	return serverSource(was, ordered) == source, err
}

// serverCertificate is the server's own certificate as it is to be at once: one of an
// authority is ordered meanwhile.
func serverCertificate(ctx context.Context, tx *store.Tx, source mail.SSLName, host mail.Name, was *store.CertificateRow, renew bool) (*store.CertificateRow, error) {
	fits := was != nil && was.Source == source && covers(was, []mail.Name{host}, tx.Now)
	switch {
	case source == mail.SelfSigned && fits && !renew:
		return was, nil
	case source == mail.SelfSigned:
		c, err := selfSigned(was, []mail.Name{host}, tx.Now)
		return &store.CertificateRow{Certificate: c, Source: source}, err
	case fits && !renew && was.Renew.After(tx.Now):
		return was, tx.DropOrder(ctx, mail.ServerCertificate)
	case renew:
		return was, orderNow(ctx, tx, mail.ServerCertificate, []mail.Name{host})
	}
	o, err := wantedOrder(ctx, tx, mail.ServerCertificate, []mail.Name{host}, true)
	if err == nil && o != nil {
		err = tx.PutOrder(ctx, *o)
	}
	return was, err
}
