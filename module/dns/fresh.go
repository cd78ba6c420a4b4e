package dns

import (
	"context"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// fresh is what a server of the name's own zone says, for a resolver remembers for
// hours what was; where none of them answers, or no such server is known, it is what
// the resolver says. Where an alias leads to another zone it is the resolver's too.
func (r *round) fresh(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	servers, _ := r.authorities(ctx, name) // else the resolver is asked
	for _, s := range servers {
		if s.err != nil || ctx.Err() != nil {
			continue
		}
		m, err := r.exchangeOnce(ctx, s.addr, name, t, false)
		if err != nil || said(m) != nil || !m.Authoritative {
			continue
		}
		if t != dns.TypeCNAME && aliasOf(m, wireName(name)) != "" && !has(m, name, t) {
			break
		}
		return m, nil
	}
	m, _, err := r.resolve(ctx, name, t)
	return m, err
}

// has says that a record of the type stands at the end of name's aliases in m.
func has(m *dns.Msg, name string, t uint16) bool {
	_, end := values(m, name, t)
	return slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == t && sameName(rr.Header().Name, end) })
}

// Alias is where the CNAME at a name leads, without the final dot; empty: there is none.
func (a *Asker) Alias(ctx context.Context, name string) (string, error) {
	m, err := a.round().fresh(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	if to := aliasOf(m, wireName(name)); to != "" {
		return plainName(to), nil
	}
	return "", nil
}

// Addresses are where a name leads, IPv4 first; none where it leads nowhere.
func (a *Asker) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	r := a.round()
	return addresses(ctx, func(ctx context.Context, name string, t mail.RecordType) ([]string, error) {
		m, err := r.fresh(ctx, name, wireTypes[t])
		if err != nil {
			return nil, err
		}
		vs, _ := values(m, name, wireTypes[t])
		return vs, nil
	}, name)
}

// A CAA is a record that names who may issue certificates (RFC 8659 section 4).
type CAA struct {
	Flags      uint8
	Tag, Value string
}

// CAA are the records of a name itself, or of where its CNAMEs lead.
func (a *Asker) CAA(ctx context.Context, name string) ([]CAA, error) {
	m, err := a.round().fresh(ctx, name, dns.TypeCAA)
	if err != nil {
		return nil, err
	}
	_, end := values(m, name, dns.TypeCAA)
	var cs []CAA
	for _, rr := range m.Answer {
		if c, is := rr.(*dns.CAA); is && sameName(c.Hdr.Name, end) {
			cs = append(cs, CAA{c.Flag, c.Tag, c.Value})
		}
	}
	return cs, nil
}
