package module

import (
	"errors"
	"fmt"
	"sync"

	"maildomain/module/mail"
)

// A stock is RSA keys made beforehand: one of 2048 bits takes some 50 ms, half a
// hundred times what a change does.
type stock struct {
	mu     sync.Mutex
	keys   map[int][]mail.DKIMKey // by bits
	making map[int]bool
}

// How many keys of one length are kept ready: the background tops the stock up, so
// that making the next key does not slow the call that took one, unless few are left.
const (
	stocked = 8
	few     = 2
)

// key is a new key of an algorithm, from the stock where that has one. It is not to
// be called in a transaction.
func (m *Module) key(a mail.DKIMAlgorithm, bits int) (mail.DKIMKey, error) {
	if a == mail.DKIMEd25519 {
		return mail.NewEd25519Key()
	}
	if k := m.stock.pop(bits); !k.IsZero() {
		return k, nil
	}
	return mail.NewRSAKey(bits)
}

// pop takes a key from the stock; the zero key where it has none of that length.
func (s *stock) pop(bits int) (k mail.DKIMKey) {
	s.mu.Lock()
	if n := len(s.keys[bits]); n > 0 {
		k, s.keys[bits] = s.keys[bits][n-1], s.keys[bits][:n-1]
	}
	left := len(s.keys[bits])
	s.mu.Unlock()
	if left < few {
		s.stockUp(bits)
	}
	return k
}

// stockUp has the stock filled beside what goes on.
func (s *stock) stockUp(bits int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.making[bits] || len(s.keys[bits]) >= stocked {
		return
	}
	if s.making == nil {
		s.keys, s.making = map[int][]mail.DKIMKey{}, map[int]bool{}
	}
	s.making[bits] = true
	go s.fill(bits)
}

// fill makes keys until the stock has enough of that length.
func (s *stock) fill(bits int) {
	for {
		s.mu.Lock()
		if len(s.keys[bits]) >= stocked {
			s.making[bits] = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		k, err := mail.NewRSAKey(bits)
		s.mu.Lock()
		if err != nil { // whoever needs a key next is told
			s.making[bits] = false
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

// spareKeys are those that a change takes: from the stock, and what was made for it.
type spareKeys struct {
	stock *stock
	keys  map[errNeedsKey]mail.DKIMKey
}

// take is the spare key of an algorithm, for a domain as it is set. It makes none
// that takes long: it runs in the transaction.
func (s spareKeys) take(a mail.DKIMAlgorithm, d mail.Domain) (mail.DKIMKey, error) {
	need := errNeedsKey{algorithm: a}
	if a == mail.DKIMRSA {
		need.bits = d.DKIMKeylen
	}
	if k, ok := s.keys[need]; ok {
		return k, nil
	}
	var k mail.DKIMKey
	if a == mail.DKIMEd25519 {
		var err error
		if k, err = mail.NewEd25519Key(); err != nil {
			return k, err
		}
	} else {
		k = s.stock.pop(need.bits)
	}
	if k.IsZero() {
		return k, need
	}
	s.keys[need] = k
	return k, nil
}

// withKeys runs a change, and makes the keys that it needs and the stock has not.
func (m *Module) withKeys(change func(spareKeys) error) error {
	spare := spareKeys{&m.stock, map[errNeedsKey]mail.DKIMKey{}}
	for {
		err := change(spare)
		need, is := errors.AsType[errNeedsKey](err)
		switch {
		case !is: // keys that it took are never given to another, whatever came of it
			return err
		case !spare.keys[need].IsZero():
			return fmt.Errorf("use a %s key of %d bits: the change does not take it", need.algorithm, need.bits)
		}
		if spare.keys[need], err = m.key(need.algorithm, need.bits); err != nil {
			return err
		}
	}
}
