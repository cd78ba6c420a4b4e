package mail

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// A Publication is all that the records of a mail domain follow from.
type Publication struct {
	Domain   Name
	MailHost Name         // that takes the domain's mail; a name of the server's own
	Servers  []netip.Addr // addresses of the server: mail names point there, mail leaves from there
	Outgoing netip.Addr   // address that the domain's mail leaves from; invalid: any of Servers
	Keys     []PublishedKey
	DMARC    *DMARC // nil: the domain publishes none
	Names    []Name // of the certificate, and others that people enter into mail programs
	TTL      uint32 // seconds; 0: DefaultTTL
}

// A PublishedKey is a key that stands in DNS: the one that signs, the next one
// before it signs, the last one while letters signed with it are under way.
type PublishedKey struct {
	Selector Selector
	Record   DKIMRecord
}

// mxPreference is that of the one MX record; others may stand before or after it.
const mxPreference = 10

// Records are what the domain needs in DNS, in the order in which people are
// shown them. Names of the certificate outside of the domain are somebody else's
// zone, and the domain's own name is its web site's: neither gets an address here.
func (p Publication) Records() ([]Record, error) {
	if p.Domain.IsZero() || p.MailHost.IsZero() || len(p.Servers) == 0 {
		return nil, errors.New("make the records of a domain: it needs a name, a mail host and an address of the server")
	}
	d := p.Domain.ascii
	rs := []Record{
		{Name: d, Type: TypeMX, Values: []string{strconv.Itoa(mxPreference) + " " + p.MailHost.ascii}, Why: ForMX},
		{Name: d, Type: TypeTXT, Values: []string{p.SPF().String()}, Why: ForSPF},
	}
	for _, k := range p.Keys {
		name := DKIMName(k.Selector, p.Domain)
		if !dnsName(name) {
			return nil, fmt.Errorf("make the records of a domain: %s is too long a name", name)
		}
		rs = append(rs, Record{Name: name, Type: TypeTXT, Values: []string{k.Record.String()}, Why: ForDKIM})
	}
	if p.DMARC != nil {
		rs = append(rs, Record{Name: DMARCName(p.Domain), Type: TypeTXT, Values: []string{p.DMARC.String()}, Why: ForDMARC})
	}
	rs = append(rs, p.hosts()...)
	for i := range rs {
		rs[i].TTL = cmp.Or(p.TTL, DefaultTTL)
	}
	return rs, nil
}

// Senders are the addresses that mail of the domain leaves from. Exim takes the
// domain's own address for its family, and any of the server's for the other
// (Exim spec 30.4, interface).
func (p Publication) Senders() []netip.Addr {
	var as []netip.Addr
	for _, a := range p.Servers {
		if a = a.Unmap(); !p.Outgoing.IsValid() || a.Is4() != p.Outgoing.Unmap().Is4() {
			as = append(as, a)
		}
	}
	if p.Outgoing.IsValid() {
		as = append(as, p.Outgoing.Unmap())
	}
	return sortedAddrs(as)
}

// SPF is the domain's policy: its addresses and no others, without a look-up.
// The soft fail at its end leaves to DMARC what a forwarded letter would lose.
func (p Publication) SPF() SPF {
	var s SPF
	for _, a := range p.Senders() {
		s.Mechanisms = append(s.Mechanisms, spfAddress(a))
	}
	s.Mechanisms = append(s.Mechanisms, SPFMechanism{Qualifier: '~', Name: "all"})
	return s
}

// hosts are A and AAAA records of the mail names inside the domain.
func (p Publication) hosts() []Record {
	var v4, v6 []string
	for _, a := range sortedAddrs(p.Servers) {
		if a.Is4() {
			v4 = append(v4, a.String())
		} else {
			v6 = append(v6, a.String())
		}
	}
	var rs []Record
	seen := map[Name]bool{p.Domain: true}
	for _, n := range append([]Name{p.MailHost}, p.Names...) {
		if seen[n] || !n.Within(p.Domain) {
			continue
		}
		seen[n] = true
		if len(v4) > 0 {
			rs = append(rs, Record{Name: n.ascii, Type: TypeA, Values: slices.Clone(v4), Why: ForHost})
		}
		if len(v6) > 0 {
			rs = append(rs, Record{Name: n.ascii, Type: TypeAAAA, Values: slices.Clone(v6), Why: ForHost})
		}
	}
	return rs
}

func sortedAddrs(as []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(as))
	for i, a := range as {
		out[i] = a.Unmap().WithZone("")
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
