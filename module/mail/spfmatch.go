package mail

import (
	"context"
	"net/netip"
	"strings"
)

// match says whether a mechanism matches the sender (RFC 7208 section 5).
func (e *spfRun) match(ctx context.Context, domain string, m SPFMechanism) (bool, error) {
	switch m.Name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return m.Network.Contains(e.sender.IP.Unmap()), nil
	}
	if err := e.count(); err != nil {
		return false, err
	}
	name, err := e.target(ctx, domain, m.Domain)
	if err != nil {
		return false, err
	}
	switch m.Name {
	case "include":
		return e.include(ctx, name)
	case "a":
		return e.addressOf(ctx, name, m)
	case "mx":
		return e.exchangerOf(ctx, name, m)
	case "ptr":
		return e.pointsTo(ctx, name)
	default: // exists
		vs, err := e.values(ctx, name, TypeA)
		return len(vs) > 0, err
	}
}

// include turns the result of another policy into a match (RFC 7208 section 5.2).
func (e *spfRun) include(ctx context.Context, name string) (bool, error) {
	e.depth++
	result, err := e.host(ctx, name)
	e.depth--
	switch result {
	case SPFPass:
		return true, nil
	case SPFTempError, SPFPermError:
		return false, &spfProblem{result, err}
	case SPFNone:
		return false, permError("include:%s: there is no policy", name)
	}
	return false, nil
}

func (e *spfRun) addressOf(ctx context.Context, name string, m SPFMechanism) (bool, error) {
	ip := e.sender.IP.Unmap()
	t, bits := TypeAAAA, m.Bits6
	if ip.Is4() {
		t, bits = TypeA, m.Bits4
	}
	vs, err := e.values(ctx, name, t)
	if err != nil {
		return false, err
	}
	for _, v := range vs {
		a, err := netip.ParseAddr(v)
		if err == nil && a.BitLen() == ip.BitLen() && netip.PrefixFrom(a, bits).Contains(ip) {
			return true, nil
		}
	}
	return false, nil
}

func (e *spfRun) exchangerOf(ctx context.Context, name string, m SPFMechanism) (bool, error) {
	vs, err := e.values(ctx, name, TypeMX)
	if err != nil {
		return false, err
	}
	if len(vs) > mostSPFNames {
		return false, permError("mx:%s: more than %d names", name, mostSPFNames)
	}
	for _, v := range vs {
		_, host, _ := strings.Cut(v, " ")
		if host = normalHost(host); host == "." {
			continue
		}
		if matched, err := e.addressOf(ctx, host, m); matched || err != nil {
			return matched, err
		}
	}
	return false, nil
}

// pointsTo is the ptr mechanism (RFC 7208 section 5.5); no error of DNS fails it.
func (e *spfRun) pointsTo(ctx context.Context, name string) (bool, error) {
	names := e.pointers(ctx)
	if len(names) == 0 {
		return false, e.void()
	}
	name = strings.ToLower(name)
	for _, n := range e.validated(ctx, name, names) {
		if n == name || strings.HasSuffix(n, "."+name) {
			return true, nil
		}
	}
	return false, nil
}

// pointers are the first names of the sender's address; none where DNS fails.
func (e *spfRun) pointers(ctx context.Context) []string {
	vs, err := e.ask(ctx, ReverseName(e.sender.IP), TypePTR)
	if err != nil {
		return nil
	}
	return vs[:min(len(vs), mostSPFNames)]
}

// validated are the names whose addresses contain the sender's, those that are
// domain or below it first (RFC 7208 section 7.3).
func (e *spfRun) validated(ctx context.Context, domain string, names []string) []string {
	ip := e.sender.IP.Unmap()
	t := TypeAAAA
	if ip.Is4() {
		t = TypeA
	}
	var same, below, others []string
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if !askable(n) {
			continue
		}
		vs, err := e.ask(ctx, n, t)
		if err != nil || !hasAddr(vs, ip) {
			continue
		}
		switch {
		case strings.EqualFold(n, domain):
			same = append(same, n)
		case strings.HasSuffix(n, "."+strings.ToLower(domain)):
			below = append(below, n)
		default:
			others = append(others, n)
		}
	}
	return append(append(same, below...), others...)
}

func hasAddr(vs []string, ip netip.Addr) bool {
	for _, v := range vs {
		if a, err := netip.ParseAddr(v); err == nil && a.Unmap() == ip {
			return true
		}
	}
	return false
}
