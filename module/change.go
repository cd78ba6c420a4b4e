package module

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A deed is what a change comes to, as it was decided in its transaction: the rows
// are written, the rest is still to be done.
type deed struct {
	domain        mail.Name                         // that it is about, where it has records
	dns           []mail.Name                       // domains whose records are to be handed over after it
	records       []store.RecordShift               // of these domains
	first         map[mail.Name][]store.RecordValue // of these, noted to be sent, and never sent before; nil: the background hands over
	later         bool                              // they are handed over by somebody else
	needs         []mail.Record                     // all that the domain is to have
	before, after map[string]string                 // settings of the object; nil: it is not there
	plan          []files.Change                    // of files
	made          []mail.Address                    // mailboxes whose directories are to be made before the commit
	moves         []move                            // of mail, after it
	kept          []mail.Address                    // mailboxes that start anew with an empty directory, after the moves
	shown         []mail.Name                       // domains whose certificates are served otherwise, or mail.ServerCertificate
	gone          []string                          // logins that are over: "box@domain", or "*@domain"
	mailboxes     int64                             // that lose or regain their mail
	bytes         int64                             // of mail in them
}

// A move is mail on its way to the trash, or back.
type move struct {
	id   int64 // of the row in the database
	path string
	back bool
}

// change carries out what decide says about one object, wholly or not at all, and
// returns when it is durable and in the files. Decide runs in the transaction, must
// not wait for anything, and returns nil where there is nothing to do. A request that
// was answered before is not carried out again. Where the actor only wants to know,
// the change is worked out as it would be and then undone.
func (m *Module) change(ctx context.Context, by Actor, function, object string, decide func(context.Context, *store.Tx) (*deed, error)) error {
	var published error
	var would *deed
	handed := func() []store.RecordRow { return nil }
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if by.Preview == nil {
			again, err := repeated(ctx, tx, by, function, cmp.Or(by.about, object))
			if again || err != nil {
				return err
			}
		}
		d, err := decide(ctx, tx)
		if d == nil || err != nil {
			return err
		}
		if err := record(ctx, tx, by, function, object, d); err != nil {
			return err
		}
		would = d // told once it is over: it may be worked out again
		if by.Preview != nil {
			return errPreview
		}
		var staged *files.Staged
		tx.Prepare(func() (err error) {
			staged, err = m.tree.Stage(d.plan)
			return err
		})
		tx.OnUndo(func() {
			for _, a := range d.made {
				m.tree.DropBox(a)
			}
			if staged == nil {
				return
			}
			if err := staged.Drop(); err != nil {
				m.log.Error().Err(err).Str("request_id", by.RequestID).Msg("a change that did not happen left a file in the stage")
			}
		})
		for _, a := range d.made {
			if err := m.tree.MakeBox(a); err != nil {
				return err
			}
		}
		tx.OnCommit(func() {
			handed = m.handOverSoon(ctx, d) // meanwhile the files
			published = m.publish(staged, d, by.RequestID)
			m.tell(tx.Now, by, function, object, d, published)
		})
		return nil
	})
	if errors.Is(err, errPreview) {
		by.Preview.add(by, m.tree.Layout(), object, would)
		return nil
	}
	if err != nil {
		return err
	}
	rows := handed()
	if by.Records != nil && len(rows) > 0 && would.before == nil { // what is new was never checked
		by.Records.Records = recordStates(would.needs, rows, nil)
	}
	return published
}

// changeDomain is change for a mail domain. Decide gets the domain as it stands, nil
// where there is none, and returns it as it is to be, nil for gone.
func (m *Module) changeDomain(ctx context.Context, by Actor, function string, n mail.Name,
	decide func(ctx context.Context, tx *store.Tx, before *mail.Domain) (after *mail.Domain, err error)) error {
	facts, err := m.publication(ctx)
	if err != nil {
		return err
	}
	return m.withSpares(ctx, func(spare spares) error {
		return m.change(ctx, by, function, n.String(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
			before, err := domain(ctx, tx, n)
			if err != nil {
				return nil, err
			}
			after, err := decide(ctx, tx, before)
			if err != nil {
				return nil, err
			}
			if before == nil && after == nil || before != nil && after != nil && maps.Equal(before.Values(), after.Values()) {
				return nil, nil
			}
			return m.remake(ctx, tx, by, n, before, after, spare, facts)
		})
	})
}

// remake writes the rows of a domain that changes, and says what follows.
func (m *Module) remake(ctx context.Context, tx *store.Tx, by Actor, n mail.Name, before, after *mail.Domain,
	spare spares, facts publication) (*deed, error) {
	show, err := m.reshow(ctx, tx, by, n, before, after, spare.certificates)
	if err != nil {
		return nil, err
	}
	d := &deed{domain: n, before: valuesOf(before), after: valuesOf(after)}
	was, is := files.Side{Domain: before}, files.Side{Domain: after}
	if before == nil {
		if err := m.vacate(ctx, tx, n); err != nil {
			return nil, err
		}
	}
	if before != nil && before.Mailboxes > 0 && (after == nil || after.Active != before.Active) {
		if was.Boxes, err = tx.MailboxesOf(ctx, n); err != nil {
			return nil, err
		}
		if after != nil {
			is.Boxes = was.Boxes
		}
		if after == nil || !after.Active {
			d.gone = append(d.gone, "*@"+n.String())
		}
	}
	if before != nil && after == nil {
		if was.Listed, err = tx.ListedOf(ctx, n); err != nil {
			return nil, err
		}
	}
	if was.Keys, is.Keys, err = sign(ctx, tx, before, after, spare.keys); err != nil {
		return nil, err
	}
	if after == nil {
		if err := m.bury(ctx, tx, by, d, store.Deleted{Object: n.String(), Name: n, Owner: before.Owner, Domain: d.before, Mailboxes: was.Boxes, Keys: was.Keys, Listed: was.Listed, Certificate: show.was}); err != nil {
			return nil, err
		}
	}
	if err := write(ctx, tx, before, after); err != nil {
		return nil, err
	}
	if after != nil && !sameKeys(was.Keys, is.Keys) {
		if err := tx.PutKeys(ctx, n, was.Keys, is.Keys); err != nil {
			return nil, err
		}
	}
	if facts.mode != mail.DNSByHand {
		if err := m.want(ctx, tx, d, facts, after, is.Keys); err != nil {
			return nil, err
		}
	}
	if after != nil && len(d.dns) == 0 && !sameKeys(was.Keys, is.Keys) {
		if err := tx.RenewNote(ctx, n); err != nil {
			return nil, err
		}
	}
	if d.plan, err = m.tree.Layout().Plan(was, is, func() ([]mail.SourceIP, error) { return tx.SourceIPs(ctx) }); err != nil {
		return nil, err
	}
	return d, show.settle(ctx, tx, m.tree.Layout(), d, after != nil)
}

// errPreview undoes a change that was only to be looked at.
var errPreview = errors.New("only a preview")

// tell writes a change to the log of changes.
func (m *Module) tell(at time.Time, by Actor, function, object string, d *deed, published error) {
	was, is := zerolog.Dict(), zerolog.Dict()
	for _, s := range differences(d.before, d.after) {
		if d.before != nil {
			was.Str(s.Name, s.Before)
		}
		if d.after != nil {
			is.Str(s.Name, s.After)
		}
	}
	m.changes.Log().Time("time", at).Str("request_id", by.RequestID).Str("user", by.User).Str("su_by", by.SuBy).
		Str("remote_ip", by.RemoteIP).Str("func", function).Str("object", object).
		Dict("before", was).Dict("after", is).Bool("published", published == nil).Send()
}

// publish puts committed files in place and moves mail. What fails is tried again by
// reconcile; the caller is told that it is not in effect yet.
func (m *Module) publish(s *files.Staged, d *deed, requestID string) error {
	publish := s.Publish
	if len(d.shown) > 0 {
		publish = func() error { return m.reloads.publish(m.db.Now(), d.shown, s.Publish) }
	}
	err := publish()
	for _, f := range s.Findings {
		m.log.Warn().Str("file", f.Path).Str("drift", string(f.Drift)).Str("request_id", requestID).
			Msg("a file was not as we left it; it was written anew")
	}
	for _, mv := range d.moves {
		err = errors.Join(err, m.carry(mv))
		m.moving.over(mv.id)
		m.underway.Store(true) // until the row says that it arrived
	}
	for _, a := range slices.Concat(d.made, d.kept) {
		err = errors.Join(err, m.tree.KeepBox(a))
	}
	for _, login := range d.gone {
		m.endSessions(login)
	}
	if err == nil {
		return nil
	}
	m.unpublished.Store(true)
	return &mail.Error{Kind: mail.Unavailable, Field: "files", Text: "unavailable_publish", Cause: err}
}

// domain is the domain as it stands; nil where there is none.
func domain(ctx context.Context, tx *store.Tx, n mail.Name) (*mail.Domain, error) {
	d, found, err := tx.Domain(ctx, n)
	if err != nil || !found {
		return nil, err
	}
	return &d, nil
}

func write(ctx context.Context, tx *store.Tx, before, after *mail.Domain) error {
	switch {
	case before == nil && after != nil:
		return tx.InsertDomain(ctx, after)
	case after == nil && before != nil:
		return tx.DeleteDomain(ctx, before.Name)
	case after != nil:
		return tx.UpdateDomain(ctx, after)
	}
	return nil
}
