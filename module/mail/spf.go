package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An SPF is a policy that says which addresses may send for a domain (RFC 7208).
type SPF struct {
	Mechanisms  []SPFMechanism
	Redirect    string        // domain-spec whose policy decides where none matches; empty: none
	Explanation string        // domain-spec of exp=; empty: none
	Unknown     []SPFModifier // kept, and without meaning (RFC 7208 section 6)
}

// An SPFMechanism is one test of a policy.
type SPFMechanism struct {
	Qualifier byte         // + - ~ or ?
	Name      string       // all include a mx ptr ip4 ip6 exists
	Domain    string       // domain-spec with macros; empty: the domain itself
	Network   netip.Prefix // of ip4 and ip6
	Bits4     int          // of a and mx: leading bits that must agree, 0 to 32
	Bits6     int          // likewise for IPv6, 0 to 128
}

// An SPFModifier is name=value.
type SPFModifier struct{ Name, Value string }

// IsSPF says that receivers take s for an SPF record, be it right or wrong
// (RFC 7208 section 4.5).
func IsSPF(s string) bool {
	const v = "v=spf1"
	return len(s) >= len(v) && strings.EqualFold(s[:len(v)], v) && (len(s) == len(v) || s[len(v)] == ' ')
}

// ParseSPF reads the joined strings of a TXT record (RFC 7208 section 4.6.1): any
// syntax error anywhere is an error of the whole.
func ParseSPF(s string) (SPF, error) {
	if !IsSPF(s) {
		return SPF{}, errors.New("not an SPF record: it does not begin with v=spf1")
	}
	if len(s) > mostText {
		return SPF{}, fmt.Errorf("read an SPF record: %w", errLong)
	}
	var p SPF
	for term := range strings.SplitSeq(s[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		if err := p.add(term); err != nil {
			return SPF{}, fmt.Errorf("read an SPF record: %q: %w", term, err)
		}
	}
	return p, nil
}

func (p *SPF) add(term string) error {
	if name, value, ok := modifier(term); ok {
		return p.addModifier(name, value)
	}
	m, err := parseMechanism(term)
	if err != nil {
		return err
	}
	p.Mechanisms = append(p.Mechanisms, m)
	return nil
}

// modifier tells name=value from a mechanism whose argument has a = in it.
func modifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	for i := range len(name) {
		if c := name[i]; !letter(c) && (i == 0 || !digit(c) && strings.IndexByte("-_.", c) < 0) {
			return "", "", false
		}
	}
	return name, value, ok && name != ""
}

func (p *SPF) addModifier(name, value string) error {
	var to *string
	switch strings.ToLower(name) {
	case "redirect":
		to = &p.Redirect
	case "exp":
		to = &p.Explanation
	default:
		if !macroString(value) {
			return errMacro
		}
		p.Unknown = append(p.Unknown, SPFModifier{name, value})
		return nil
	}
	if *to != "" {
		return errors.New("it stands twice")
	}
	if !domainSpec(value) {
		return errDomainSpec
	}
	*to = value
	return nil
}

var (
	errMechanism  = errors.New("no such mechanism")
	errArgument   = errors.New("a wrong argument")
	errDomainSpec = errors.New("not a domain")
	errMacro      = errors.New("a wrong macro")
)

func parseMechanism(term string) (SPFMechanism, error) {
	m := SPFMechanism{Qualifier: '+'}
	if strings.IndexByte("+-~?", term[0]) >= 0 {
		m.Qualifier, term = term[0], term[1:]
	}
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	m.Name = strings.ToLower(term[:end])
	rest := term[end:]
	switch m.Name {
	case "all":
		if rest != "" {
			return m, errArgument
		}
		return m, nil
	case "include", "exists":
		domain, ok := strings.CutPrefix(rest, ":")
		if m.Domain = domain; !ok || !domainSpec(domain) {
			return m, errDomainSpec
		}
		return m, nil
	case "ptr":
		return m, m.optionalDomain(rest)
	case "a", "mx":
		rest, err := m.cutLengths(rest)
		if err != nil {
			return m, err
		}
		return m, m.optionalDomain(rest)
	case "ip4", "ip6":
		return m, m.network(rest)
	}
	return m, errMechanism
}

func (m *SPFMechanism) optionalDomain(rest string) error {
	if rest == "" {
		return nil
	}
	domain, ok := strings.CutPrefix(rest, ":")
	if m.Domain = domain; !ok || !domainSpec(domain) {
		return errDomainSpec
	}
	return nil
}

// cutLengths takes [/n][//n] off the end (RFC 7208 section 5.6, dual-cidr-length).
// A slash with no number after it belongs to the domain.
func (m *SPFMechanism) cutLengths(s string) (string, error) {
	m.Bits4, m.Bits6 = 32, 128
	for _, l := range []struct {
		mark string
		to   *int
	}{{"//", &m.Bits6}, {"/", &m.Bits4}} {
		i := strings.LastIndex(s, l.mark)
		if i < 0 || !allDigits(s[i+len(l.mark):]) {
			continue
		}
		var ok bool
		if *l.to, ok = cidrLength(s[i+len(l.mark):], *l.to); !ok {
			return "", errArgument
		}
		s = s[:i]
	}
	return s, nil
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func cidrLength(s string, most int) (int, bool) {
	if !allDigits(s) || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

func (m *SPFMechanism) network(rest string) error {
	text, ok := strings.CutPrefix(rest, ":")
	text, length, hasLength := strings.Cut(text, "/")
	a, err := netip.ParseAddr(text)
	if !ok || err != nil || a.Zone() != "" || a.Is4() != (m.Name == "ip4") {
		return errArgument
	}
	bits := a.BitLen()
	if hasLength {
		if bits, ok = cidrLength(length, a.BitLen()); !ok {
			return errArgument
		}
	}
	// Not Masked: the text stays as it was; Match masks both sides.
	m.Network = netip.PrefixFrom(a, bits)
	return nil
}

// spfAddress is the mechanism of a single address.
func spfAddress(a netip.Addr) SPFMechanism {
	name := "ip6"
	if a.Is4() {
		name = "ip4"
	}
	return SPFMechanism{Qualifier: '+', Name: name, Network: netip.PrefixFrom(a, a.BitLen())}
}

// String is the mechanism as records have it, without what goes without saying.
func (m SPFMechanism) String() string {
	s := m.Name
	if m.Qualifier != '+' {
		s = string(m.Qualifier) + s
	}
	switch m.Name {
	case "ip4", "ip6":
		s += ":" + m.Network.Addr().String()
		if m.Network.Bits() != m.Network.Addr().BitLen() {
			s += "/" + strconv.Itoa(m.Network.Bits())
		}
		return s
	}
	if m.Domain != "" {
		s += ":" + m.Domain
	}
	if m.Name == "a" || m.Name == "mx" {
		if m.Bits4 != 32 {
			s += "/" + strconv.Itoa(m.Bits4)
		}
		if m.Bits6 != 128 {
			s += "//" + strconv.Itoa(m.Bits6)
		}
	}
	return s
}

// String is the policy as a record has it.
func (p SPF) String() string {
	s := "v=spf1"
	for _, m := range p.Mechanisms {
		s += " " + m.String()
	}
	if p.Redirect != "" {
		s += " redirect=" + p.Redirect
	}
	if p.Explanation != "" {
		s += " exp=" + p.Explanation
	}
	for _, u := range p.Unknown {
		s += " " + u.Name + "=" + u.Value
	}
	return s
}

// Equal says that both policies are the same test for test.
func (p SPF) Equal(q SPF) bool {
	return sameSpec(p.Redirect, q.Redirect) && slices.EqualFunc(p.Mechanisms, q.Mechanisms, SPFMechanism.Equal)
}

// Equal says that both ask the same and answer the same.
func (m SPFMechanism) Equal(n SPFMechanism) bool {
	same := sameSpec(m.Domain, n.Domain) && m.Network.Masked() == n.Network.Masked()
	m.Domain, m.Network = n.Domain, n.Network
	return same && m == n
}

// sameSpec: names have no case, the letters of macros do.
func sameSpec(a, b string) bool {
	return a == b || !strings.Contains(a, "%") && strings.EqualFold(a, b)
}
