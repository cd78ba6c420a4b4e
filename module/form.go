package module

import (
	"context"
	"fmt"
	"net/netip"

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
	}
	if by.Level == mail.LevelUser {
		return f, nil
	}
	f.Owners, err = m.Owners(ctx, by)
	return f, err
}
