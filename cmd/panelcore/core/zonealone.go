package core

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// alone says whether the records that d adds get along with those that the server has
// of others, by the rules of a module's records in a zone. What people wrote is held
// against them only where one record makes another count for nothing (SPF, DMARC, DKIM);
// what the server does not say is not held against anything. Standing are records of
// modules among those that d adds that the server has already.
func (s *updateServer) alone(ctx context.Context, d difference) (standing []record, err error) {
	type at struct{ name, typ string }
	asked := map[at]bool{}
	for _, r := range d.add {
		if asked[at{r.name, r.typ}] || !r.exacting() && r.module == "" {
			continue
		}
		asked[at{r.name, r.typ}] = true
		there, err := s.there(ctx, r.name, r.typ)
		if err != nil {
			return nil, err
		}
		ours := func(o record) bool {
			return slices.ContainsFunc(slices.Concat(d.add, d.remove, d.stay), func(r record) bool {
				return r.name == o.name && r.typ == o.typ && r.answered() == o.value
			})
		}
		var set, mine, others []record
		for _, o := range slices.Concat(d.add, d.stay) {
			if o.name == r.name && o.typ == r.typ && o.exacting() {
				set = append(set, o)
			}
		}
		for _, o := range there {
			if ours(o) {
				mine = append(mine, o)
			} else {
				others = append(others, o)
			}
		}
		for _, o := range d.add {
			if o.module != "" && slices.ContainsFunc(there, func(t record) bool { return o.name == t.name && o.typ == t.typ && o.answered() == t.value }) {
				standing = append(standing, o)
			}
		}
		if conflicting(set, mine, others) != nil {
			return nil, fmt.Errorf("pass on to %s: %w: another %s record stands at %s there", s.addr, errContent, r.kind(), r.name)
		}
	}
	return standing, nil
}

// exacting says that not everything of others can stand beside r.
func (r record) exacting() bool {
	return r.typ != "CNAME" && r.soleKind() != "" || r.module != "" && slices.Contains([]string{"A", "AAAA", "MX"}, r.typ)
}

// answered is the value as there returns it.
func (r record) answered() string {
	if r.typ == "TXT" {
		return strings.Join(textStrings(r.value), "")
	}
	return r.value
}

// ask asks over the connection of the question before: a far server takes long to make one.
func (s *updateServer) ask(ctx context.Context, m *dns.Msg) (answer *dns.Msg, err error) {
	client := dns.Client{Net: "tcp", Timeout: updateLimit}
	if s.asking != nil {
		if answer, _, err = client.ExchangeWithConnContext(ctx, m, s.asking); err == nil {
			return answer, nil
		}
		s.hangUp() // the server may have, and is called once more
	}
	if s.asking, err = client.DialContext(ctx, s.addr); err != nil {
		s.asking = nil
		return nil, err
	}
	if answer, _, err = client.ExchangeWithConnContext(ctx, m, s.asking); err != nil {
		s.hangUp()
	}
	return answer, err
}

// hangUp ends the connection that questions go over.
func (s *updateServer) hangUp() {
	if s.asking != nil {
		s.asking.Close()
		s.asking = nil
	}
}

// there returns the records of that name and type that stand at the server; texts are
// as the library escapes them.
func (s *updateServer) there(ctx context.Context, name, typ string) ([]record, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.StringToType[typ])
	m.RecursionDesired = false
	answer, err := s.ask(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w: %w", s.addr, errUnreached, err)
	}
	var rs []record
	for _, rr := range answer.Answer {
		if !strings.EqualFold(rr.Header().Name, dns.Fqdn(name)) {
			continue
		}
		r := record{name: name, typ: typ}
		switch rr := rr.(type) {
		case *dns.A:
			r.value = rr.A.String()
		case *dns.AAAA:
			r.value = rr.AAAA.String()
		case *dns.MX:
			host := strings.ToLower(rr.Mx)
			if host != "." {
				host = strings.TrimSuffix(host, ".")
			}
			r.value = strconv.Itoa(int(rr.Preference)) + " " + host
		case *dns.TXT:
			r.value = strings.Join(rr.Txt, "")
		default:
			continue
		}
		rs = append(rs, r)
	}
	return rs, nil
}
