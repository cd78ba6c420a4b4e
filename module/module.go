// Package module holds the verbs: what the panel can ask for, each a method of
// Module. It is the text to read first.
//
// The database (store) says how things should be; the files of Exim and Dovecot
// follow from it (files). A verb says who may, parses, and decides what a domain
// is to be; change carries it out, wholly or not at all.
package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module/dns"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A Module answers the panel.
type Module struct {
	db    *store.DB
	tree  *files.Tree
	panel Panel
	alone bool // without a panel: its settings are as they were last
	log   zerolog.Logger

	changes zerolog.Logger // a line for each change of a domain

	unpublished  atomic.Bool // a committed change is not in the files: reconcile is wanted
	moving       moving
	underway     atomic.Bool // deleted mail was moved, and its row does not say so yet
	hashes       atomic.Int64
	hashing      chan struct{}                 // one password at a time: a hash takes 19 MB
	over         logins                        // whose sessions are to be ended
	stock        stock                         // of keys
	reloads      reloads                       // of Dovecot, for certificates
	certificates ownFollowed                   // of owners, in the panel
	silentUntil  atomic.Int64                  // no change waits for DNS before then, ms since 1970
	doubt        atomic.Bool                   // the panel may have other settings and plans than what rows say
	replaced     atomic.Bool                   // the panel has other zones than when records were handed over
	following    atomic.Bool                   // Follow is under way
	spoken       atomic.Int64                  // counts what the panel said by itself
	settled      atomic.Pointer[mail.Settings] // as read last; nil: to be read
	resettled    atomic.Int64                  // counts changes of them
	doubtAfter   atomic.Int64                  // it is not asked before then, ms since 1970
	lanes        *lanes                        // of hand-overs
	awaited      atomic.Bool                   // something is to be done about DNS soon
	checkAfter   atomic.Int64                  // domains that lists note something of are not looked at before then, ms since 1970
	dial         dns.Dialer                    // that name servers are asked by; nil: net.Dialer
	drift        atomic.Int64                  // files that differed and could not be put right, as of the last reconcile
	counting     counting                      // of letters
	filterWatch  filterWatch                   // which filters answer
	proofs       proofs                        // that certificates are served
	orders       orders                        // of certificates
}

// A Panel is what the module asks the panel core. The functions may call back
// over the connection that the context came with; none is called in a transaction.
// One that is nil is beyond the panel.
type Panel struct {
	// User is the user of that name; false where there is none.
	User func(ctx context.Context, name string) (mail.User, bool, error)
	// UsersOf are the users of a reseller, or of everyone where parent is "".
	UsersOf func(ctx context.Context, parent string) ([]mail.User, error)
	// Params are the server's settings.
	Params func(ctx context.Context) (mail.Params, error)
	// DNS hands records of a domain over to the core, and says of each what became of it.
	// The owner is that of the mail domain; "" where it is none, but the server's own.
	DNS func(ctx context.Context, domain mail.Name, owner string, changes []mail.RecordChange) ([]mail.RecordOutcome, error)
	// Progress tells how far the call of a request is. Nothing waits for it.
	Progress func(ctx context.Context, requestID string, done, total int)
	// Certificate is a certificate that an owner has in the panel, with its key, both
	// in PEM; false where there is none of that name. An error without ErrRefused in it
	// says that the panel cannot be asked for any.
	Certificate func(ctx context.Context, owner, name string) (chain, key []byte, found bool, err error)
	// Certificates are the names of those that an owner has, in order.
	Certificates func(ctx context.Context, owner string) ([]string, error)
	// HTTP01 has the panel's web server answer with a proof, or no longer (RFC 8555 section 8.3).
	HTTP01 func(ctx context.Context, put bool, token, keyAuth string) error
	// Wake has the panel call the module at that instant; never, for the zero one.
	Wake func(ctx context.Context, at time.Time)
}

// New is a module over an open database and tree.
func New(db *store.DB, tree *files.Tree, panel Panel, log zerolog.Logger) *Module {
	m := &Module{db: db, tree: tree, panel: panel, log: log, changes: zerolog.Nop(), hashing: make(chan struct{}, 1), lanes: newLanes()}
	m.doubt.Store(true) // it may have changed while nobody was here
	m.certificates.doubt.Store(true)
	m.reloads.conf = tree.DovecotConf()
	return m
}

// LogChanges has every change written to log, one line each, once it is durable.
// It is called before the module serves.
func (m *Module) LogChanges(log zerolog.Logger) { m.changes = log }

// An Actor is who asks, as the core has checked.
type Actor struct {
	User      string
	Level     mail.Level
	Lang      string
	SuBy      string // the user behind "log in as"; empty for none
	RequestID string // empty: the call cannot be repeated safely
	RemoteIP  string
	Preview   *Preview // not nil: nothing is changed, and this is told what would be
	Records   *Reading // not nil: is told what records a new domain needs and how each stands; none where that is to be read

	about string // what answers are kept under; empty: the object that is changed
}

// scope is the circle of owners that an actor may see. It is worked out before
// anything is read or written.
func (m *Module) scope(ctx context.Context, by Actor) (mail.Scope, error) {
	switch {
	case by.User == "" || !by.Level.Known():
		return mail.Scope{}, &mail.Error{Kind: mail.Access, Field: "level"}
	case by.Level == mail.LevelAdmin:
		return mail.Scope{All: true}, nil
	case by.Level == mail.LevelUser:
		return mail.Scope{Owners: []string{by.User}}, nil
	}
	users, err := m.panel.UsersOf(ctx, by.User)
	if err != nil {
		return mail.Scope{}, fmt.Errorf("ask for the users of %s: %w", by.User, err)
	}
	owners := []string{by.User}
	for _, u := range users {
		owners = append(owners, u.Name)
	}
	slices.Sort(owners)
	return mail.Scope{Owners: slices.Compact(owners)}, nil
}

// missed is the answer about an object that is not there, or that this actor may
// not know of: the two are the same.
func missed(elid string) error {
	return &mail.Error{Kind: mail.NotFound, Field: "elid", Value: elid}
}

// find is the domain that elid names and the actor's scope.
func (m *Module) find(ctx context.Context, by Actor, elid string) (mail.Domain, mail.Scope, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return mail.Domain{}, scope, err
	}
	n, err := mail.ParseName(elid)
	if err != nil {
		return mail.Domain{}, scope, missed(elid)
	}
	var d mail.Domain
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var found bool
		d, found, err = tx.Domain(ctx, n)
		if err == nil && (!found || !scope.Has(d.Owner)) {
			err = missed(elid)
		}
		return err
	})
	return d, scope, err
}

// ListDomains is a page of the mail domains that the actor may see, and how many
// there are in all pages together.
func (m *Module) ListDomains(ctx context.Context, by Actor, q mail.Query) ([]mail.Domain, int64, error) {
	var err error
	if q.Scope, err = m.scope(ctx, by); err != nil {
		return nil, 0, err
	}
	q.Name = strings.ToLower(q.Name)
	var ds []mail.Domain
	var total int64
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		ds, total, err = tx.ListDomains(ctx, q)
		return err
	})
	m.noteFilters(ds)
	return ds, total, err
}

// Health is how the module is.
type Health struct {
	OK       bool
	Domains  int64
	Revision int64 // of the database
	Applied  int64 // that the files are known to follow
	Drift    int64 // files that differ and could not be put right

	Queues map[string]int // what waits for the background: records, keys, mail, a reload of Dovecot

	Filters map[string]FilterState // of those that are used
}

// Health reads it.
func (m *Module) Health(ctx context.Context) (Health, error) {
	var s store.State
	var queues map[string]int
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if s, err = tx.State(ctx); err != nil {
			return err
		}
		queues, err = tx.Queues(ctx)
		return err
	})
	if err != nil {
		return Health{}, fmt.Errorf("read the state of the database: %w", err)
	}
	h := Health{OK: true, Queues: queues, Domains: s.Domains, Revision: s.Revision, Applied: s.Revision, Drift: m.drift.Load(), Filters: map[string]FilterState{}}
	if m.unpublished.Load() {
		h.OK, h.Applied = false, max(0, s.Revision-1)
	}
	h.Queues["reload"] = 0
	if m.Reloading() {
		h.Queues["reload"] = 1
	}
	ready, err := m.tree.Ready()
	h.OK = h.OK && m.reloadFailure() == "" && h.Drift == 0 && ready && err == nil
	states, err := m.FilterStates(ctx)
	if err != nil {
		return Health{}, err
	}
	for name, s := range states {
		if s != FilterOff {
			h.Filters[name] = s
		}
		h.OK = h.OK && !s.Fails()
	}
	return h, nil
}

// Close notes that everything is in order, so that the next start need not
// compare every file. The database and the tree are closed by whoever opened them.
func (m *Module) Close(ctx context.Context) error {
	if m.unpublished.Load() {
		return nil
	}
	err := m.Settle(ctx)
	if err != nil {
		return err
	}
	h, err := m.Health(ctx)
	if err == nil {
		err = m.db.MarkClean(ctx, h.Revision)
	}
	if err != nil {
		return fmt.Errorf("note an orderly stop: %w", err)
	}
	return nil
}

// answersKept is how long a repeated call gets its first answer.
const answersKept = 24 * time.Hour

// ForgetAnswers drops the answers that are too old to be asked for again.
func (m *Module) ForgetAnswers(ctx context.Context, now time.Time) error {
	if err := m.db.ForgetAnswers(ctx, now.Add(-answersKept)); err != nil && !errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("drop old answers: %w", err)
	}
	return nil
}
