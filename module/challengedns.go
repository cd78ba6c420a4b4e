package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"maildomain/module/acme"
	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A heldProof is a value of a proof that an order under way needs.
type heldProof struct {
	domain      mail.Name
	name, value string
}

func (m *Module) hold(n mail.Name, r mail.Record, held bool) {
	m.orders.mu.Lock()
	defer m.orders.mu.Unlock()
	if m.orders.proving == nil {
		m.orders.proving = map[heldProof]bool{}
	}
	p := heldProof{n, r.Name, r.Values[0]}
	if held {
		m.orders.proving[p] = true
	} else {
		delete(m.orders.proving, p)
	}
}

// overDNS proves by records that are handed over as all others are: a row stands
// before the value does, so that whatever happens it is taken away again.
func (m *Module) overDNS(ask *dns.Asker, w *wish) acme.DNS {
	return acme.DNS{
		Put: func(ctx context.Context, r mail.Record) error {
			n, err := m.recordsDomain(ctx, w, r.Name)
			if err != nil {
				return err
			}
			m.hold(n, r, true)
			return m.putProof(ctx, n, r)
		},
		Remove: func(ctx context.Context, r mail.Record) error {
			n, err := m.recordsDomain(ctx, w, r.Name)
			if err != nil {
				return err
			}
			defer m.hold(n, r, false)
			if w.stopped() { // the authority may be looking; its row has it taken away later
				return nil
			}
			return m.takeProof(ctx, n, r)
		},
		Shown: func(ctx context.Context, r mail.Record) (bool, error) {
			n, err := m.recordsDomain(ctx, w, r.Name)
			if err == nil {
				err = m.HandOver(ctx, n) // it may be with who passes it on to the name server
			}
			if err != nil {
				return false, err
			}
			return ask.CheckRecord(ctx, r, mail.Publication{}).Verdict.State == mail.Right, nil
		},
		Alias: ask.Alias,
	}
}

// putProof hands over a value of a proof. One that is pending may be on its way.
func (m *Module) putProof(ctx context.Context, n mail.Name, r mail.Record) error {
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.PutProof(ctx, n, r)
	})
	if err != nil {
		return fmt.Errorf("write the proof down: %w", err)
	}
	if err := m.HandOver(ctx, n); err != nil {
		return err
	}
	var rows []store.RecordRow
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.RecordsOf(ctx, n)
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Name == r.Name && row.Value == r.Values[0] && row.Why == mail.ForACME {
			return handedProblem(r.Name, row.State, row.Reason)
		}
	}
	return errors.New("the proof was taken away by somebody else")
}

// takeProof takes it away again, or has it tried again in the background.
func (m *Module) takeProof(ctx context.Context, n mail.Name, r mail.Record) error {
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.DropProof(ctx, n, r)
	})
	if err != nil {
		return fmt.Errorf("have the proof taken away: %w", err)
	}
	return m.HandOver(ctx, n)
}

// dropProofs takes away the proofs that no order under way needs: a process ended
// while they stood. While one that was begun is still to go on, the authority may be
// looking at any of them.
func (m *Module) dropProofs(ctx context.Context) error {
	var stand map[mail.Name][]mail.Record
	var begun bool
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if stand, err = tx.Proofs(ctx); err != nil || len(stand) == 0 {
			return err
		}
		begun, err = tx.OrderBegun(ctx)
		return err
	})
	if err != nil || begun {
		return err
	}
	var failed error
	for n, rs := range stand {
		for _, r := range rs {
			m.orders.mu.Lock()
			held := m.orders.proving[heldProof{n, r.Name, r.Values[0]}]
			m.orders.mu.Unlock()
			if !held {
				failed = errors.Join(failed, m.takeProof(ctx, n, r))
			}
		}
	}
	return failed
}

// handedProblem is what became of a record as a problem of its order; nil where it may
// come to stand.
func handedProblem(name string, h mail.Handed, reason string) error {
	cause := fmt.Errorf("%s is %s: %s", name, h, reason)
	switch h {
	case mail.Published, mail.Pending:
		return nil
	case mail.NoZone:
		return notHere(mail.Name{}, "acme_dns_zone", cause, "record", name)
	}
	return notHere(mail.Name{}, "acme_dns_refused", cause, "record", name, "detail", reason)
}

// tryDNS finds out whether records of proofs would be taken: it has nothing removed
// where they are to stand.
func (m *Module) tryDNS(ctx context.Context, ask *dns.Asker, w *wish) error {
	if w.set.DNS == mail.DNSByHand {
		return notHere(w.names()[0], "acme_dns_hand", errors.New("records are entered by hand"))
	}
	var first error
	for _, n := range w.names() {
		err := m.tryNameOverDNS(ctx, ask, w, n)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.beyond(mail.ChallengeDNS, n, err)
		if first == nil {
			first = err
		}
	}
	return first
}

// tryRecord asks whoever serves the zone to remove what is not there. Where something
// of ours is, it must be a proof: others are not to be mixed up with one.
func (m *Module) tryRecord(ctx context.Context, w *wish, domain mail.Name, at string) error {
	lane := m.lanes.of(domain)
	select {
	case lane <- struct{}{}: // nothing comes to stand there meanwhile
		defer func() { <-lane }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var rows []store.RecordRow
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.RecordsOf(ctx, domain)
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Name != at || r.Type != mail.TypeTXT {
			continue
		}
		if r.Why != mail.ForACME {
			return notHere(mail.Name{}, "acme_dns_foreign", errors.New("another record of the domain stands there"), "record", at)
		}
		return nil
	}
	os := m.handOver(ctx, w.set, domain, []mail.RecordChange{{Record: mail.Record{Name: at, Type: mail.TypeTXT, Why: mail.ForACME}, Remove: true}})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(os) != 1:
		return errors.New("nobody says whether the record would be taken")
	case os[0].Handed == mail.Pending:
		return notHere(mail.Name{}, "acme_dns_silent", errors.New(os[0].Reason), "record", at, "detail", os[0].Reason)
	}
	return handedProblem(at, os[0].Handed, os[0].Reason)
}

// recordsDomain is the mail domain for which the record of a proof is handed over: the
// order's own, or another one of its owner's. What an alias leads into beyond these is
// not written to, for anybody can have an alias lead anywhere.
func (m *Module) recordsDomain(ctx context.Context, w *wish, at string) (mail.Name, error) {
	for _, n := range append([]mail.Name{w.records}, w.order.Names...) {
		if within(at, n) {
			return n, nil
		}
	}
	foreign := notHere(mail.Name{}, "acme_dns_foreign", errors.New("the alias leads out of the owner's mail domains"), "record", at)
	base := at
	for strings.HasPrefix(base, "_") && strings.Contains(base, ".") {
		_, base, _ = strings.Cut(base, ".")
	}
	to, err := mail.ParseName(base)
	if err != nil {
		return mail.Name{}, foreign
	}
	var found mail.Name
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, n := range append([]mail.Name{to}, to.Parents()...) {
			d, there, err := tx.Domain(ctx, n)
			if err != nil {
				return err
			}
			if there {
				if w.owner == "" || d.Owner == w.owner {
					found = n
				}
				return nil
			}
		}
		if w.owner == "" { // an administrator's
			found = to
			return nil
		}
		if w.set.DNS != mail.DNSByServer {
			return nil // the panel's zones have owners of their own
		}
		near, err := tx.OtherOwnerNear(ctx, to, w.owner)
		if err == nil && !near {
			found = to
		}
		return err
	})
	if err == nil && found.IsZero() {
		return found, foreign
	}
	return found, err
}

// within says that a record's name is n or below it.
func within(record string, n mail.Name) bool {
	return record == n.String() || strings.HasSuffix(record, "."+n.String())
}

// sortedNames is ns in order, each once.
func sortedNames(ns []mail.Name) []mail.Name {
	ns = slices.Clone(ns)
	slices.SortFunc(ns, func(a, b mail.Name) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(ns)
}
