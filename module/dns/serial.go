package dns

import (
	"context"
	"errors"
	"slices"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// A Serial tells one edition of a zone's data from others, wherever it is served: the
// SOA of secondaries is that of their primary (RFC 1035 section 3.3.13). The zero Serial
// is none.
type Serial struct {
	Zone    string
	Primary string // MNAME
	Number  uint32
}

// Serial is that of the zone that name is in, as the server has it now. Where it serves
// none it is zero; an error means that it could not be asked.
func (s *Server) Serial(ctx context.Context, name string) (Serial, error) {
	x := &session{server: s}
	defer x.close()
	zone, _, err := x.zoneOf(ctx, name)
	if p, ok := errors.AsType[*problem](err); ok && p.handed == mail.NoZone {
		return Serial{}, nil
	}
	if err != nil {
		return Serial{}, err
	}
	answer, err := x.exchange(ctx, question(plainName(zone), dns.TypeSOA))
	if err != nil {
		return Serial{}, err
	}
	return serialOf(answer.Answer), nil
}

func serialOf(rrs []dns.RR) Serial {
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok {
			return Serial{plainName(soa.Hdr.Name), plainName(soa.Ns), soa.Serial}
		}
	}
	return Serial{}
}

// Serials are those that the authoritative servers of name answer from, each once.
// The error is ErrNotDelegated where there are no servers; any other means that one of
// them could not be asked.
func (a *Asker) Serials(ctx context.Context, name string) (all []Serial, err error) {
	r := a.round()
	servers, err := r.authorities(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		if s.err != nil {
			return nil, s.err
		}
		m, err := r.exchangeOnce(ctx, s.addr, name, dns.TypeSOA, false)
		if err == nil {
			err = said(m)
		}
		if err != nil {
			return nil, err
		}
		// At the apex it is the answer, below it stands beside "there is none".
		if serial := serialOf(append(slices.Clone(m.Answer), m.Ns...)); !slices.Contains(all, serial) {
			all = append(all, serial)
		}
	}
	return all, nil
}
