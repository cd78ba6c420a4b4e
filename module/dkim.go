package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// A stock is RSA keys made beforehand: one of 2048 bits takes some 50 ms, half a
// hundred times what a change does.
type stock struct {
	mu     sync.Mutex
	keys   map[int][]mail.DKIMKey // by bits
	making bool
}

// stocked is how many keys of one length are kept ready, once one was asked for.
const stocked = 4

// key is a new key of an algorithm, from the stock where that has one. It is not to
// be called in a transaction.
func (m *Module) key(a mail.DKIMAlgorithm, bits int) (mail.DKIMKey, error) {
	if a == mail.DKIMEd25519 {
		return mail.NewEd25519Key()
	}
	s := &m.stock
	s.mu.Lock()
	var k mail.DKIMKey
	if n := len(s.keys[bits]); n > 0 {
		k, s.keys[bits] = s.keys[bits][n-1], s.keys[bits][:n-1]
	}
	if !s.making {
		s.making = true
		go s.fill(bits)
	}
	s.mu.Unlock()
	if !k.IsZero() {
		return k, nil
	}
	return mail.NewRSAKey(bits)
}

// fill makes keys until the stock has enough of that length.
func (s *stock) fill(bits int) {
	for {
		s.mu.Lock()
		if s.keys == nil {
			s.keys = map[int][]mail.DKIMKey{}
		}
		if len(s.keys[bits]) >= stocked {
			s.making = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		k, err := mail.NewRSAKey(bits)
		s.mu.Lock()
		if err != nil { // whoever needs a key next is told
			s.making = false
			s.mu.Unlock()
			return
		}
		s.keys[bits] = append(s.keys[bits], k)
		s.mu.Unlock()
	}
}

// errNeedsKey is the error of a change that lacks a key: it is made outside of the
// transaction, and the change tried again.
type errNeedsKey struct {
	algorithm mail.DKIMAlgorithm
	bits      int
}

func (errNeedsKey) Error() string { return "a key is to be made first" }

// withKeys runs a change, and makes the keys that it turns out to need.
func (m *Module) withKeys(change func(spare map[mail.DKIMAlgorithm]mail.DKIMKey) error) error {
	spare := map[mail.DKIMAlgorithm]mail.DKIMKey{}
	for {
		err := change(spare)
		need, is := errors.AsType[errNeedsKey](err)
		if !is {
			return err
		}
		if !spare[need.algorithm].IsZero() {
			return fmt.Errorf("use a %s key of %d bits: the change does not take it", need.algorithm, need.bits)
		}
		if spare[need.algorithm], err = m.key(need.algorithm, need.bits); err != nil {
			return err
		}
	}
}

// sign makes the keys of a domain what its settings want. It takes new ones from spare.
func sign(ctx context.Context, tx *store.Tx, before, after *mail.Domain, spare map[mail.DKIMAlgorithm]mail.DKIMKey) (was, is []mail.SigningKey, err error) {
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
		k, ok := spare[a]
		if !ok {
			return nil, nil, errNeedsKey{a, after.DKIMKeylen}
		}
		is = after.Rotate(is, k, tx.Now)
	}
	return was, is, nil
}

// sameKeys says that both are the same keys in the same states.
func sameKeys(a, b []mail.SigningKey) bool {
	return slices.EqualFunc(a, b, func(a, b mail.SigningKey) bool {
		return a.Selector == b.Selector && a.State == b.State && a.Due.Equal(b.Due) && a.Tries == b.Tries
	})
}

// sameStates is sameKeys but for when they are looked at.
func sameStates(a, b []mail.SigningKey) bool {
	return slices.EqualFunc(a, b, func(a, b mail.SigningKey) bool { return a.Selector == b.Selector && a.State == b.State })
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
// stands on every authoritative server.
func (m *Module) ImportKey(ctx context.Context, by Actor, elid, text string) (mail.Name, error) {
	d, scope, err := m.find(ctx, by, elid)
	if err != nil {
		return mail.Name{}, err
	}
	k, err := mail.ParseDKIMKey([]byte(text))
	if err != nil || k.Algorithm() == mail.DKIMRSA && k.Bits() != d.DKIMKeylen {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "private", Text: "value_private", Args: map[string]string{"bits": fmt.Sprint(d.DKIMKeylen)}}
	}
	return d.Name, m.newKey(ctx, by, "emaildomain.dkim.import", d.Name, scope, k)
}

// newKey adds a key to a domain: the one given, or else one of our own for each
// algorithm that the domain has.
func (m *Module) newKey(ctx context.Context, by Actor, function string, n mail.Name, scope mail.Scope, given mail.DKIMKey) error {
	return m.withKeys(func(spare map[mail.DKIMAlgorithm]mail.DKIMKey) error {
		return m.rekey(ctx, by, function, n, func(ctx context.Context, tx *store.Tx, d mail.Domain, keys []mail.SigningKey) ([]mail.SigningKey, error) {
			switch {
			case !scope.Has(d.Owner):
				return nil, missed(n.String())
			case !d.DKIM:
				return nil, &mail.Error{Kind: mail.Invalid, Field: "dkim", Text: "value_dkim_off"}
			case !given.IsZero():
				return d.Rotate(keys, given, tx.Now), nil
			}
			for _, a := range []mail.DKIMAlgorithm{mail.DKIMRSA, mail.DKIMEd25519} {
				if a == mail.DKIMEd25519 && !d.DKIMEd25519 {
					continue
				}
				k, ok := spare[a]
				if !ok {
					return nil, errNeedsKey{a, d.DKIMKeylen}
				}
				keys = d.Rotate(keys, k, tx.Now)
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
		if err != nil || sameKeys(was, is) {
			return nil, err
		}
		if err := tx.PutKeys(ctx, n, was, is); err != nil {
			return nil, err
		}
		if sameStates(was, is) { // only the next look is another time
			tx.Aside()
			return nil, nil
		}
		s, err := side(ctx, tx, *d)
		if err != nil {
			return nil, err
		}
		before, after := s, s
		before.Keys, after.Keys = was, is
		did := &deed{before: map[string]string{"keys": keysText(was)}, after: map[string]string{"keys": keysText(is)}}
		if did.plan, err = m.tree.Layout().Plan(before, after, nil); err != nil {
			return nil, err
		}
		return did, m.want(ctx, tx, did, facts, d, is)
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
