package module

import (
	"context"
	"fmt"
	"strings"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// DeleteMailboxes removes mailboxes with their mail, which can be brought back for a
// while.
func (m *Module) DeleteMailboxes(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.eachMailbox(ctx, by, "email.delete", elids, func(*mail.Mailbox) *mail.Mailbox { return nil })
}

// SuspendMailboxes stops mailboxes: senders are told to try again later, and nobody
// logs in.
func (m *Module) SuspendMailboxes(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.eachMailbox(ctx, by, "email.suspend", elids, func(b *mail.Mailbox) *mail.Mailbox { b.Active = false; return b })
}

// ResumeMailboxes brings suspended mailboxes back.
func (m *Module) ResumeMailboxes(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.eachMailbox(ctx, by, "email.resume", elids, func(b *mail.Mailbox) *mail.Mailbox { b.Active = true; return b })
}

// eachMailbox does the same to every mailbox of a group, each on its own.
func (m *Module) eachMailbox(ctx context.Context, by Actor, function string, elids []string, decide func(*mail.Mailbox) *mail.Mailbox) ([]Outcome, error) {
	return m.eachAddress(ctx, by, elids, func(at target) error {
		return m.changeMailbox(ctx, by, function, at, func(_ context.Context, _ *store.Tx, before *mail.Mailbox) (*mail.Mailbox, error) {
			if before == nil {
				return nil, missed(at.elid)
			}
			after := *before
			return decide(&after), nil
		})
	})
}

// eachAddress is all for elids that name mailboxes, in the actor's scope.
func (m *Module) eachAddress(ctx context.Context, by Actor, elids []string, one func(target) error) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	return m.all(ctx, by, elids, func(elid string) error {
		a, err := mail.ParseAddress(elid)
		if err != nil {
			return missed(elid)
		}
		return one(target{elid: elid, of: a, scope: scope})
	})
}

// ClearMailboxes empties mailboxes. Their mail goes to the trash, and is removed for
// good when its time is over.
func (m *Module) ClearMailboxes(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.eachAddress(ctx, by, elids, func(at target) error {
		return m.change(ctx, by, "email.clear", at.of.String(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
			d, err := domain(ctx, tx, at.of.Domain)
			if err != nil || d == nil || !at.scope.Has(d.Owner) {
				return nil, firstOf(err, missed(at.elid))
			}
			now, found, err := tx.Mailbox(ctx, at.of)
			if err != nil || !found {
				return nil, firstOf(err, missed(at.elid))
			}
			did := &deed{before: now.Values(), after: now.Values()}
			did.before["used"], did.after["used"] = fmt.Sprint(now.Used), "0"
			what := store.Deleted{Object: at.of.String(), Name: at.of.Domain, Owner: d.Owner, Mailboxes: []mail.Mailbox{now}}
			if err := m.bury(ctx, tx, by, did, what); err != nil {
				return nil, err
			}
			did.kept = append(did.kept, at.of)
			return did, tx.SetUsed(ctx, at.of, 0)
		})
	})
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A MailboxRow is a mailbox as lists show it.
type MailboxRow = store.MailboxRow

// ListMailboxes is a page of the mailboxes that the actor may see, of the domain of
// where it names one, and how many there are in all pages together.
func (m *Module) ListMailboxes(ctx context.Context, by Actor, of string, q mail.MailboxQuery) (rows []MailboxRow, total int64, err error) {
	if of != "" {
		d, _, err := m.find(ctx, by, of)
		if err != nil {
			return nil, 0, err
		}
		q.Domain = d.Name
	}
	if q.Scope, err = m.scope(ctx, by); err != nil {
		return nil, 0, err
	}
	q.Name = strings.ToLower(q.Name)
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, total, err = tx.ListMailboxes(ctx, q)
		return err
	})
	return rows, total, err
}

// A MailboxForm is what the form of a mailbox shows.
type MailboxForm struct {
	New                    bool
	Mailbox                mail.Mailbox
	Edit                   mail.MailboxEdit // what was typed and is not saved
	Greylist, Spamassassin bool             // the domain has them on, so that the mailbox may
	Filters                mail.Filters     // that there are
}

// OpenMailbox is the form of the mailbox elid, or of a new one of the domain in e
// where elid is empty.
func (m *Module) OpenMailbox(ctx context.Context, by Actor, elid string, e mail.MailboxEdit) (MailboxForm, error) {
	f := MailboxForm{New: elid == "", Edit: e}
	var err error
	if f.Filters, err = m.Filters(ctx); err != nil {
		return f, err
	}
	if !f.New {
		b, d, _, err := m.findMailbox(ctx, by, elid)
		f.Mailbox, f.Greylist, f.Spamassassin = b, d.Greylist, d.Spamassassin
		return f, err
	}
	f.Mailbox = mail.Mailbox{Active: true, Greylist: true, Spamassassin: true}
	if e.Domain == "" {
		_, err := m.scope(ctx, by)
		return f, err
	}
	d, _, err := m.find(ctx, by, e.Domain)
	f.Mailbox.Domain, f.Greylist, f.Spamassassin = d.Name, d.Greylist, d.Spamassassin
	return f, err
}
