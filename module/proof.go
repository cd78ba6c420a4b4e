package module

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// proofTries are when the servers are asked again that show another certificate than
// they are to, or none, after the first look: Dovecot takes some seconds for a reload.
var proofTries = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}

const (
	provedAtOnce = 4                // domains that are asked about
	restsFor     = 10 * time.Minute // between looks where nobody could be asked
	doubtLasts   = 24 * time.Hour   // after which what was served before is given up, though nobody can be asked
)

// proofs are domains whose certificates are to be seen served.
type proofs struct {
	asker files.Asker

	mu       sync.Mutex
	todo     map[mail.Name]proof
	recalled bool // what an earlier process did not see is in it
}

// A proof is how far it is for one domain.
type proof struct {
	due   time.Time
	tries int  // that have failed
	rests bool // nobody could be asked, or nobody else asks: now and then it is tried again
	round int  // counts what is to be proved: a proof of what was served before says nothing
}

// AskServers has certificates looked for at these servers after each change, and with
// each check of a domain. It is called before the module serves; where it is not,
// nobody is asked.
func (m *Module) AskServers(servers []files.Server) { m.proofs.asker.Servers = servers }

// prove has the certificates of domains looked for at the mail servers: every name of
// each domain. It is called when the servers were told of certificates that changed:
// after Dovecot's reload, with every domain that the reload was for, also those that
// serve none any more; and never in a transaction. It asks nobody: LookServed does. The
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
// before it knows. Where nobody could be asked it is tried again by the next process.
func (m *Module) Proving() bool {
	m.proofs.mu.Lock()
	defer m.proofs.mu.Unlock()
	for _, p := range m.proofs.todo {
		if !p.rests {
			return true
		}
	}
	return false
}

// dueBy are the domains to be proved by an instant, sorted, and how far each is.
func (p *proofs) dueBy(now time.Time) (ns []mail.Name, at map[mail.Name]proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at = map[mail.Name]proof{}
	for n, w := range p.todo {
		if !w.due.After(now) {
			ns = append(ns, n)
			at[n] = w
		}
	}
	slices.SortFunc(ns, byName)
	return ns, at
}

// stands says that nothing else is to be proved of a domain by now than was looked for.
func (p *proofs) stands(n mail.Name, was proof) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.todo[n].round == was.round
}

// again has a domain looked for once more; false: that was done often enough.
func (p *proofs) again(n mail.Name, was proof, now time.Time) bool {
	if was.tries == len(proofTries) {
		return false
	}
	p.put(n, was, proof{due: now.Add(proofTries[was.tries]), tries: was.tries + 1, round: was.round})
	return true
}

// rest has a domain looked for in a while, after so many tries.
func (p *proofs) rest(n mail.Name, was proof, now time.Time, tries int) {
	p.put(n, was, proof{due: now.Add(restsFor), tries: tries, rests: true, round: was.round})
}

func (p *proofs) put(n mail.Name, was, is proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.todo[n].round == was.round {
		p.todo[n] = is
	}
}

func (p *proofs) over(n mail.Name, was proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.todo[n].round == was.round {
		delete(p.todo, n)
	}
}

// LookServed asks the mail servers for the certificates that are to be proved and are
// due. A certificate that is seen served at every port where somebody answers is there
// to stay. Where one is not, and the servers have had their time, the certificate
// before is put back, and it is noted; once, for what is put back has none before it.
func (m *Module) LookServed(ctx context.Context) error {
	if err := m.recallProofs(ctx); err != nil {
		return err
	}
	due, at := m.proofs.dueBy(m.db.Now())
	if len(due) == 0 {
		return nil
	}
	before, err := m.toShow(ctx)
	if err != nil {
		return err
	}
	var all errgroup.Group
	all.SetLimit(provedAtOnce)
	failed := make([]error, len(due))
	for i, n := range due {
		all.Go(func() error {
			if err := m.lookFor(ctx, n, at[n], before); err != nil && ctx.Err() == nil {
				failed[i] = fmt.Errorf("see whether the certificate of %s is served: %w", n, err)
				m.proofs.over(n, at[n]) // the database, which says so itself; a check looks again
			}
			return nil
		})
	}
	return errors.Join(append(failed, all.Wait())...)
}

// recallProofs takes up, once, what an earlier process did not see served.
func (m *Module) recallProofs(ctx context.Context) error {
	m.proofs.mu.Lock()
	recalled := m.proofs.recalled
	m.proofs.recalled = true
	m.proofs.mu.Unlock()
	if recalled {
		return nil
	}
	var ns []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		ns, err = unproven(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read which certificates were not seen served: %w", err)
	}
	return m.prove(ctx, ns)
}

// unproven are the domains, and the server itself, whose certificates were not seen
// served yet, or else.
func unproven(ctx context.Context, tx *store.Tx) ([]mail.Name, error) {
	ns, err := tx.Unproven(ctx)
	if err != nil {
		return nil, err
	}
	own := mail.StoredName(mail.ServerCertificate)
	row, err := certificateOf(ctx, tx, own.String())
	if err != nil || row == nil {
		return ns, err
	}
	seen, err := tx.FindingsOf(ctx, own)
	if row.Before.Name != "" || slices.ContainsFunc(seen, func(f store.Finding) bool { return f.Verdict.State == mail.Wrong }) {
		ns = append(ns, own)
	}
	return ns, err
}

// What the servers are to show, and whether they know.
type toShow struct {
	wanted map[mail.Name]string // fingerprints
	hash   string               // of all
	told   bool                 // Dovecot was told of just that
}

func (m *Module) toShow(ctx context.Context) (t toShow, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, applied, err := m.servedState(ctx, tx)
		t = toShow{wanted: wantedShown(s.blocks), hash: s.hash, told: applied}
		return err
	})
	if err != nil {
		return t, fmt.Errorf("read what is served: %w", err)
	}
	return t, nil
}

// wantedShown is the fingerprint that is to be shown for each name.
func wantedShown(bs []block) map[mail.Name]string {
	wanted := map[mail.Name]string{}
	for _, b := range bs {
		for _, n := range b.Names {
			wanted[n] = b.fingerprint
		}
	}
	return wanted
}

// lookFor asks about one domain and draws the conclusions. Nothing is blamed on a
// certificate unless Dovecot knew of it all the while: Exim shows it before.
func (m *Module) lookFor(ctx context.Context, n mail.Name, p proof, before toShow) error {
	s, err := m.see(ctx, n, before.wanted)
	if err != nil || ctx.Err() != nil || !m.proofs.stands(n, p) {
		return err
	}
	state := s.state()
	if (state == mail.Wrong || state == mail.Unknown && !p.rests) && m.proofs.again(n, p, m.db.Now()) {
		return nil
	}
	blames, known := s.blames(), true
	if blames {
		now, err := m.toShow(ctx)
		if err != nil {
			return err
		}
		known = before.told && now.told && before.hash == now.hash
	}
	switch {
	case state == mail.Unknown && s.row != nil && s.row.Before.Name != "" && !s.settled(m.db.Now()):
		m.proofs.rest(n, p, m.db.Now(), 0)
	case !known: // the reload begins anew
		m.proofs.rest(n, p, m.db.Now(), len(proofTries))
	case state == mail.Wrong && n.String() == mail.ServerCertificate: // no check of a domain looks again
		m.proofs.rest(n, p, m.db.Now(), len(proofTries))
	default:
		defer m.proofs.over(n, p)
	}
	if blames && known && s.canGoBack(m.db.Now()) {
		if err := m.putBack(ctx, s); err != nil {
			return err
		}
	} else if state == mail.Wrong && !p.rests {
		m.log.Warn().Str("domain", n.String()).Msg("the certificate is not what every mail server shows; its form says which")
	}
	return m.keepSeen(ctx, s)
}

// keepSeen writes down what was seen, and gives up what was served before where the new
// certificate was seen, or nobody could be asked for a day.
func (m *Module) keepSeen(ctx context.Context, s *sight) error {
	return m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		if s.row != nil && s.settled(tx.Now) {
			if err := tx.ForgetBefore(ctx, s.row.Name, fingerprintOf(s.row)); err != nil {
				return err
			}
		}
		return tx.PutFindingsFor(ctx, s.name, mail.ForTLS, s.findings)
	})
}

// byUrgency orders what was found of several names: what is wrong comes first.
func byUrgency(a, b store.Finding) int {
	rank := map[mail.State]int{mail.Wrong: 0, mail.Unknown: 1, mail.Right: 2}
	return cmp.Compare(rank[a.Verdict.State], rank[b.Verdict.State])
}
