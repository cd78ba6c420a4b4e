package core

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// alone says whether SPF and DMARC records that d adds would be the only ones at the
// server: with another beside it neither counts (RFC 7208 section 4.5, RFC 7489
// section 6.6.3). What the server does not say is not held against it.
func (s *updateServer) alone(ctx context.Context, d difference) error {
	for _, r := range d.add {
		kind := r.soleKind()
		if kind == "" || r.typ != "TXT" {
			continue
		}
		there, err := s.texts(ctx, r.name)
		if err != nil {
			return err
		}
		for _, value := range there {
			other := record{name: r.name, typ: r.typ, value: value}
			ours := func(o record) bool { return o.name == r.name && strings.Join(textStrings(o.value), "") == value }
			if other.soleKind() == kind && !slices.ContainsFunc(slices.Concat(d.add, d.remove), ours) {
				return fmt.Errorf("pass on to %s: %w: another %s record stands at %s there", s.addr, errContent, kind, r.name)
			}
		}
	}
	return nil
}

// texts returns the texts that stand at a name at the server, as the library
// escapes them.
func (s *updateServer) texts(ctx context.Context, name string) ([]string, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	m.RecursionDesired = false
	client := dns.Client{Net: "tcp", Timeout: updateLimit}
	answer, _, err := client.ExchangeContext(ctx, m, s.addr)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w: %w", s.addr, errUnreached, err)
	}
	var values []string
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok && strings.EqualFold(txt.Hdr.Name, dns.Fqdn(name)) {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	return values, nil
}
