package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// change makes of a domain what decide says, wholly or not at all, and returns
// when it is durable and in the files. Decide gets the domain as it stands, nil
// where there is none, and returns it as it is to be, nil for gone; it runs in the
// transaction and must not wait for anything. A request that was answered before
// is not carried out again. Where the actor only wants to know, the change is worked
// out as it would be and then undone.
func (m *Module) change(ctx context.Context, by Actor, function string, n mail.Name,
	decide func(ctx context.Context, tx *store.Tx, before *mail.Domain) (after *mail.Domain, err error)) error {
	var published error
	var would func()
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if by.Preview == nil {
			again, err := repeated(ctx, tx, by, function, n)
			if again || err != nil {
				return err
			}
		}
		before, err := domain(ctx, tx, n)
		if err != nil {
			return err
		}
		after, err := decide(ctx, tx, before)
		if err != nil {
			return err
		}
		if before != nil && after != nil && maps.Equal(before.Values(), after.Values()) {
			return nil
		}
		if err := write(ctx, tx, before, after); err != nil {
			return err
		}
		if err := record(ctx, tx, by, function, n, before, after); err != nil {
			return err
		}
		plan, err := m.tree.Layout().Plan(before, after, func() ([]mail.SourceIP, error) { return tx.SourceIPs(ctx) })
		if err != nil {
			return err
		}
		if by.Preview != nil {
			// Told once it is over: it may be worked out again.
			would = func() { by.Preview.add(n, before, after, plan) }
			return errPreview
		}
		var staged *files.Staged
		tx.Prepare(func() (err error) {
			staged, err = m.tree.Stage(plan)
			return err
		})
		tx.OnCommit(func() {
			published = m.publish(staged, by.RequestID)
			m.tell(tx.Now, by, function, n, before, after, published)
		})
		tx.OnUndo(func() {
			if staged == nil {
				return
			}
			if err := staged.Drop(); err != nil {
				m.log.Error().Err(err).Str("request_id", by.RequestID).Msg("a change that did not happen left a file in the stage")
			}
		})
		return nil
	})
	if errors.Is(err, errPreview) {
		would()
		return nil
	}
	if err != nil {
		return err
	}
	return published
}

// errPreview undoes a change that was only to be looked at.
var errPreview = errors.New("only a preview")

// tell writes a change to the log of changes.
func (m *Module) tell(at time.Time, by Actor, function string, n mail.Name, before, after *mail.Domain, published error) {
	was, is := zerolog.Dict(), zerolog.Dict()
	for _, s := range differences(valuesOf(before), valuesOf(after)) {
		if before != nil {
			was.Str(s.Name, s.Before)
		}
		if after != nil {
			is.Str(s.Name, s.After)
		}
	}
	m.changes.Log().Time("time", at).Str("request_id", by.RequestID).Str("user", by.User).Str("su_by", by.SuBy).
		Str("remote_ip", by.RemoteIP).Str("func", function).Str("object", n.String()).
		Dict("before", was).Dict("after", is).Bool("published", published == nil).Send()
}

// publish puts committed files in place. What fails is tried again by reconcile;
// the caller is told that it is not in effect yet.
func (m *Module) publish(s *files.Staged, requestID string) error {
	err := s.Publish()
	for _, f := range s.Findings {
		m.log.Warn().Str("file", f.Path).Str("drift", string(f.Drift)).Str("request_id", requestID).
			Msg("a file was not as we left it; it was written anew")
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

// record notes the change in the audit table and keeps its answer.
func record(ctx context.Context, tx *store.Tx, by Actor, function string, n mail.Name, before, after *mail.Domain) error {
	was, err := settings(before)
	if err != nil {
		return err
	}
	is, err := settings(after)
	if err != nil {
		return err
	}
	if err := tx.Audit(ctx, store.Change{
		RequestID: by.RequestID, User: by.User, SuBy: by.SuBy, RemoteIP: by.RemoteIP,
		Func: function, Object: n.String(), Before: was, After: is,
	}); err != nil {
		return err
	}
	if by.RequestID == "" {
		return nil
	}
	return tx.Answer(ctx, store.Answer{RequestID: by.RequestID, Object: n.String(), User: by.User, Func: function, JSON: []byte(`{"ok":true}`)})
}

// settings is a domain as the audit table has it.
func settings(d *mail.Domain) ([]byte, error) {
	if d == nil {
		return nil, nil
	}
	b, err := json.Marshal(d.Values())
	if err != nil {
		return nil, fmt.Errorf("write down %s: %w", d.Name, err)
	}
	return b, nil
}

// repeated says that this request has changed this domain already. The same id
// from another user, or for another function, is no repeat but a fault of the caller.
func repeated(ctx context.Context, tx *store.Tx, by Actor, function string, n mail.Name) (bool, error) {
	if by.RequestID == "" {
		return false, nil
	}
	a, found, err := tx.Answered(ctx, by.RequestID, n.String())
	if err != nil || !found {
		return false, err
	}
	if a.User != by.User || a.Func != function {
		return false, &mail.Error{Kind: mail.Invalid, Field: "request_id", Value: by.RequestID}
	}
	return true, nil
}
