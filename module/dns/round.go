package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"maildomain/module/mail"
)

// A round asks a resolver each question once, however many need the answer, and a
// server that did not answer no more.
type round struct {
	*Asker
	mu     sync.Mutex
	asked  map[roundKey]*roundAnswer
	silent map[netip.AddrPort]error
}

type roundKey struct {
	name string
	t    uint16
}

type roundAnswer struct {
	once sync.Once
	msg  *dns.Msg
	from netip.AddrPort
	err  error
}

func (a *Asker) round() *round {
	return &round{Asker: a, asked: map[roundKey]*roundAnswer{}, silent: map[netip.AddrPort]error{}}
}

// resolve asks the resolvers in turn until one says something.
func (r *round) resolve(ctx context.Context, name string, t uint16) (*dns.Msg, netip.AddrPort, error) {
	k := roundKey{strings.ToLower(name), t}
	r.mu.Lock()
	e := r.asked[k]
	if e == nil {
		e = new(roundAnswer)
		r.asked[k] = e
	}
	r.mu.Unlock()
	e.once.Do(func() {
		e.err = errNoResolver
		for _, to := range r.Resolvers {
			e.from = to
			if e.msg, e.err = r.exchangeOnce(ctx, to, name, t, true); e.err == nil {
				e.err = said(e.msg)
			}
			if e.err == nil {
				return
			}
			e.err = fmt.Errorf("ask %s for %s %s: %w", to.Addr(), name, dns.TypeToString[t], e.err)
		}
	})
	return e.msg, e.from, e.err
}

// exchangeOnce is exchange, but with a server that was silent before.
func (r *round) exchangeOnce(ctx context.Context, to netip.AddrPort, name string, t uint16, recurse bool) (*dns.Msg, error) {
	r.mu.Lock()
	before := r.silent[to]
	r.mu.Unlock()
	if before != nil {
		return nil, before
	}
	m, err := r.exchange(ctx, to, name, t, recurse)
	if err != nil {
		r.mu.Lock()
		r.silent[to] = err
		r.mu.Unlock()
	}
	return m, err
}

func (r *round) ask(ctx context.Context, name string, t mail.RecordType) Answer {
	m, from, err := r.resolve(ctx, name, wireTypes[t])
	answer := Answer{Name: name, Type: t, Addr: from, At: r.now(), Err: err}
	if err == nil {
		answer.Values, _ = values(m, name, wireTypes[t])
	}
	return answer
}

// Lookup is a mail.Lookup.
func (r *round) Lookup(ctx context.Context, name string, t mail.RecordType) ([]string, error) {
	a := r.ask(ctx, name, t)
	return a.Values, a.Err
}

// within is Lookup, but for names within the domain all that its authoritative
// servers have: a resolver may remember for hours that there was nothing.
func (r *round) within(d mail.Name) mail.Lookup {
	return func(ctx context.Context, name string, t mail.RecordType) ([]string, error) {
		if !strings.HasSuffix("."+strings.ToLower(name), "."+d.String()) {
			return r.Lookup(ctx, name, t)
		}
		answers, _ := r.everyone(ctx, name, t) // the resolver's answer is among them
		var vs []string
		said := false
		for _, a := range answers {
			if a.Err != nil || !a.Authoritative {
				continue
			}
			said = true
			for _, v := range a.Values {
				if !slices.Contains(vs, v) {
					vs = append(vs, v)
				}
			}
		}
		if said {
			return vs, nil
		}
		last := answers[len(answers)-1]
		return last.Values, last.Err
	}
}

// addresses are A and AAAA of a host; an error only where neither is known.
func addresses(ctx context.Context, ask mail.Lookup, host string) ([]netip.Addr, error) {
	v4, err4 := ask(ctx, host, mail.TypeA)
	v6, err6 := ask(ctx, host, mail.TypeAAAA)
	var as []netip.Addr
	for _, v := range append(v4, v6...) {
		if a, err := netip.ParseAddr(v); err == nil {
			as = append(as, a)
		}
	}
	if len(as) == 0 && (err4 != nil || err6 != nil) {
		return nil, errors.Join(err4, err6)
	}
	return as, nil
}

// ErrNotDelegated says that no name server serves a name, but those of a top-level domain.
var ErrNotDelegated = errors.New("no name server serves the domain")

// Bounds of a question to everyone.
const (
	mostServers   = 8 // names of servers that are asked
	mostAddresses = 2 // of each
	atOnce        = 8 // questions under way
)

// zoneServers are the names of the servers of the zone that name is in. It walks
// up: a resolver answers for the zone itself, or names it in the SOA of its answer
// for a name within.
func (r *round) zoneServers(ctx context.Context, name string) ([]string, error) {
	for strings.Contains(name, ".") {
		m, _, err := r.resolve(ctx, name, dns.TypeNS)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, rr := range m.Answer {
			if ns, ok := rr.(*dns.NS); ok && sameName(ns.Hdr.Name, name) && len(names) < mostServers {
				names = append(names, plainName(ns.Ns))
			}
		}
		if len(names) > 0 {
			return names, nil
		}
		name = above(m, name)
	}
	return nil, ErrNotDelegated
}

// above is the zone that m says name is in, or else the next name up.
func above(m *dns.Msg, name string) string {
	_, parent, _ := strings.Cut(name, ".")
	if aliasOf(m, wireName(name)) != "" {
		return parent // the SOA would be that of the alias's zone
	}
	for _, rr := range m.Ns {
		soa, ok := rr.(*dns.SOA)
		if ok && !sameName(soa.Hdr.Name, name) && dns.IsSubDomain(soa.Hdr.Name, wireName(name)) {
			return plainName(soa.Hdr.Name)
		}
	}
	return parent
}

func (r *round) everyone(ctx context.Context, name string, t mail.RecordType) ([]Answer, error) {
	resolver := make(chan Answer, 1)
	go func() { resolver <- r.ask(ctx, name, t) }()
	servers, err := r.authorities(ctx, name)
	answers := make([]Answer, len(servers), len(servers)+1)
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, s := range servers {
		g.Go(func() error {
			answers[i] = r.askServer(ctx, s, name, t)
			return nil
		})
	}
	_ = g.Wait() // each answer has its own error
	return append(answers, <-resolver), err
}

// An authority is one address of one server; an invalid address says that the
// server's name leads nowhere.
type authority struct {
	name string
	addr netip.AddrPort
	err  error
}

func (r *round) authorities(ctx context.Context, name string) ([]authority, error) {
	names, err := r.zoneServers(ctx, name)
	if err != nil {
		return nil, err
	}
	found := make([][]authority, len(names))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, n := range names {
		g.Go(func() error {
			as, err := addresses(ctx, r.Lookup, n)
			if err == nil && len(as) == 0 {
				err = errNoAddress
			}
			if err != nil {
				found[i] = []authority{{name: n, err: err}}
			}
			for _, a := range as[:min(len(as), mostAddresses)] {
				found[i] = append(found[i], authority{name: n, addr: netip.AddrPortFrom(a, 53)})
			}
			return nil
		})
	}
	_ = g.Wait() // each server has its own error
	var all []authority
	for _, f := range found {
		all = append(all, f...)
	}
	return all, nil
}

func (r *round) askServer(ctx context.Context, s authority, name string, t mail.RecordType) Answer {
	answer := Answer{Name: name, Type: t, Server: s.name, Addr: s.addr, Authoritative: true, Err: s.err}
	if s.err == nil {
		answer.Values, answer.Err = r.own(ctx, s.addr, name, t)
	}
	answer.At = r.now()
	return answer
}

// own is what a server says of its own zone; where that is an alias of a name in
// another one, the resolver says the rest.
func (r *round) own(ctx context.Context, to netip.AddrPort, name string, t mail.RecordType) ([]string, error) {
	m, err := r.exchangeOnce(ctx, to, name, wireTypes[t], false)
	if err != nil {
		return nil, err
	}
	if err := said(m); err != nil {
		return nil, err
	}
	if !m.Authoritative {
		return nil, errors.New("it does not serve the zone that it is named for")
	}
	vs, end := values(m, name, wireTypes[t])
	if len(vs) == 0 && !sameName(end, wireName(name)) {
		return r.Lookup(ctx, plainName(end), t)
	}
	return vs, nil
}
