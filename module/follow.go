package module

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// Forget is told by the panel what is not so any more as it said: "users", "params",
// "certificates" or "zones", and may be all but the last for any other word. A panel that
// was left alone, for it did not answer, is asked again: it has just spoken.
func (m *Module) Forget(what string) {
	m.spoken.Add(1)
	m.doubtAfter.Store(0)
	m.certificates.after.Store(0)
	if what == "zones" {
		m.replaced.Store(true)
	} else if what != "users" && what != "params" {
		m.certificates.doubt.Store(true)
	}
	if what != "certificates" {
		m.Doubt()
	}
}

// Doubt notes that the panel's settings, or somebody's plan, may have changed: Follow
// is wanted.
func (m *Module) Doubt() { m.doubt.Store(true) }

// Follow brings what follows from the panel's settings and from owners' plans up to
// date: the records that stand for domains, and how many letters a login may send. It
// does nothing unless there is doubt.
func (m *Module) Follow(ctx context.Context) error {
	now := m.db.Now()
	m.following.Store(true)
	defer m.following.Store(false)
	if now.UnixMilli() < m.doubtAfter.Load() || !m.doubt.Swap(false) {
		return nil
	}
	heard := m.spoken.Load()
	err := m.follow(ctx)
	if err != nil {
		m.doubt.Store(true)
		m.restFrom(&m.doubtAfter, now, heard)
	}
	return err
}

// restFrom leaves the panel alone for a while, unless it has spoken since heard was counted.
func (m *Module) restFrom(after *atomic.Int64, now time.Time, heard int64) {
	after.Store(now.Add(doubtRest).UnixMilli())
	if m.spoken.Load() != heard {
		after.Store(0)
	}
}

// Following says that Follow is wanted or under way: the module does not end before it
// knows the panel's settings as they are now, for renew goes by them. Of a panel that did
// not answer nothing is awaited.
func (m *Module) Following() bool {
	return m.following.Load() || m.doubt.Load() && m.db.Now().UnixMilli() >= m.doubtAfter.Load()
}

// doubtRest is how long a panel that did not answer is left alone.
const doubtRest = time.Minute

// followed is the setting that says what the records followed from last.
const followed = "records_follow"

func (m *Module) follow(ctx context.Context) error {
	if err := m.placeAnew(ctx); err != nil {
		return err
	}
	facts, err := m.publication(ctx)
	if err != nil {
		return err
	}
	if err := m.keepParams(ctx); err != nil {
		return err
	}
	var recorded, keyless []mail.Name
	var owners []string
	var was string
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		set, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		if was = set[followed]; was != facts.text() {
			if recorded, err = tx.DomainsWithRecords(ctx); err != nil {
				return err
			}
		}
		if keyless, err = tx.DomainsWithoutKeys(ctx); err != nil {
			return err
		}
		owners, err = tx.OwnersOfMailboxes(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range recorded {
		if err := m.refresh(ctx, facts, n); err != nil {
			return fmt.Errorf("bring the records of %s up to date: %w", n, err)
		}
	}
	if was != facts.text() {
		err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			return tx.Set(ctx, followed, facts.text())
		})
		if err != nil {
			return fmt.Errorf("note what the records follow from: %w", err)
		}
	}
	for _, n := range keyless {
		err := m.furnish(ctx, n)
		if e, is := errors.AsType[*mail.Error](err); is && e.Kind == mail.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return fmt.Errorf("make keys for %s: %w", n, err)
		}
	}
	for _, o := range owners {
		if err := m.followPlan(ctx, o); err != nil {
			return fmt.Errorf("follow the plan of %s: %w", o, err)
		}
	}
	return nil
}

// placeAnew has all records handed over once more when the panel has other zones: one
// that was made anew has none of them.
func (m *Module) placeAnew(ctx context.Context) error {
	if !m.replaced.Swap(false) {
		return nil
	}
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		set, err := settings(ctx, tx)
		if err != nil || set.DNS != mail.DNSByCore {
			return err
		}
		return tx.RetryAllRecords(ctx)
	})
	if err != nil {
		m.replaced.Store(true)
		return fmt.Errorf("have records handed over to other zones: %w", err)
	}
	return nil
}

// refresh makes the records that are to stand for a domain those that follow from it
// now.
func (m *Module) refresh(ctx context.Context, facts publication, n mail.Name) error {
	did := &deed{domain: n}
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		*did = deed{domain: n}
		d, err := domain(ctx, tx, n)
		if err != nil {
			return err
		}
		keys, err := tx.KeysOf(ctx, n)
		if err != nil {
			return err
		}
		tx.Aside()
		return m.want(ctx, tx, did, facts, d, keys)
	})
	if err == nil {
		m.handOverSoon(ctx, did)()
	}
	return err
}

// followPlan gives the domains of an owner the rate of its plan.
func (m *Module) followPlan(ctx context.Context, owner string) error {
	u, found, err := m.panel.User(ctx, owner)
	if err != nil || !found {
		return err
	}
	var others []mail.Name
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		others, err = tx.DomainsAtAnotherRate(ctx, owner, u.MailRate())
		return err
	})
	for _, n := range others {
		err = errors.Join(err, m.changeDomain(ctx, itself, "emaildomain.rate", n, func(_ context.Context, _ *store.Tx, before *mail.Domain) (*mail.Domain, error) {
			if before == nil || before.Owner != owner {
				return before, nil
			}
			after := *before
			after.MailRate = u.MailRate()
			return &after, nil
		}))
	}
	return err
}

// text is p in one line, to tell whether it changed.
func (p publication) text() string {
	return fmt.Sprintf("%s %s %v %q", p.mode, p.host, p.servers, p.template)
}
