package module

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"maildomain/module/acme"
	"maildomain/module/dns"
	"maildomain/module/mail"
)

// notHere is why a proof cannot be put where an authority looks for it.
func notHere(n mail.Name, text string, cause error, args ...string) *acme.Problem {
	p := &acme.Problem{Kind: acme.NotHere, Name: n, Text: text, Args: map[string]string{"name": n.Unicode()}, Cause: cause}
	for i := 0; i+1 < len(args); i += 2 {
		p.Args[args[i]] = args[i+1]
	}
	return p
}

// solver chooses how an order is proved, by what can work: nothing is asked of the
// authority that counts before it is known. The error is a *acme.Problem that says
// why nothing can. Done is to be called when the order is over.
func (m *Module) solver(ctx context.Context, dir acme.Directory, a acme.Account, w *wish) (_ acme.Solver, done func(), err error) {
	done = func() {}
	ask, err := m.asker(w.set)
	if err != nil {
		return nil, done, err
	}
	if w.resumed && w.challenge != mail.ChallengeAuto {
		if w.challenge == mail.ChallengeDNS {
			return m.overDNS(ask, w), done, nil
		}
		h, done, p := m.overHTTP(ask, w)
		if p != nil {
			return nil, done, p
		}
		return h, done, nil
	}
	terms, err := dir.Look(ctx)
	if err != nil {
		return nil, done, err
	}
	allowed := func(by mail.Challenge) error {
		i := acme.Issuing{Identities: terms.Identities, Account: a.URL, Method: string(by)}
		return w.eachName(ctx, by, func(n mail.Name) error { return acme.CheckCAA(ctx, caaOf(ask), n, i) })
	}
	var web, record error
	if w.challenge != mail.ChallengeDNS {
		h, done, p := m.overHTTP(ask, w)
		if web = orNil(p); web == nil {
			if web = m.tryHTTP(ctx, ask, w, h); web == nil {
				web = allowed(mail.ChallengeHTTP)
			}
		}
		if web == nil {
			w.challenge = mail.ChallengeHTTP
			return h, done, nil
		}
		done()
	}
	if w.challenge != mail.ChallengeHTTP {
		if record = m.tryDNS(ctx, ask, w); record == nil {
			record = allowed(mail.ChallengeDNS)
		}
		if record == nil {
			w.challenge = mail.ChallengeDNS
			return m.overDNS(ask, w), func() {}, nil
		}
	}
	return nil, func() {}, neither(web, record)
}

// namesAtOnce is how many names are asked about together: name servers of others may
// take their time.
const namesAtOnce = 16

// eachName asks about all names that an order is for, and returns what was said of the
// first that something is wrong with. All such are noted to be beyond this way.
func (w *wish) eachName(ctx context.Context, by mail.Challenge, ask func(mail.Name) error) error {
	names := w.names()
	wrong := make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(namesAtOnce)
	for i, n := range names {
		g.Go(func() error { wrong[i] = ask(n); return nil })
	}
	_ = g.Wait() // it has no errors
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, err := range wrong {
		w.beyond(by, names[i], err)
	}
	return cmp.Or(wrong...)
}

func orNil(p *acme.Problem) error {
	if p == nil {
		return nil
	}
	return p
}

// neither is why an order can be proved in no way that may be tried.
func neither(web, record error) error {
	if web == nil || record == nil {
		return errors.Join(web, record)
	}
	h, is := errors.AsType[*acme.Problem](web)
	if !is {
		return web
	}
	d, is := errors.AsType[*acme.Problem](record)
	if !is {
		return record
	}
	if h.Kind == acme.Forbidden || h.Text == d.Text {
		return h
	}
	p := notHere(h.Name, "acme_neither", errors.Join(h, d))
	maps.Copy(p.Args, d.Args)
	maps.Copy(p.Args, h.Args)
	p.Args["why_http"], p.Args["why_dns"] = h.Text, d.Text
	return p
}

func caaOf(ask *dns.Asker) acme.LookupCAA {
	return func(ctx context.Context, name string) ([]acme.CAA, error) {
		found, err := ask.CAA(ctx, name)
		cs := make([]acme.CAA, len(found))
		for i, c := range found {
			cs[i] = acme.CAA(c)
		}
		return cs, err
	}
}

// httpLimit is for the panel to take a proof.
const httpLimit = 10 * time.Second

// overHTTP proves by the web server of the settings: the panel's, or one that shows a
// directory.
func (m *Module) overHTTP(ask *dns.Asker, w *wish) (h acme.HTTP, done func(), _ *acme.Problem) {
	done = func() {}
	if dir := w.set.ACME.Webroot; dir != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return h, done, notHere(w.names()[0], "acme_webroot", err, "path", dir)
		}
		h, done = acme.WebRoot(root), func() {
			if err := root.Close(); err != nil {
				m.log.Warn().Err(err).Msg("close the directory of the web server")
			}
		}
	} else {
		if m.panel.HTTP01 == nil {
			return h, done, notHere(w.names()[0], "acme_http_none", errors.New("the panel shows no proofs"))
		}
		h = acme.HTTP{
			Put: func(ctx context.Context, token, text string) error {
				ctx, cancel := context.WithTimeout(ctx, httpLimit)
				defer cancel()
				if err := m.panel.HTTP01(ctx, true, token, text); err != nil {
					return notHere(w.names()[0], "acme_panel", err)
				}
				return nil
			},
			Remove: func(ctx context.Context, token string) error {
				if w.stopped() { // the authority may be looking; the panel shows it for an hour at most
					return nil
				}
				return m.panel.HTTP01(ctx, false, token, "")
			},
		}
	}
	h.Check = acme.Reach(m.lookAt(ask, w.params.ServerIPs))
	return h, done, nil
}

// lookAt dials web servers at the addresses that name servers say now: what the system
// remembers may be of an hour ago. What strangers cannot reach is not looked at: whose name
// it is would have this server ask others behind its router, and be told what they answer.
func (m *Module) lookAt(ask *dns.Asker, ours []netip.Addr) dns.Dialer {
	if m.orders.reach != nil {
		return m.orders.reach
	}
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		as, err := ask.Addresses(ctx, host)
		if err != nil {
			return nil, err
		}
		err = &net.DNSError{Err: "it has no address", Name: host, IsNotFound: true}
		for _, a := range as {
			if !lookable(a, ours) { // nobody knows, then: the authority decides
				err = &net.OpError{Op: "dial", Net: network, Err: syscall.EHOSTUNREACH}
				continue
			}
			if conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
				return conn, nil
			}
		}
		return nil, err
	}
}

// sharedSpace is between providers and their customers (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// lookable says that an address is this server's, or one that everybody can reach.
func lookable(a netip.Addr, ours []netip.Addr) bool {
	a = a.Unmap()
	return slices.Contains(ours, a) || a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}

// tryHTTP finds out whether a proof would be seen: it puts one that is of no use, and
// looks at it under each name. Where the way is not prescribed, names must lead to this
// server alone, for the authority may look at any of their addresses.
func (m *Module) tryHTTP(ctx context.Context, ask *dns.Asker, w *wish, h acme.HTTP) (err error) {
	err = w.eachName(ctx, mail.ChallengeHTTP, func(n mail.Name) error {
		as, err := ask.Addresses(ctx, n.String())
		switch {
		case err != nil:
			return notHere(n, "acme_lookup", err)
		case len(as) == 0:
			return notHere(n, "acme_reach_nowhere", errors.New("it has no address"))
		}
		foreign := func(a netip.Addr) bool { return !slices.Contains(w.params.ServerIPs, a.Unmap()) }
		if i := slices.IndexFunc(as, foreign); i >= 0 && w.challenge == mail.ChallengeAuto && len(w.params.ServerIPs) > 0 {
			return notHere(n, "acme_elsewhere", errors.New("an address is not this server's"), "address", as[i].String())
		}
		return nil
	})
	if err != nil {
		return err
	}
	token, text := "try-"+rand.Text(), rand.Text()
	text = token + "." + text
	if err := h.Put(ctx, token, text); err != nil {
		return m.notPut(w.names()[0], err)
	}
	defer func() {
		if e := h.Remove(context.WithoutCancel(ctx), token); e != nil {
			m.log.Warn().Err(e).Msg("what was put to try the web server could not be taken away")
		}
	}()
	err = h.Shows(ctx, w.names(), token, text)
	if p, is := errors.AsType[*acme.Problem](err); is {
		w.beyond(mail.ChallengeHTTP, p.Name, err)
	}
	return err
}

// notPut is why a proof was not put, as it was said or as nobody said.
func (m *Module) notPut(n mail.Name, err error) error {
	p, is := errors.AsType[*acme.Problem](err)
	if !is {
		return notHere(n, "acme_not_here", err)
	}
	if p.Name.IsZero() {
		p.Name, p.Args["name"] = n, n.Unicode()
	}
	return p
}
