package module

import (
	"context"
	"errors"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// recheckedAtOnce bounds how many domains one Recheck asks name servers about.
const recheckedAtOnce = 16

// Recheck looks again at domains of which the last check found something wrong, or
// could not ask, so that lists show what is so now. The one that was looked at longest
// ago comes first.
func (m *Module) Recheck(ctx context.Context) error {
	var names []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		names, err = tx.DomainsFoundWrong(ctx, recheckedAtOnce)
		return err
	})
	for _, n := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, e := m.CheckDomain(ctx, itself, n.String())
		if x, is := errors.AsType[*mail.Error](e); is && x.Kind == mail.NotFound {
			continue // deleted meanwhile
		}
		err = errors.Join(err, e)
	}
	return err
}
