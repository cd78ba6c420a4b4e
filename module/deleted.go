package module

import (
	"context"
	"strconv"
	"strings"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A Deleted is what was deleted and can be brought back.
type Deleted = store.Deleted

// ListDeleted is a page of what was deleted in the actor's circle and can be brought
// back, and how much there is in all pages together.
func (m *Module) ListDeleted(ctx context.Context, by Actor, q mail.Query) (ds []Deleted, total int64, err error) {
	if q.Scope, err = m.scope(ctx, by); err != nil {
		return nil, 0, err
	}
	q.Name = strings.ToLower(q.Name)
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		ds, total, err = tx.ListDeleted(ctx, q)
		return err
	})
	return ds, total, err
}

// buried is what was deleted under a number, if the actor may see it and it can be
// brought back.
func buried(ctx context.Context, tx *store.Tx, scope mail.Scope, elid string) (store.Deleted, error) {
	id, err := strconv.ParseInt(elid, 10, 64)
	if err != nil {
		return store.Deleted{}, missed(elid)
	}
	d, found, err := tx.Deleted(ctx, id)
	if err == nil && (!found || !scope.Has(d.Owner) || d.State == store.MailRestoring || !d.Until.After(tx.Now)) {
		err = missed(elid)
	}
	return d, err
}

// ForgetDeleted has what was deleted removed for good, without waiting for its time.
func (m *Module) ForgetDeleted(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	return m.all(ctx, by, elids, func(elid string) error {
		return m.changeDeleted(ctx, by.numbered(elid), "emaildomain.deleted.delete", scope, elid, func(ctx context.Context, tx *store.Tx, d store.Deleted) (*deed, error) {
			did := &deed{before: map[string]string{"deleted": d.Object, "owner": d.Owner}, mailboxes: d.Count, bytes: d.Used}
			return did, tx.ExpireNow(ctx, d.ID)
		})
	})
}

// RestoreDeleted brings back what was deleted: settings, mailboxes, passwords and mail.
// It is held to what holds for making them anew.
func (m *Module) RestoreDeleted(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	return m.all(ctx, by, elids, func(elid string) error {
		return m.restore(ctx, by.numbered(elid), scope, elid)
	})
}

const restoring = "emaildomain.deleted.restore"

// numbered is the actor for what is done to something deleted: answers are kept by its
// number, for several can have been one object.
func (a Actor) numbered(elid string) Actor {
	a.about = "#" + elid
	return a
}

// unburied is what was deleted under a number, and whether this request has been
// carried out: then it may be gone.
func (m *Module) unburied(ctx context.Context, by Actor, function string, scope mail.Scope, elid string) (d store.Deleted, again bool, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if by.Preview == nil {
			if again, err = repeated(ctx, tx, by, function, by.about); again || err != nil {
				return err
			}
		}
		d, err = buried(ctx, tx, scope, elid)
		return err
	})
	return d, again, err
}

func (m *Module) restore(ctx context.Context, by Actor, scope mail.Scope, elid string) error {
	d, again, err := m.unburied(ctx, by, restoring, scope, elid)
	if again || err != nil {
		return err
	}
	owner, err := m.owner(ctx, scope, d.Owner)
	if err != nil {
		return err
	}
	if d.Domain == nil {
		return m.restoreMailbox(ctx, by, scope, elid, owner)
	}
	return m.restoreDomain(ctx, by, scope, elid, owner, d)
}

func (m *Module) restoreDomain(ctx context.Context, by Actor, scope mail.Scope, elid string, owner mail.User, was store.Deleted) error {
	facts := mail.Facts{Owner: owner, Actor: mail.LevelAdmin} // what was allowed once stays so
	var err error
	if facts.Params, _, err = m.params(ctx); err != nil {
		return err
	}
	dnsFacts, err := m.publication(ctx)
	if err != nil {
		return err
	}
	if err := mail.CheckNew(was.Name, facts.Params); err != nil {
		return err
	}
	e := mail.EditOf(was.Domain)
	back := mail.NewDomain(was.Name, owner.Name)
	back.MailRate = owner.MailRate()
	if err := e.Apply(&back, facts); err != nil {
		e.IP, e.IPSrc = nil, nil // an address that the owner has no longer
		back = mail.NewDomain(was.Name, owner.Name)
		back.MailRate = owner.MailRate()
		if err := e.Apply(&back, facts); err != nil {
			return err
		}
	}
	if back.DKIM && len(was.Keys) == 0 {
		defer m.Doubt()
	}
	return m.withCertificates(ctx, func(have ownCertificates) error {
		return m.changeDeleted(ctx, by, restoring, scope, elid, func(ctx context.Context, tx *store.Tx, d store.Deleted) (*deed, error) {
			return m.bringDomainBack(ctx, tx, by, owner, back, d, have, dnsFacts)
		})
	})
}

// bringDomainBack makes a domain that was deleted stand again, as back.
func (m *Module) bringDomainBack(ctx context.Context, tx *store.Tx, by Actor, owner mail.User, back mail.Domain, d store.Deleted, have ownCertificates, dnsFacts publication) (*deed, error) {
	now, err := domain(ctx, tx, d.Name)
	if err != nil {
		return nil, err
	}
	if now != nil {
		return nil, &mail.Error{Kind: mail.Exists, Field: "name", Value: d.Object}
	}
	counts := back
	for _, b := range d.Mailboxes {
		counts.Mailboxes, counts.Quota = counts.Mailboxes+1, counts.Quota+b.MaxSize
		if most, limited := owner.Limit("email_quota"); limited && b.MaxSize == 0 {
			return nil, limitError("email_quota", most)
		}
	}
	if err := room(ctx, tx, owner, counts); err != nil {
		return nil, err
	}
	if by.Level != mail.LevelAdmin {
		near, err := tx.OtherOwnerNear(ctx, d.Name, owner.Name)
		if err != nil {
			return nil, err
		}
		if near {
			return nil, &mail.Error{Kind: mail.Invalid, Field: "name", Value: d.Object, Text: "value_name_near"}
		}
	}
	if err := circle(ctx, tx, back); err != nil {
		return nil, err
	}
	if err := m.vacate(ctx, tx, d.Name); err != nil {
		return nil, err
	}
	show, err := m.certify(ctx, tx, by, nil, &back, d.Certificate, have)
	if err != nil {
		return nil, err
	}
	show.was = nil // it went with the domain
	if err := show.shown(ctx, tx, d.Name, nil, &back); err != nil {
		return nil, err
	}
	if err := tx.InsertDomain(ctx, &back); err != nil {
		return nil, err
	}
	for i := range d.Mailboxes {
		if err := tx.InsertMailbox(ctx, &d.Mailboxes[i]); err != nil {
			return nil, err
		}
	}
	for i := range d.Listed {
		if err := tx.PutListed(ctx, &d.Listed[i]); err != nil {
			return nil, err
		}
	}
	d.Keys = mail.Unseen(d.Keys, tx.Now) // their records were taken away
	if err := tx.PutKeys(ctx, d.Name, nil, d.Keys); err != nil {
		return nil, err
	}
	if err := tx.RenewNote(ctx, d.Name); err != nil {
		return nil, err
	}
	did := &deed{domain: d.Name, after: back.Values()}
	if err := m.unbury(ctx, tx, did, d); err != nil {
		return nil, err
	}
	if dnsFacts.mode != mail.DNSByHand {
		if err := m.want(ctx, tx, did, dnsFacts, &back, d.Keys); err != nil {
			return nil, err
		}
	}
	counted := back
	counted.Mailboxes = counts.Mailboxes
	did.plan, err = m.tree.Layout().Plan(files.Side{}, files.Side{Domain: &counted, Boxes: d.Mailboxes, Keys: d.Keys, Listed: d.Listed}, func() ([]mail.SourceIP, error) { return tx.SourceIPs(ctx) })
	if err != nil {
		return nil, err
	}
	return did, show.settle(ctx, tx, m.tree.Layout(), did, true)
}

func (m *Module) restoreMailbox(ctx context.Context, by Actor, scope mail.Scope, elid string, owner mail.User) error {
	return m.changeDeleted(ctx, by, restoring, scope, elid, func(ctx context.Context, tx *store.Tx, d store.Deleted) (*deed, error) {
		row, err := domain(ctx, tx, d.Name)
		if err != nil {
			return nil, err
		}
		if row == nil || row.Owner != d.Owner {
			return nil, &mail.Error{Kind: mail.NotFound, Field: "domainname", Value: d.Name.String(), Text: "missed_domain_of_box"}
		}
		boxes, err := tx.MailboxesOf(ctx, d.Name)
		if err != nil {
			return nil, err
		}
		back := d.Mailboxes[0]
		if boxOf(boxes, back.Name) != nil {
			return nil, &mail.Error{Kind: mail.Exists, Field: "name", Value: d.Object, Text: "exists_box"}
		}
		if err := mayBe(ctx, tx, back, nil, owner); err != nil {
			return nil, err
		}
		if err := m.vacateBox(ctx, tx, back.Address()); err != nil {
			return nil, err
		}
		if err := tx.InsertMailbox(ctx, &back); err != nil {
			return nil, err
		}
		did := &deed{after: back.Values()}
		if err := m.unbury(ctx, tx, did, d); err != nil {
			return nil, err
		}
		keys, err := tx.KeysOf(ctx, d.Name)
		if err != nil {
			return nil, err
		}
		did.plan, err = m.tree.Layout().Plan(files.Side{Domain: row, Boxes: boxes, Keys: keys},
			files.Side{Domain: counted(*row, nil, &back), Boxes: with(boxes, back.Name, &back), Keys: keys}, nil)
		return did, err
	})
}

// unbury has the mail of d brought back after the commit.
func (m *Module) unbury(ctx context.Context, tx *store.Tx, did *deed, d store.Deleted) error {
	did.mailboxes, did.bytes = d.Count, d.Used
	if len(d.Mailboxes) == 0 {
		return tx.Forget(ctx, d.ID)
	}
	d.State = store.MailRestoring
	did.moves = append(did.moves, m.moveOf(d))
	m.moving.begin(tx, d.ID)
	return tx.SetMailState(ctx, d.ID, d.State)
}

// changeDeleted is change for something that was deleted.
func (m *Module) changeDeleted(ctx context.Context, by Actor, function string, scope mail.Scope, elid string,
	decide func(context.Context, *store.Tx, store.Deleted) (*deed, error)) error {
	d, again, err := m.unburied(ctx, by, function, scope, elid)
	if again || err != nil {
		return err
	}
	return m.change(ctx, by, function, d.Object, func(ctx context.Context, tx *store.Tx) (*deed, error) {
		d, err := buried(ctx, tx, scope, elid)
		if err != nil {
			return nil, err
		}
		return decide(ctx, tx, d)
	})
}
