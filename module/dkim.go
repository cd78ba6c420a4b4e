package module

import (
	"context"
	"fmt"
	"slices"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// sign makes the keys of a domain what its settings want. It takes new ones from spare.
func sign(ctx context.Context, tx *store.Tx, before, after *mail.Domain, spare spareKeys) (was, is []mail.SigningKey, err error) {
	if before != nil {
		if was, err = tx.KeysOf(ctx, before.Name); err != nil {
			return nil, nil, err
		}
	}
	if after == nil {
		return was, nil, nil // they go with the domain's row
	}
	is = after.Advance(was, nil, tx.Now)
	for _, a := range []mail.DKIMAlgorithm{mail.DKIMRSA, mail.DKIMEd25519} {
		if !after.NeedsKey(a, is) {
			continue
		}
		past, err := pastSelectors(ctx, tx, after.Name, was)
		if err != nil {
			return nil, nil, err
		}
		k, err := spare.take(a, *after)
		if err != nil {
			return nil, nil, err
		}
		is = after.Rotate(is, k, tx.Now, past...)
	}
	return was, is, nil
}

// pastSelectors are those that no new key of a domain may have: of keys that it had, and
// of those that it has until this change.
func pastSelectors(ctx context.Context, tx *store.Tx, n mail.Name, keys []mail.SigningKey) ([]mail.Selector, error) {
	past, err := tx.PastSelectors(ctx, n)
	for _, k := range keys {
		past = append(past, k.Selector)
	}
	return past, err
}

// sameKeys says that both are the same keys in the same states.
func sameKeys(a, b []mail.SigningKey) bool {
	return slices.EqualFunc(a, b, func(a, b mail.SigningKey) bool { return a.Selector == b.Selector && a.State == b.State })
}

// sameTimes says that each key is looked at when it was to be before.
func sameTimes(a, b []mail.SigningKey) bool {
	return slices.EqualFunc(a, b, func(a, b mail.SigningKey) bool { return a.Due.Equal(b.Due) && a.Tries == b.Tries })
}

// RotateKeys gives domains a new key. It signs in the place of the old one once its
// record stands on every authoritative server.
func (m *Module) RotateKeys(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.all(ctx, by, elids, func(elid string) error {
		d, scope, err := m.find(ctx, by, elid)
		if err != nil {
			return err
		}
		return m.newKey(ctx, by, "emaildomain.dkim.rotate", d.Name, scope, mail.DKIMKey{})
	})
}

// ImportKey gives a domain a key that was made elsewhere. It signs once its record
// stands on every authoritative server: soon where that stands already under selector.
// Without one the key gets the next free selector.
func (m *Module) ImportKey(ctx context.Context, by Actor, elid, text, selector string) (mail.Name, error) {
	d, scope, err := m.find(ctx, by, elid)
	if err != nil {
		return mail.Name{}, err
	}
	k, err := mail.ParseDKIMKey([]byte(text))
	if err != nil || k.Algorithm() == mail.DKIMRSA && k.Bits() != d.DKIMKeylen || k.Algorithm() == mail.DKIMEd25519 && !d.DKIMEd25519 {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "private", Text: "value_private", Args: map[string]string{"bits": fmt.Sprint(d.DKIMKeylen)}}
	}
	if selector == "" {
		return d.Name, m.newKey(ctx, by, "emaildomain.dkim.import", d.Name, scope, k)
	}
	s, ok := mail.ParseSelector(selector)
	if !ok {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "selector", Value: selector, Text: "value_dkim_selector"}
	}
	return d.Name, m.rekey(ctx, by, "emaildomain.dkim.import", d.Name, func(_ context.Context, tx *store.Tx, d mail.Domain, keys []mail.SigningKey) ([]mail.SigningKey, error) {
		if err := mayHaveKeys(d, scope); err != nil {
			return nil, err
		}
		after, free := d.Bring(keys, s, k, tx.Now)
		if !free {
			return nil, &mail.Error{Kind: mail.Exists, Field: "selector", Value: selector, Text: "exists_selector"}
		}
		return after, nil
	})
}

// mayHaveKeys refuses a domain outside of the scope, and one that does not sign.
func mayHaveKeys(d mail.Domain, scope mail.Scope) error {
	if !scope.Has(d.Owner) {
		return missed(d.Name.String())
	}
	if !d.DKIM {
		return &mail.Error{Kind: mail.Invalid, Field: "dkim", Text: "value_dkim_off"}
	}
	return nil
}

// newKey adds a key to a domain: the one given, or else one of our own for each
// algorithm that the domain has.
func (m *Module) newKey(ctx context.Context, by Actor, function string, n mail.Name, scope mail.Scope, given mail.DKIMKey) error {
	return m.withKeys(func(spare spareKeys) error {
		return m.rekey(ctx, by, function, n, func(ctx context.Context, tx *store.Tx, d mail.Domain, keys []mail.SigningKey) ([]mail.SigningKey, error) {
			if err := mayHaveKeys(d, scope); err != nil {
				return nil, err
			}
			past, err := pastSelectors(ctx, tx, n, keys)
			if err != nil {
				return nil, err
			}
			if !given.IsZero() {
				return d.Rotate(keys, given, tx.Now, past...), nil
			}
			for _, a := range []mail.DKIMAlgorithm{mail.DKIMRSA, mail.DKIMEd25519} {
				if a == mail.DKIMEd25519 && !d.DKIMEd25519 {
					continue
				}
				k, err := spare.take(a, d)
				if err != nil {
					return nil, err
				}
				keys = d.Rotate(keys, k, tx.Now, past...)
			}
			return keys, nil
		})
	})
}

// rekey is change for the keys of a domain alone.
func (m *Module) rekey(ctx context.Context, by Actor, function string, n mail.Name,
	decide func(context.Context, *store.Tx, mail.Domain, []mail.SigningKey) ([]mail.SigningKey, error)) error {
	facts, err := m.publication(ctx)
	if err != nil {
		return err
	}
	return m.change(ctx, by, function, n.String(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
		d, err := domain(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, missed(n.String())
		}
		was, err := tx.KeysOf(ctx, n)
		if err != nil {
			return nil, err
		}
		is, err := decide(ctx, tx, *d, was)
		if err != nil {
			return nil, err
		}
		if sameKeys(was, is) { // nothing for the history
			if sameTimes(was, is) {
				return nil, nil
			}
			tx.Aside()
			return nil, tx.PutKeys(ctx, n, was, is)
		}
		if err := tx.PutKeys(ctx, n, was, is); err != nil {
			return nil, err
		}
		s, err := side(ctx, tx, *d)
		if err != nil {
			return nil, err
		}
		before, after := s, s
		before.Keys, after.Keys = was, is
		did := &deed{
			domain: n,
			// With the owner, so that a later one does not see it.
			before: map[string]string{"owner": d.Owner, "keys": keysText(was)}, after: map[string]string{"owner": d.Owner, "keys": keysText(is)},
		}
		if did.plan, err = m.tree.Layout().Plan(before, after, nil); err != nil {
			return nil, err
		}
		if err := m.want(ctx, tx, did, facts, d, is); err != nil || len(did.dns) > 0 {
			return did, err
		}
		return did, tx.RenewNote(ctx, n)
	})
}

// furnish makes the keys that a domain is to have and has not: of one from before
// there were keys, or one brought back without.
func (m *Module) furnish(ctx context.Context, n mail.Name) error {
	return m.withKeys(func(spare spareKeys) error {
		return m.rekey(ctx, itself, "emaildomain.dkim.rotate", n, func(ctx context.Context, tx *store.Tx, d mail.Domain, _ []mail.SigningKey) ([]mail.SigningKey, error) {
			_, is, err := sign(ctx, tx, &d, &d, spare)
			return is, err
		})
	})
}

// keysText is keys as the history has them: selectors and states, no secret.
func keysText(keys []mail.SigningKey) string {
	var s string
	for _, k := range keys {
		if s != "" {
			s += ", "
		}
		s += k.Selector.String() + " " + k.Key.String() + " " + string(k.State)
	}
	return s
}
