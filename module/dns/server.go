package dns

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// A Server is an authoritative name server that takes changes (RFC 2136).
type Server struct {
	Addr    string // host or host:port; the port is 53 where none is named
	Key     Key
	Timeout time.Duration    // for one question; 0: 5 s
	Dial    Dialer           // nil: net.Dialer
	Now     func() time.Time // for signatures; nil: time.Now
}

func (s *Server) address() string {
	if _, _, err := net.SplitHostPort(s.Addr); err == nil {
		return s.Addr
	}
	return net.JoinHostPort(s.Addr, "53")
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// HandOver makes the changes, one after another, and says of each, in their order,
// what became of it. Doing it again does nothing. A value that is not in a change's
// Ours is never taken away, and one record never overwrites another's of which
// there may be only one. Once the server does not answer, the rest is pending, untried.
func (s *Server) HandOver(ctx context.Context, changes []mail.RecordChange) []mail.RecordOutcome {
	x := &session{server: s}
	defer x.close()
	outcomes := make([]mail.RecordOutcome, len(changes))
	var lost error
	for _, i := range inOrder(changes) {
		o := mail.RecordOutcome{Name: changes[i].Name, Type: changes[i].Type}
		err := lost
		if err == nil {
			err = x.make(ctx, changes[i], &o)
		}
		if errors.Is(err, errLost) {
			lost = err
		}
		if err != nil {
			o.Handed, o.Reason = mail.Pending, err.Error()
			if p, ok := errors.AsType[*problem](err); ok {
				o.Handed, o.Text, o.Args = p.handed, p.text, p.args
			}
		}
		outcomes[i] = o
	}
	return outcomes
}

// inOrder are the places of changes as they are to be made: BIND refuses an MX
// whose host has no address in its zone yet (option check-mx), so addresses come
// first and go last.
func inOrder(changes []mail.RecordChange) []int {
	turn := func(c mail.RecordChange) int {
		switch address := c.Type == mail.TypeA || c.Type == mail.TypeAAAA; {
		case address && c.Remove:
			return 2
		case address:
			return 0
		}
		return 1
	}
	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return turn(changes[i]) - turn(changes[j]) })
	return order
}

// mostTries is how often a change is tried that others get in the way of.
const mostTries = 6

// errRace is an answer to prerequisites that do not hold.
var errRace = errors.New("somebody else changes the same record")

// make tries by turns with what the server answers and with nothing at all: what
// it answers may come of a wildcard, which prerequisites do not see.
func (x *session) make(ctx context.Context, c mail.RecordChange, o *mail.RecordOutcome) error {
	var alias string
	for i := range mostTries {
		zone, to, err := x.zoneOf(ctx, c.Name)
		if err != nil {
			return err
		}
		var there []dns.RR
		if alias = to; alias == "" && i%2 == 0 {
			if there, err = x.stands(ctx, c.Name, c.Type); err != nil {
				return err
			}
		}
		if err := x.try(ctx, zone, c, there, o); !errors.Is(err, errRace) {
			return err
		}
	}
	if alias != "" {
		return refused("%s is an alias of %s, and has no records of its own", c.Name, plainName(alias)).
			because(mail.HandedAlias, "name", c.Name, "target", plainName(alias))
	}
	return notNow("%s %s: %w", c.Name, c.Type, errRace).because(mail.HandedRace, "server", x.server.Addr, "name", c.Name)
}

// try decides, and changes on the condition that nothing moved since it looked.
func (x *session) try(ctx context.Context, zone string, c mail.RecordChange, there []dns.RR, o *mail.RecordOutcome) error {
	p, err := planOf(c, there)
	if err == nil && p.verdict.State == mail.Wrong && x.bare(ctx, zone, c) {
		there = nil
		p, err = planOf(c, nil)
	}
	if err != nil {
		return err
	}
	o.Foreign, o.Verdict = p.foreign, p.verdict
	if p.verdict.State == mail.Wrong {
		o.Handed, o.Reason = mail.Conflict, "another record stands in its place"
		return nil
	}
	if len(p.add)+len(p.remove) > 0 {
		o.Sent = o.Sent || len(p.add) > 0
		if err := x.update(ctx, zone, c, there, p); err != nil {
			return err
		}
	}
	o.Handed = mail.Published
	return nil
}

// A plan is what a change comes to, given what stands.
type plan struct {
	add, remove []dns.RR
	foreign     []string
	verdict     mail.Verdict
}

func planOf(c mail.RecordChange, there []dns.RR) (plan, error) {
	var p plan
	var others []string
	ours := map[string]dns.RR{}
	var ttl uint32
	for _, rr := range there {
		v, ok := valueOf(rr)
		if ok && containsValue(c.Type, c.Ours, v) {
			ours[v] = rr
			continue
		}
		others = append(others, v)
		ttl = rr.Header().Ttl
	}
	var wanted []string
	if !c.Remove {
		if v := c.Beside(others, len(ours) > 0); v.State == mail.Wrong {
			return plan{verdict: v}, nil
		} else if v.State == mail.Right {
			p.foreign = others
		} else {
			wanted = c.Values
		}
	}
	if len(others) == 0 {
		ttl = c.TTL // a set has one TTL (RFC 2181 section 5.2), and it is not ours to change for others
	}
	for v, rr := range ours {
		if !containsValue(c.Type, wanted, v) {
			p.remove = append(p.remove, rr)
		}
	}
	for _, v := range wanted {
		n, err := mail.NormalValue(c.Type, v)
		if err != nil {
			return plan{}, refused("%s: %w", c.Name, err).because(mail.HandedValue, "name", c.Name)
		}
		if slices.Contains(others, n) {
			p.foreign = append(p.foreign, n)
			continue
		}
		if rr, stands := ours[n]; stands && rr.Header().Ttl == ttl {
			continue
		}
		rr, err := newRR(c.Name, c.Type, ttl, n)
		if err != nil {
			return plan{}, refused("%s: %w", c.Name, err).because(mail.HandedValue, "name", c.Name)
		}
		if stands, ok := ours[n]; ok { // with its own cuts between strings
			rr = dns.Copy(stands)
			rr.Header().Ttl = ttl
		}
		p.add = append(p.add, rr)
	}
	return p, nil
}

func containsValue(t mail.RecordType, vs []string, v string) bool {
	return slices.ContainsFunc(vs, func(w string) bool {
		n, err := mail.NormalValue(t, w)
		return err == nil && n == v
	})
}
