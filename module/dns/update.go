package dns

import (
	"context"
	"strings"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// question is a question to the zone's own server: no recursion.
func question(name string, t uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(wireName(name), t)
	m.RecursionDesired = false
	return m
}

// zoneOf asks the server in which of its zones name lies, and whether it answers
// with an alias there: a CNAME of that name, or of a wildcard.
func (x *session) zoneOf(ctx context.Context, name string) (zone, alias string, err error) {
	for of := name; ; {
		answer, err := x.exchange(ctx, question(of, dns.TypeSOA))
		if err != nil {
			return "", "", err
		}
		switch answer.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
		case dns.RcodeServerFailure:
			return "", "", notNow("the server fails for %s", name).because(mail.HandedFails, "server", x.server.Addr, "name", name)
		default:
			return "", "", x.unanswered(ctx, name, answer.Rcode)
		}
		if !answer.Authoritative {
			return "", "", noZone("the server has no zone of %s", name).because(mail.HandedNoZoneOf, "server", x.server.Addr, "name", name)
		}
		// The SOA of an answer with an alias is that of the alias's zone.
		if to := aliasOf(answer, wireName(of)); to != "" {
			if of == name {
				alias = to
			}
			_, above, more := strings.Cut(of, ".")
			if !more {
				return "", "", noZone("the server does not say which zone %s is in", name).because(mail.HandedNoZoneOf, "server", x.server.Addr, "name", name)
			}
			of = above
			continue
		}
		for _, rr := range append(answer.Answer, answer.Ns...) {
			if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, wireName(name)) {
				return soa.Hdr.Name, alias, nil
			}
		}
		return "", "", noZone("the server does not say which zone %s is in", name).because(mail.HandedNoZoneOf, "server", x.server.Addr, "name", name)
	}
}

// unanswered is what it means that the server does not say which zone a name is in. It
// refuses so for lack of a zone, and who may not ask: but an update of nothing is
// NOTAUTH where there is no zone (RFC 2136 section 3.1.2). Whoever refuses that too, as
// some do in either case, has not said that there is none.
func (x *session) unanswered(ctx context.Context, name string, rcode int) error {
	for of := name; ; {
		m := new(dns.Msg)
		m.SetUpdate(wireName(of))
		answer, err := x.exchange(ctx, m)
		if err != nil {
			return err
		}
		switch answer.Rcode {
		case dns.RcodeNotAuth:
		case dns.RcodeServerFailure:
			return notNow("the server fails for %s", name).because(mail.HandedFails, "server", x.server.Addr, "name", name)
		default:
			return refused("the server does not answer for %s (%s, %s)", name, dns.RcodeToString[rcode], dns.RcodeToString[answer.Rcode]).
				because(mail.HandedUpdateRefused, "server", x.server.Addr, "name", name)
		}
		_, above, more := strings.Cut(of, ".")
		if !more {
			return noZone("the server has no zone of %s (%s)", name, dns.RcodeToString[rcode]).because(mail.HandedNoZoneOf, "server", x.server.Addr, "name", name)
		}
		of = above
	}
}

// stands are the records of that name and type, as the server has them now.
func (x *session) stands(ctx context.Context, name string, t mail.RecordType) ([]dns.RR, error) {
	wire, ok := wireTypes[t]
	if !ok {
		return nil, refused("%s records are not handed over", t).because(mail.HandedValue, "name", name)
	}
	answer, err := x.exchange(ctx, question(name, wire))
	if err != nil {
		return nil, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError || !answer.Authoritative {
		return nil, notNow("the server does not say what stands at %s (%s)", name, dns.RcodeToString[answer.Rcode]).
			because(mail.HandedFails, "server", x.server.Addr, "name", name)
	}
	var rrs []dns.RR
	for _, rr := range answer.Answer {
		// The owner's name: a wildcard's records are answered under the name asked for.
		if rr.Header().Rrtype == wire && sameName(rr.Header().Name, wireName(name)) {
			rrs = append(rrs, rr)
		}
	}
	return rrs, nil
}

// bare asks whether the zone itself holds nothing of that name and type, so that
// what the server answers comes of a wildcard. A server that will not say makes it false.
func (x *session) bare(ctx context.Context, zone string, c mail.RecordChange) bool {
	m := new(dns.Msg)
	m.SetUpdate(zone)
	unused(m, c)
	answer, err := x.exchange(ctx, m)
	return err == nil && answer.Rcode == dns.RcodeSuccess
}

// unused are the prerequisites of a name without records of that type, and without
// an alias, which would swallow what is added (RFC 2136 sections 2.4.3 and 3.4.2.2).
func unused(m *dns.Msg, c mail.RecordChange) {
	for _, t := range []uint16{wireTypes[c.Type], dns.TypeCNAME} {
		m.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: wireName(c.Name), Rrtype: t, Class: dns.ClassINET}}})
	}
}

// update sends a plan, on the condition that the records are still what they were
// (RFC 2136 section 2.4.2).
func (x *session) update(ctx context.Context, zone string, c mail.RecordChange, there []dns.RR, p plan) error {
	m := new(dns.Msg)
	m.SetUpdate(zone)
	if len(there) == 0 {
		unused(m, c)
	} else {
		m.Used(copies(there))
	}
	m.Remove(copies(p.remove))
	m.Insert(copies(p.add))
	answer, err := x.exchange(ctx, m)
	if err != nil {
		return err
	}
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeNameError, dns.RcodeYXDomain:
		return errRace
	case dns.RcodeServerFailure:
		return notNow("the server fails for %s", plainName(zone)).because(mail.HandedFails, "server", x.server.Addr, "name", plainName(zone))
	case dns.RcodeNotAuth, dns.RcodeNotZone:
		// It has the zone: it answered for it.
		return refused("the server takes no changes for %s (%s)", plainName(zone), dns.RcodeToString[answer.Rcode]).
			because(mail.HandedNoUpdates, "server", x.server.Addr, "name", plainName(zone))
	}
	return refused("the server refuses changes of %s (%s)", plainName(zone), dns.RcodeToString[answer.Rcode]).
		because(mail.HandedUpdateRefused, "server", x.server.Addr, "name", plainName(zone))
}

// copies: the library writes class and TTL of an update into what it is given.
func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}
