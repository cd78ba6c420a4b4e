package module

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A publication is what the records of every domain follow from besides the domain.
type publication struct {
	mode     mail.DNSMode
	host     mail.Name
	servers  []netip.Addr
	template string
}

// publication reads it: from the panel and from the module's own settings.
func (m *Module) publication(ctx context.Context) (publication, error) {
	p, s, err := m.params(ctx)
	if err != nil {
		return publication{}, err
	}
	host, err := mail.ParseName(p.MailHost)
	if err != nil {
		host = mail.Name{} // without one no records can be said
	}
	return publication{s.DNS, host, p.ServerIPs, p.DMARCTemplate}, nil
}

// of is what the records of one domain follow from, given those that it has; false
// where they cannot be said.
func (p publication) of(d mail.Domain, keys []mail.SigningKey, rows []store.RecordRow) (mail.Publication, bool) {
	pub := mail.Publication{Domain: d.Name, MailHost: p.host, Servers: p.servers, Outgoing: d.IP, Keys: mail.Publishes(keys)}
	for _, n := range d.SecureAlias {
		// Without a certificate programs connect to it still.
		if d.Secure || slices.ContainsFunc(rows, func(r store.RecordRow) bool { return r.Why == mail.ForHost && r.Name == n.String() && delivers(r) }) {
			pub.Names = append(pub.Names, n)
		}
	}
	if d.DMARC {
		r, err := mail.DMARCTemplate(p.template, d.Name, d.Email)
		if err != nil {
			r, err = mail.DMARCTemplate(plainDMARC, d.Name, d.Email)
		}
		if err == nil {
			pub.DMARC = &r
		}
	}
	return pub, !p.host.IsZero() && len(p.servers) > 0
}

// plainDMARC is for panels that have no template of their own.
const plainDMARC = "v=DMARC1; p=none; rua=mailto:__email__"

// handsOver says that the module puts the records of a domain into DNS: it does so
// for those that have it sign or answer for them, and goes on for those whose mail comes
// by records that it put. Of others it shows them.
func (p publication) handsOver(d *mail.Domain, keys []mail.SigningKey, rows []store.RecordRow) bool {
	return p.mode != mail.DNSByHand && d != nil && (d.DKIM || d.DMARC || d.Secure || len(keys) > 0 || slices.ContainsFunc(rows, delivers))
}

// delivers says that mail comes or goes by a record that we put: as long as its domain
// is there, it is missed.
func delivers(r store.RecordRow) bool {
	return r.Wanted && r.Offered && (r.Why == mail.ForMX || r.Why == mail.ForSPF || r.Why == mail.ForHost)
}

// want has the records of a domain as it is to be handed over after the commit, and
// those that it needs no longer taken away.
func (m *Module) want(ctx context.Context, tx *store.Tx, did *deed, p publication, d *mail.Domain, keys []mail.SigningKey) error {
	n := did.domain
	if d != nil {
		n = d.Name
	}
	rows, err := tx.RecordsOf(ctx, n)
	if err != nil {
		return err
	}
	var records []mail.Record
	if p.handsOver(d, keys, rows) {
		if pub, ok := p.of(*d, keys, rows); ok {
			if records, err = pub.Records(); err != nil {
				return err
			}
		} else {
			return nil // what stands is as right as it was
		}
	}
	did.needs = records
	soon := !did.later && tx.Now.UnixMilli() >= m.silentUntil.Load()
	shifts, first, err := tx.WantRecords(ctx, n, rows, records, soon)
	if err != nil || len(shifts) == 0 {
		return err
	}
	did.dns, did.records = append(did.dns, n), append(did.records, shifts...)
	if !soon {
		return nil
	}
	if slices.ContainsFunc(rows, func(r store.RecordRow) bool { return r.Wanted && !r.Offered }) { // of the same sets, it may be
		more, err := tx.OfferRecords(ctx, n)
		if err != nil {
			return err
		}
		first = append(first, more...)
	}
	if did.first == nil {
		did.first = map[mail.Name][]store.RecordValue{}
	}
	did.first[n] = first
	return nil
}

// nameServer is the server of the settings.
func nameServer(s mail.Settings) (*dns.Server, error) {
	server := &dns.Server{Addr: s.DNSServer}
	if s.DNSKey == "" {
		return server, nil
	}
	var err error
	server.Key, err = dns.ParseKey(s.DNSKey, s.DNSAlgorithm, s.DNSSecret)
	return server, err
}

// asker asks name servers: those of the settings, or those of the system.
func (m *Module) asker(s mail.Settings) (*dns.Asker, error) {
	a := &dns.Asker{Now: m.db.Now, Dial: m.dial}
	for r := range strings.FieldsSeq(s.Resolvers) {
		at, err := netip.ParseAddrPort(r)
		if err != nil {
			at, err = netip.ParseAddrPort(net.JoinHostPort(r, "53"))
		}
		if err != nil {
			return nil, fmt.Errorf("read the name servers of the settings: %w", err)
		}
		a.Resolvers = append(a.Resolvers, at)
	}
	if len(a.Resolvers) > 0 {
		return a, nil
	}
	f, err := m.tree.ResolvConf()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a.Resolvers, err = dns.ReadResolvers(f)
	return a, err
}

// sent are outcomes of what was sent, whatever was answered.
func sent(os []mail.RecordOutcome) []mail.RecordOutcome {
	for i := range os {
		os[i].Sent = true
	}
	return os
}
