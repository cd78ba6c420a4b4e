package mail

// A DefaultAction is what happens to mail for names that have no mailbox.
type DefaultAction string

// The default actions.
const (
	Refuse        DefaultAction = "error"       // refuse with 550
	Ignore        DefaultAction = "ignore"      // take and throw away
	ForwardAll    DefaultAction = "redirect"    // to one address
	ForwardDomain DefaultAction = "redirdomain" // to the same name in another domain
)

// DefaultActions in the order in which forms offer them.
var DefaultActions = []DefaultAction{Refuse, Ignore, ForwardAll, ForwardDomain}

// parseAction reads a default action; "domain" is the panel family's other word
// for redirdomain.
func parseAction(s string) (DefaultAction, bool) {
	switch a := DefaultAction(s); a {
	case Refuse, Ignore, ForwardAll, ForwardDomain:
		return a, true
	case "domain":
		return ForwardDomain, true
	}
	return "", false
}

// Forwards says that the action needs somewhere to forward to.
func (a DefaultAction) Forwards() bool { return a == ForwardAll || a == ForwardDomain }

// A Target is where a default action forwards to: an address, or a domain, or
// nowhere (the zero Target).
type Target struct {
	address Address
	domain  Name
}

// ParseTarget reads s as what a needs: an address, a domain, or nothing.
func ParseTarget(a DefaultAction, s string) (Target, error) {
	switch a {
	case ForwardAll:
		addr, err := ParseAddress(s)
		return Target{address: addr}, err
	case ForwardDomain:
		n, err := ParseName(s)
		return Target{domain: n}, err
	}
	return Target{}, nil
}

// Domain is the domain that mail goes on to; the zero Name where t is an address or nothing.
func (t Target) Domain() Name { return t.domain }

// IsZero says that t leads nowhere.
func (t Target) IsZero() bool { return t == Target{} }

// String is the target as files, database and wire have it.
func (t Target) String() string {
	if !t.domain.IsZero() {
		return t.domain.String()
	}
	return t.address.String()
}

// Unicode is the target as people read it.
func (t Target) Unicode() string {
	if !t.domain.IsZero() {
		return t.domain.Unicode()
	}
	return t.address.Unicode()
}
