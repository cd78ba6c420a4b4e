package module

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// AddMailbox makes a mailbox and returns its address.
func (m *Module) AddMailbox(ctx context.Context, by Actor, e mail.MailboxEdit) (mail.Address, error) {
	var none mail.Address
	d, scope, err := m.find(ctx, by, e.Domain)
	if err != nil {
		if x, ok := errors.AsType[*mail.Error](err); ok && x.Kind == mail.NotFound {
			err = &mail.Error{Kind: mail.Invalid, Field: "domainname", Value: e.Domain, Text: "value_domainname"}
		}
		return none, err
	}
	if e.Name == "" {
		return none, &mail.Error{Kind: mail.Invalid, Field: "name", Text: "value_box_required"}
	}
	local, _, whole := strings.Cut(e.Name, "@")
	if whole { // the address is as good
		if a, err := mail.ParseAddress(e.Name); err != nil || a.Domain != d.Name {
			return none, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_box"}
		}
	}
	name, ok := mail.ParseBoxName(local)
	if !ok {
		return none, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_box"}
	}
	if err := e.CheckPassword(true); err != nil {
		return none, err
	}
	b := mail.Mailbox{Domain: d.Name, Name: name, Active: true, Greylist: true, Spamassassin: true}
	if err := e.Apply(&b); err != nil {
		return none, err
	}
	owner, err := m.limits(ctx, d.Owner)
	if err != nil {
		return none, err
	}
	if b.Password, err = m.hash(ctx, *e.Passwd); err != nil {
		return none, err
	}
	at := target{elid: e.Name, of: b.Address(), scope: scope, owner: &owner}
	return b.Address(), m.changeMailbox(ctx, by, "email.edit", at, func(ctx context.Context, tx *store.Tx, before *mail.Mailbox) (*mail.Mailbox, error) {
		if before != nil {
			return nil, &mail.Error{Kind: mail.Exists, Field: "name", Value: e.Name}
		}
		b.PasswdAt = tx.Now
		return &b, nil
	})
}

// EditMailbox changes the mailbox elid. Name and domain in e that are not its own
// are refused: an address is fixed.
func (m *Module) EditMailbox(ctx context.Context, by Actor, elid string, e mail.MailboxEdit) (mail.Address, error) {
	b, d, scope, err := m.findMailbox(ctx, by, elid)
	if err != nil {
		return mail.Address{}, err
	}
	if e.Name != "" && !strings.EqualFold(e.Name, b.Name.String()) {
		if a, err := mail.ParseAddress(e.Name); err != nil || a != b.Address() {
			return mail.Address{}, &mail.Error{Kind: mail.Invalid, Field: "name", Value: e.Name, Text: "value_box_fixed"}
		}
	}
	if e.Domain != "" {
		if n, err := mail.ParseName(e.Domain); err != nil || n != b.Domain {
			return mail.Address{}, &mail.Error{Kind: mail.Invalid, Field: "domainname", Value: e.Domain, Text: "value_box_fixed"}
		}
	}
	if err := e.CheckPassword(false); err != nil {
		return mail.Address{}, err
	}
	var hash mail.PasswordHash
	if e.Passwd != nil && *e.Passwd != "" {
		if hash, err = m.hash(ctx, *e.Passwd); err != nil {
			return mail.Address{}, err
		}
	}
	owner, err := m.limits(ctx, d.Owner)
	if err != nil {
		return mail.Address{}, err
	}
	at := target{elid: elid, of: b.Address(), scope: scope, owner: &owner}
	return b.Address(), m.changeMailbox(ctx, by, "email.edit", at, func(ctx context.Context, tx *store.Tx, before *mail.Mailbox) (*mail.Mailbox, error) {
		if before == nil {
			return nil, missed(elid)
		}
		after := *before
		if err := e.Apply(&after); err != nil {
			return nil, err
		}
		if hash != "" {
			after.Password, after.PasswdAt = hash, tx.Now
		}
		return &after, nil
	})
}

// limits is the owner of a domain with its plan; one who is no longer there has no
// limits to fill.
func (m *Module) limits(ctx context.Context, name string) (mail.User, error) {
	u, found, err := m.panel.User(ctx, name)
	if err != nil {
		return u, fmt.Errorf("ask for user %s: %w", name, err)
	}
	if !found {
		u = mail.User{Name: name, Limits: map[string]int64{"emails": 0}}
	}
	return u, nil
}

// findMailbox is the mailbox that elid names, box@domain, its domain, and the actor's
// scope.
func (m *Module) findMailbox(ctx context.Context, by Actor, elid string) (b mail.Mailbox, d mail.Domain, scope mail.Scope, err error) {
	if scope, err = m.scope(ctx, by); err != nil {
		return b, d, scope, err
	}
	a, err := mail.ParseAddress(elid)
	if err != nil {
		return b, d, scope, missed(elid)
	}
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var found bool
		if d, found, err = tx.Domain(ctx, a.Domain); err == nil && (!found || !scope.Has(d.Owner)) {
			return missed(elid)
		}
		if err != nil {
			return err
		}
		if b, found, err = tx.Mailbox(ctx, a); err == nil && !found {
			err = missed(elid)
		}
		return err
	})
	return b, d, scope, err
}

// A target is the mailbox that a change is about.
type target struct {
	elid  string // as the caller named it
	of    mail.Address
	scope mail.Scope // of the actor
	owner *mail.User // of the domain, whose plan holds; nil: the change needs nothing that a plan limits
}

// changeMailbox is change for a mailbox. Decide gets it as it stands, nil where there
// is none, and returns it as it is to be, nil for gone.
func (m *Module) changeMailbox(ctx context.Context, by Actor, function string, at target,
	decide func(ctx context.Context, tx *store.Tx, before *mail.Mailbox) (after *mail.Mailbox, err error)) error {
	a := at.of
	return m.change(ctx, by, function, a.String(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
		d, err := domain(ctx, tx, a.Domain)
		switch {
		case err != nil:
			return nil, err
		case d == nil || !at.scope.Has(d.Owner):
			return nil, missed(at.elid)
		case at.owner != nil && d.Owner != at.owner.Name: // changed since we asked for the owner's limits
			return nil, &mail.Error{Kind: mail.Busy, Field: "elid", Value: at.elid}
		}
		boxes, err := tx.MailboxesOf(ctx, a.Domain)
		if err != nil {
			return nil, err
		}
		before := boxOf(boxes, a.Local)
		after, err := decide(ctx, tx, before)
		if err != nil {
			return nil, err
		}
		did := &deed{before: valuesOfBox(before), after: valuesOfBox(after)}
		if before != nil && after != nil && maps.Equal(did.before, did.after) && before.Password == after.Password {
			return nil, nil
		}
		if after != nil && at.owner != nil {
			if err := mayBe(ctx, tx, *after, before, *at.owner); err != nil {
				return nil, err
			}
		}
		switch {
		case before == nil:
			if err := m.vacateBox(ctx, tx, a); err != nil {
				return nil, err
			}
			did.made = append(did.made, a)
			err = tx.InsertMailbox(ctx, after)
		case after == nil:
			if err := m.bury(ctx, tx, by, did, store.Deleted{Object: a.String(), Name: a.Domain, Owner: d.Owner, Mailboxes: []mail.Mailbox{*before}}); err != nil {
				return nil, err
			}
			err = tx.DeleteMailbox(ctx, a)
		default:
			if before.Active && !after.Active || before.Password != after.Password {
				did.gone = append(did.gone, a.String())
			}
			err = tx.UpdateMailbox(ctx, after)
		}
		if err != nil {
			return nil, err
		}
		keys, err := tx.KeysOf(ctx, d.Name)
		if err != nil {
			return nil, err
		}
		did.plan, err = m.tree.Layout().Plan(files.Side{Domain: d, Boxes: boxes, Keys: keys},
			files.Side{Domain: counted(*d, before, after), Boxes: with(boxes, a.Local, after), Keys: keys}, nil)
		return did, err
	})
}

// mayBe holds a mailbox to what its names and its owner's plan allow. A limit that
// was crossed before, by a smaller plan, stops only what needs more.
func mayBe(ctx context.Context, tx *store.Tx, b mail.Mailbox, before *mail.Mailbox, owner mail.User) error {
	for i, l := range append([]mail.LocalPart{b.Name}, b.Aliases...) {
		taken, err := tx.NameTaken(ctx, mail.Address{Local: l, Domain: b.Domain}, b.Name)
		if err != nil {
			return err
		}
		if taken && i == 0 {
			return &mail.Error{Kind: mail.Exists, Field: "name", Value: l.String(), Text: "exists_box"}
		}
		if taken {
			return &mail.Error{Kind: mail.Exists, Field: "aliases", Value: l.String(), Text: "exists_box"}
		}
	}
	more := int64(1)
	was := int64(0)
	if before != nil {
		more, was = 0, before.MaxSize
	}
	have, err := tx.CountOf(ctx, owner.Name)
	if err != nil {
		return err
	}
	if most, limited := owner.Limit("emails"); limited && more > 0 && have.Emails+more > most {
		return limitError("emails", most)
	}
	most, limited := owner.Limit("email_quota")
	if !limited || before != nil && b.MaxSize == before.MaxSize {
		return nil
	}
	if b.MaxSize == 0 || b.MaxSize > was && have.Quota-was+b.MaxSize > most {
		return limitError("email_quota", most)
	}
	return nil
}

func limitError(name string, most int64) error {
	return &mail.Error{Kind: mail.Limit, Field: name, Text: "limit_" + name, Args: map[string]string{"limit": fmt.Sprint(most)}}
}
