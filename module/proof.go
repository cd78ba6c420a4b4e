package module

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"maildomain/module/mail"
)

// proofTries are when the servers are asked again that show another certificate than
// they are to, or none: Dovecot takes some seconds for a reload.
var proofTries = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}

// proofs are domains whose certificates are to be seen served.
type proofs struct {
	mu   sync.Mutex
	todo map[mail.Name]proof
}

// A proof is how far it is for one domain.
type proof struct {
	due   time.Time
	tries int // that have failed
	round int // counts what is to be proved: a proof of what was served before says nothing
}

// prove has the certificates of domains looked for at the mail servers: every name of
// each domain. It is called when the servers were told of certificates that changed:
// after Dovecot's reload, with every domain that the reload was for, also those that
// serve none any more; and never in a transaction. It asks nobody: Proofs does. The
// certificate of the server itself goes by the name mail.ServerCertificate.
func (m *Module) prove(_ context.Context, domains []mail.Name) error {
	now := m.db.Now()
	m.proofs.mu.Lock()
	defer m.proofs.mu.Unlock()
	if m.proofs.todo == nil {
		m.proofs.todo = map[mail.Name]proof{}
	}
	for _, n := range domains {
		m.proofs.todo[n] = proof{due: now, round: m.proofs.todo[n].round + 1}
	}
	return nil
}

// Proving says that certificates are to be looked for soon: the module does not end
// before it knows.
func (m *Module) Proving() bool {
	m.proofs.mu.Lock()
	defer m.proofs.mu.Unlock()
	return len(m.proofs.todo) > 0
}

// dueBy are the domains to be proved by an instant, sorted.
func (p *proofs) dueBy(now time.Time) (ns []mail.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, w := range p.todo {
		if !w.due.After(now) {
			ns = append(ns, n)
		}
	}
	slices.SortFunc(ns, func(a, b mail.Name) int { return cmp.Compare(a.String(), b.String()) })
	return ns
}
