package module

import (
	"crypto/x509"
	"slices"
	"sync"

	"maildomain/module/dns"
	"maildomain/module/mail"
)

// orders are the certificates that are being ordered.
type orders struct {
	roots *x509.CertPool // that authorities are trusted by; nil: the system's
	dial  dns.Dialer     // that they are reached by; nil: net.Dialer
	reach dns.Dialer     // that our own proofs are looked at by; nil: net.Dialer

	rested  bool       // the first round of this process is over
	opening sync.Mutex // one account at a time

	mu      sync.Mutex
	names   map[mail.Name]bool // in the orders that are under way
	owners  map[string]int     // how many of these are for domains of each
	proving map[heldProof]bool // that are to stand
}

// begin notes that an order is under way.
func (s *orders) begin(o *dueOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names, s.owners = map[mail.Name]bool{}, map[string]int{}
	}
	for _, n := range o.Names {
		s.names[n] = true
	}
	s.owners[o.owner]++
}

// end notes that it is so no longer.
func (s *orders) end(o *dueOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range o.Names {
		delete(s.names, n)
	}
	if s.owners[o.owner]--; s.owners[o.owner] == 0 {
		delete(s.owners, o.owner)
	}
}

// some says that there are orders under way.
func (s *orders) some() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names) > 0
}

// under says that one of names is in an order under way.
func (s *orders) under(names []mail.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(names, func(n mail.Name) bool { return s.names[n] })
}

// busy are the owners for whom as many are under way as may be for one.
func (s *orders) busy() (owners []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for owner, n := range s.owners {
		if n >= ordersOfOne {
			owners = append(owners, owner)
		}
	}
	return owners
}
