package module

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"maildomain/module/mail"
)

// A DomainForm is what the form of a mail domain shows.
type DomainForm struct {
	New    bool
	Domain mail.Domain
	Edit   mail.DomainEdit // what was typed and is not saved
	Owners []string        // that the actor may choose; nil for level user
	IPs    []netip.Addr    // of the owner
	MaySSL bool

	Certificates []string // that the owner has in the panel

	Filters mail.Filters // that there are
}

// OpenDomain is the form of the mail domain elid, or of a new one where elid is
// empty. With e it is the form as it would be with those values in it; wrong ones
// are left for saving to refuse.
func (m *Module) OpenDomain(ctx context.Context, by Actor, elid string, e mail.DomainEdit) (DomainForm, error) {
	f := DomainForm{New: elid == "", Edit: e}
	var scope mail.Scope
	var err error
	if f.Filters, err = m.Filters(ctx); err != nil {
		return f, err
	}
	if f.New {
		if scope, err = m.scope(ctx, by); err != nil {
			return f, err
		}
		n, _ := mail.ParseName(e.Name) // no name yet: what depends on it stays empty
		f.Domain = mail.NewDomain(n, by.User)
	} else if f.Domain, scope, err = m.find(ctx, by, elid); err != nil {
		return f, err
	}
	owner := f.Domain.Owner
	if e.Owner != nil && *e.Owner != "" && scope.Has(*e.Owner) {
		owner = *e.Owner
	}
	u, found, err := m.panel.User(ctx, owner)
	if err != nil {
		return f, fmt.Errorf("ask for user %s: %w", owner, err)
	}
	if found {
		f.IPs, f.MaySSL = u.IPs, u.MaySSL()
		f.Certificates = m.panelCertificates(ctx, owner)
	}
	if by.Level == mail.LevelUser {
		return f, nil
	}
	f.Owners, err = m.Owners(ctx, by)
	return f, err
}

// Now is the instant that what is shown is old or new at.
func (m *Module) Now() time.Time { return m.db.Now() }

// choicesLimit is how long a form waits for the panel to say which certificates
// there are: it can do without.
const choicesLimit = 2 * time.Second

// panelCertificates are the names of the certificates that an owner has in the panel;
// none where the panel does not say.
func (m *Module) panelCertificates(ctx context.Context, owner string) []string {
	if m.panel.Certificates == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, choicesLimit)
	defer cancel()
	names, err := m.panel.Certificates(ctx, owner)
	if err != nil {
		m.log.Warn().Err(err).Str("owner", owner).Msg("the panel does not say which certificates there are")
	}
	return names
}
