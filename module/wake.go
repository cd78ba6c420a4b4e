package module

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// Due is when the module has something to do next that nobody calls it for; zero:
// nothing.
func (m *Module) Due(ctx context.Context) (at time.Time, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		set, err := settings(ctx, tx)
		if err != nil {
			return err
		}
		at, err = tx.Due(ctx, time.Duration(set.DKIMRotate)*24*time.Hour, selfSignedLeft)
		if err == nil && !at.IsZero() && at.Before(tx.Now) {
			at = tx.Now
		}
		return err
	})
	if err != nil {
		return at, fmt.Errorf("find out what is due next: %w", err)
	}
	return at, nil
}

// Leave asks the panel to call when something is due. It is called before the module
// ends, while the panel can still be told.
func (m *Module) Leave(ctx context.Context) error {
	at, err := m.Due(ctx)
	if err == nil && m.panel.Wake != nil {
		m.panel.Wake(ctx, at)
	}
	return err
}

// roundsAtOnce bounds what Renew does of one kind.
const roundsAtOnce = 1000

// Renew does everything that is due and waits for time alone: hands over records that
// could not be, ends old keys and makes new ones, removes for good what was deleted,
// renews certificates, counts letters. It is for a process that nobody calls.
func (m *Module) Renew(ctx context.Context) error {
	var failed error
	for range roundsAtOnce {
		again := false
		failed = errors.Join(failed, m.Pending(ctx))
		err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
			rows, err := tx.RecordsDue(ctx, 1)
			if err != nil {
				return err
			}
			keys, err := tx.KeysDue(ctx, 1)
			again = len(rows)+len(keys) > 0
			return err
		})
		if failed = errors.Join(failed, err); failed != nil || !again || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed, m.Purge(ctx), m.Orders(ctx), m.ForgetAnswers(ctx, m.db.Now()), m.Count(ctx), ctx.Err())
}

// errNoPanel is the answer to what only the panel knows.
var errNoPanel = errors.New("the panel is not there")

// WithoutPanel has the module go by the panel's settings as they were last: nobody else
// can be asked.
func (m *Module) WithoutPanel() {
	m.alone = true
	m.panel = Panel{
		User:    func(context.Context, string) (mail.User, bool, error) { return mail.User{}, false, errNoPanel },
		UsersOf: func(context.Context, string) ([]mail.User, error) { return nil, errNoPanel },
		Params: func(ctx context.Context) (mail.Params, error) {
			p, known, err := m.keptParams(ctx)
			if err == nil && !known {
				err = errNoPanel
			}
			return p, err
		},
	}
}
