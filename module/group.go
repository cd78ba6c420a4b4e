package module

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// An Outcome is what a group operation did with one of its objects.
type Outcome struct {
	Elid string
	Err  error // nil: done
}

// DeleteDomains removes mail domains, with all that belongs to them.
func (m *Module) DeleteDomains(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.each(ctx, by, "emaildomain.delete", elids, func(context.Context, *store.Tx, *mail.Domain) (*mail.Domain, error) { return nil, nil })
}

// SuspendDomains stops mail domains: senders are told to try again later.
func (m *Module) SuspendDomains(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.each(ctx, by, "emaildomain.suspend", elids, activate(false))
}

// ResumeDomains brings suspended mail domains back.
func (m *Module) ResumeDomains(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.each(ctx, by, "emaildomain.resume", elids, activate(true))
}

// decision is what a group operation makes of one of its domains: nil for gone.
type decision func(context.Context, *store.Tx, *mail.Domain) (*mail.Domain, error)

func activate(on bool) decision {
	return func(_ context.Context, _ *store.Tx, d *mail.Domain) (*mail.Domain, error) {
		d.Active = on
		return d, nil
	}
}

// PassDomains gives mail domains to another owner, whose limits hold for each.
func (m *Module) PassDomains(ctx context.Context, by Actor, elids []string, owner string) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	to, err := m.owner(ctx, scope, owner)
	if err != nil {
		return nil, err
	}
	return m.each(ctx, by, "emaildomain.passredirect", elids, func(ctx context.Context, tx *store.Tx, d *mail.Domain) (*mail.Domain, error) {
		if d.Owner == to.Name {
			return d, nil
		}
		if d.Secure && !to.MaySSL() {
			return nil, &mail.Error{Kind: mail.Limit, Field: "ssl", Text: "limit_ssl"}
		}
		return d, moveTo(ctx, tx, d, to, by)
	})
}

// OwnerOf is the owner of the mail domain elid.
func (m *Module) OwnerOf(ctx context.Context, by Actor, elid string) (string, error) {
	d, _, err := m.find(ctx, by, elid)
	return d.Owner, err
}

// Owners are the users that the actor may give domains to, in order.
func (m *Module) Owners(ctx context.Context, by Actor) ([]string, error) {
	scope, err := m.scope(ctx, by)
	if err != nil || !scope.All {
		return scope.Owners, err
	}
	users, err := m.panel.UsersOf(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("ask for users: %w", err)
	}
	owners := make([]string, len(users))
	for i, u := range users {
		owners[i] = u.Name
	}
	slices.Sort(owners)
	return owners, nil
}

// atOnce is how many objects of a group operation are on their way together, so
// that they share commits.
const atOnce = 16

// each does the same to every domain of a group, each on its own. The outcomes are
// in the order of elids.
func (m *Module) each(ctx context.Context, by Actor, function string, elids []string, decide decision) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	one := func(elid string) error {
		n, err := mail.ParseName(elid)
		if err != nil {
			return missed(elid)
		}
		return m.changeDomain(ctx, by, function, n, func(ctx context.Context, tx *store.Tx, before *mail.Domain) (*mail.Domain, error) {
			if before == nil || !scope.Has(before.Owner) {
				return nil, missed(elid)
			}
			after := *before
			return decide(ctx, tx, &after)
		})
	}
	return m.all(ctx, by, elids, one)
}

// all does each of elids, several at once, and tells how far it is. The outcomes are
// in the order of elids. A call that is given up does no more of them.
func (m *Module) all(ctx context.Context, by Actor, elids []string, one func(elid string) error) ([]Outcome, error) {
	done := make([]Outcome, len(elids))
	turns := make(chan struct{}, atOnce)
	var ended atomic.Int64
	var wg sync.WaitGroup
	for i, elid := range elids {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			err := ctx.Err()
			if err == nil {
				err = one(elid)
			} else {
				err = &mail.Error{Kind: mail.Cancelled, Field: "elid", Value: elid, Cause: err}
			}
			done[i] = Outcome{elid, err}
			m.progress(ctx, by, int(ended.Add(1)), len(elids))
		})
	}
	wg.Wait()
	return done, nil
}

// toldEach is how often a long operation tells how far it is, in objects.
const toldEach = 16

func (m *Module) progress(ctx context.Context, by Actor, done, total int) {
	if m.panel.Progress != nil && by.RequestID != "" && total > toldEach && (done%toldEach == 0 || done == total) {
		m.panel.Progress(ctx, by.RequestID, done, total)
	}
}
