package module

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// Jobs that the background does at one go.
const jobsAtOnce = 64

// Pending does what waits for DNS: hands over what could not be, looks whether new
// keys are seen, ends old ones, and makes new ones where it is time. It is harmless
// at any time.
func (m *Module) Pending(ctx context.Context) error {
	var handed, keys []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if handed, err = tx.RecordsDue(ctx, jobsAtOnce); err != nil {
			return err
		}
		keys, err = tx.KeysDue(ctx, jobsAtOnce)
		return err
	})
	if err != nil {
		return err
	}
	var failed error
	for _, n := range handed {
		silent := m.silentUntil.Load()
		failed = errors.Join(failed, m.HandOver(ctx, n))
		if ctx.Err() != nil || m.silentUntil.Load() > silent {
			break // what one was not taken of, others wait with
		}
	}
	failed = errors.Join(failed, severally(ctx, keys, m.advance), m.recheck(ctx), m.withdraw(ctx))
	return errors.Join(failed, m.lookAhead(ctx))
}

// askedAtOnce is how many domains name servers are asked about at once.
const askedAtOnce = 8

// severally does each of names, several at once.
func severally(ctx context.Context, names []mail.Name, do func(context.Context, mail.Name) error) error {
	errs := make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(askedAtOnce)
	for i, n := range names {
		g.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = do(ctx, n)
			}
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	return errors.Join(errs...)
}

// soon is how far ahead the module waits for what is due, rather than to end for
// want of calls.
const soon = 10 * time.Minute

// lookAhead notes whether something is due soon, and has keys ready for who asks next.
func (m *Module) lookAhead(ctx context.Context) error {
	var awaited, signed bool
	var set mail.Settings
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if set, err = settings(ctx, tx); err != nil {
			return err
		}
		if signed, err = tx.AnyKeys(ctx); err != nil {
			return err
		}
		awaited, err = tx.Awaited(ctx, tx.Now.Add(soon))
		return err
	})
	if err == nil {
		m.awaited.Store(awaited)
	}
	if signed {
		m.stock.stockUp(set.DKIMKeylen)
	}
	return err
}

// Awaiting says that something is to be done about DNS soon.
func (m *Module) Awaiting() bool { return m.awaited.Load() }

// itself is the actor of what the module does on its own.
var itself = Actor{User: "maildomain", Level: mail.LevelAdmin}

// advance moves the keys of a domain on by what DNS says now.
func (m *Module) advance(ctx context.Context, n mail.Name) error {
	var d *mail.Domain
	var keys []mail.SigningKey
	var set mail.Settings
	var now time.Time
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		now = tx.Now
		if d, err = domain(ctx, tx, n); err != nil || d == nil {
			return err
		}
		if set, err = settings(ctx, tx); err != nil {
			return err
		}
		keys, err = tx.KeysOf(ctx, n)
		return err
	})
	if err != nil || d == nil {
		return err
	}
	seen, err := m.seen(ctx, *d, keys, set)
	if err != nil {
		m.log.Warn().Err(err).Str("domain", n.String()).Msg("name servers cannot be asked")
	}
	rotate := set.DKIMRotate > 0 && slices.ContainsFunc(keys, func(k mail.SigningKey) bool {
		return k.State == mail.KeySigning && !now.Before(k.Since.Add(time.Duration(set.DKIMRotate)*24*time.Hour))
	}) && !slices.ContainsFunc(keys, func(k mail.SigningKey) bool { return k.State == mail.KeyNew })
	err = m.rekey(ctx, itself, "emaildomain.dkim.advance", n, func(_ context.Context, tx *store.Tx, d mail.Domain, keys []mail.SigningKey) ([]mail.SigningKey, error) {
		stands := map[mail.Selector]bool{}
		for _, k := range keys { // as they are by now
			stands[k.Selector] = seen[k.Selector] != "" && seen[k.Selector] == k.Key.Record().String()
		}
		after := d.Advance(keys, stands, tx.Now)
		for i := range after {
			if k := &after[i]; !tx.Now.Before(k.Due) {
				k.Due, k.Tries = tx.Now.Add(mail.Delay(k.Tries)), k.Tries+1
				if k.State == mail.KeySigning {
					k.Due, k.Tries = tx.Now.Add(24*time.Hour), 0
				}
			}
		}
		return after, nil
	})
	if err != nil || !rotate {
		return err
	}
	return m.newKey(ctx, itself, "emaildomain.dkim.rotate", n, mail.Scope{All: true}, mail.DKIMKey{})
}

// seen are the records of new keys that stand on every authoritative server.
func (m *Module) seen(ctx context.Context, d mail.Domain, keys []mail.SigningKey, set mail.Settings) (map[mail.Selector]string, error) {
	seen := map[mail.Selector]string{}
	if !slices.ContainsFunc(keys, func(k mail.SigningKey) bool { return k.State == mail.KeyNew }) {
		return seen, nil
	}
	facts, err := m.publication(ctx)
	if err != nil {
		return nil, err
	}
	a, err := m.asker(set)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	pub, _ := facts.of(d, keys, nil)
	for _, k := range keys {
		if k.State != mail.KeyNew {
			continue
		}
		want := mail.Record{Name: mail.DKIMName(k.Selector, d.Name), Type: mail.TypeTXT, Values: []string{k.Key.Record().String()}, Why: mail.ForDKIM, TTL: mail.DefaultTTL}
		if a.CheckRecord(ctx, want, pub).Verdict.State == mail.Right {
			seen[k.Selector] = want.Values[0]
		}
	}
	return seen, nil
}
