package module

import (
	"context"
	"errors"
	"fmt"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// AddDomain makes a mail domain and returns its name.
func (m *Module) AddDomain(ctx context.Context, by Actor, e mail.DomainEdit) (mail.Name, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return mail.Name{}, err
	}
	if e.Name == "" {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "name", Text: "value_name_required"}
	}
	n, err := mail.ParseName(e.Name)
	if err != nil {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_name"}
	}
	facts := mail.Facts{Actor: by.Level}
	var set mail.Settings
	if facts.Params, set, err = m.params(ctx); err != nil {
		return mail.Name{}, err
	}
	if err := mail.CheckNew(n, facts.Params); err != nil {
		return mail.Name{}, err
	}
	owner := by.User
	if e.Owner != nil && *e.Owner != "" {
		owner = *e.Owner
	}
	if facts.Owner, err = m.owner(ctx, scope, owner); err != nil {
		return mail.Name{}, err
	}
	d := mail.NewDomain(n, owner)
	d.DKIMSelector, d.DKIMKeylen, d.MailRate = set.DKIMSelector, set.DKIMKeylen, facts.Owner.MailRate()
	if err := e.Apply(&d, facts); err != nil {
		return mail.Name{}, err
	}
	return n, m.changeDomain(ctx, by, "emaildomain.edit", n, func(ctx context.Context, tx *store.Tx, before *mail.Domain) (*mail.Domain, error) {
		if before != nil {
			return nil, &mail.Error{Kind: mail.Exists, Field: "name", Value: e.Name}
		}
		if err := room(ctx, tx, facts.Owner, d); err != nil {
			return nil, err
		}
		if by.Level != mail.LevelAdmin {
			near, err := tx.OtherOwnerNear(ctx, n, owner)
			if err != nil {
				return nil, err
			}
			if near {
				return nil, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_name_near"}
			}
		}
		return &d, circle(ctx, tx, d)
	})
}

// EditDomain changes the mail domain elid. A name in e that is not the domain's
// own is refused: a name is fixed.
func (m *Module) EditDomain(ctx context.Context, by Actor, elid string, e mail.DomainEdit) (mail.Name, error) {
	return m.editDomain(ctx, by, "emaildomain.edit", elid, e)
}

func (m *Module) editDomain(ctx context.Context, by Actor, function, elid string, e mail.DomainEdit) (mail.Name, error) {
	d, scope, err := m.find(ctx, by, elid)
	if err != nil {
		return mail.Name{}, err
	}
	if e.Name != "" {
		if n, err := mail.ParseName(e.Name); err != nil || n != d.Name {
			return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_name_fixed"}
		}
	}
	was, owner := d.Owner, d.Owner
	if e.Owner != nil && *e.Owner != "" {
		owner = *e.Owner
	}
	facts := mail.Facts{Actor: by.Level}
	if facts.Owner, err = m.ownerAs(ctx, scope, owner, was); err != nil {
		return mail.Name{}, err
	}
	if facts.Params, _, err = m.params(ctx); err != nil {
		return mail.Name{}, err
	}
	return d.Name, m.changeDomain(ctx, by, function, d.Name, func(ctx context.Context, tx *store.Tx, before *mail.Domain) (*mail.Domain, error) {
		switch {
		case before == nil || !scope.Has(before.Owner):
			return nil, missed(elid)
		case before.Owner != was: // changed since we asked for the owner's limits
			return nil, &mail.Error{Kind: mail.Busy, Field: "elid", Value: elid}
		}
		after := *before
		if owner != was {
			if err := moveTo(ctx, tx, &after, facts.Owner, by); err != nil {
				return nil, err
			}
		}
		if err := e.Apply(&after, facts); err != nil {
			return nil, err
		}
		if owner != was && after.Secure && !facts.Owner.MaySSL() {
			return nil, &mail.Error{Kind: mail.Limit, Field: "ssl", Text: "limit_ssl"}
		}
		if after.Redirval != before.Redirval {
			if err := circle(ctx, tx, after); err != nil {
				return nil, err
			}
		}
		return &after, nil
	})
}

// moveTo gives a domain to another owner, whose limits hold from now on.
func moveTo(ctx context.Context, tx *store.Tx, d *mail.Domain, to mail.User, by Actor) error {
	if err := room(ctx, tx, to, *d); err != nil {
		return err
	}
	if d.IP.IsValid() && !to.HasIP(d.IP) {
		d.UseAnyIP()
	}
	if by.Level != mail.LevelAdmin {
		near, err := tx.OtherOwnerNear(ctx, d.Name, to.Name)
		if err != nil {
			return err
		}
		if near {
			return &mail.Error{Kind: mail.Invalid, Field: "owner", Value: to.Name, Text: "value_name_near"}
		}
	}
	d.Owner, d.MailRate = to.Name, to.MailRate()
	return nil
}

// owner is the user that a domain is to belong to: one that the actor may see.
func (m *Module) owner(ctx context.Context, scope mail.Scope, name string) (mail.User, error) {
	wrong := &mail.Error{Kind: mail.Invalid, Field: "owner", Value: name, Text: "value_owner"}
	if !scope.Has(name) {
		return mail.User{}, wrong
	}
	u, found, err := m.panel.User(ctx, name)
	switch {
	case err != nil:
		return mail.User{}, fmt.Errorf("ask for user %s: %w", name, err)
	case !found:
		return mail.User{}, wrong
	}
	return u, nil
}

// ownerAs is owner, but for a domain that stays with an owner who is no longer
// there: that one has no addresses and no rights.
func (m *Module) ownerAs(ctx context.Context, scope mail.Scope, name, was string) (mail.User, error) {
	u, err := m.owner(ctx, scope, name)
	if e, ok := errors.AsType[*mail.Error](err); ok && e.Field == "owner" && name == was {
		return mail.User{Name: name, Limits: map[string]int64{"ssl": 0}}, nil
	}
	return u, err
}

// room holds an owner to what its plan allows of domains, and of the mailboxes that
// come with one: d counts them.
func room(ctx context.Context, tx *store.Tx, owner mail.User, d mail.Domain) error {
	have, err := tx.CountOf(ctx, owner.Name)
	if err != nil {
		return err
	}
	if most, limited := owner.Limit("email_quota"); limited && d.Mailboxes > 0 {
		unlimited, err := tx.UnlimitedMailboxes(ctx, d.Name)
		if err != nil {
			return err
		}
		if unlimited {
			return limitError("email_quota", most)
		}
	}
	for _, l := range []struct {
		name       string
		have, more int64
	}{
		{"emaildomains", have.Emaildomains, 1}, {"emails", have.Emails, d.Mailboxes}, {"email_quota", have.Quota, d.Quota},
	} {
		if most, limited := owner.Limit(l.name); limited && l.more > 0 && l.have+l.more > most {
			return limitError(l.name, most)
		}
	}
	return nil
}

// farthest is how many domains mail may be handed through by default actions.
const farthest = 20

// circle refuses a forward to a domain whose mail would come back.
func circle(ctx context.Context, tx *store.Tx, d mail.Domain) error {
	to := d.Redirval.Domain()
	for range farthest {
		if to.IsZero() {
			return nil
		}
		if to == d.Name {
			break
		}
		var err error
		if to, err = tx.ForwardsTo(ctx, to); err != nil {
			return err
		}
	}
	return &mail.Error{Kind: mail.Invalid, Field: "redirval", Value: d.Redirval.String(), Text: "value_redirval_circle"}
}
