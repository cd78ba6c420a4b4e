package mail

import (
	"net/netip"
	"strings"
	"time"
)

// A List says what becomes of letters from who is listed.
type List string

// The lists.
const (
	White List = "white" // skips greylisting and the spam filter, never the virus scan
	Black List = "black" // is refused
)

// A Sender is what an entry of a list names: the address or the domain of a letter's
// envelope sender, or an address or a network that clients connect from. It is
// matched literally. The zero Sender is none.
type Sender struct {
	address string // in lower case
	domain  Name
	network netip.Prefix
}

// A Listed is an entry of a list: of a domain, or of the server.
type Listed struct {
	Domain Name // zero: the server's
	List   List
	Sender Sender
	Note   string // in somebody's own words

	Created time.Time
}

// Lengths of networks that can be listed. For each in use a client's address is looked
// up once, so there are not too many.
const (
	widest4, widest6, longest6, step6 = 8, 16, 64, 4
)

// ParseSender reads an entry: an address, a domain with or without "@" before it, an IP
// address or a network. Of a network the bits behind its length are dropped.
func ParseSender(s string) (Sender, bool) {
	e, ok := parseSender(strings.TrimSpace(s))
	if !ok {
		return Sender{}, false
	}
	return e, true
}

func parseSender(s string) (Sender, bool) {
	if len(s) > 1024 {
		return Sender{}, false
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		ip = ip.Unmap()
		return Sender{network: netip.PrefixFrom(ip, ip.BitLen())}, ip.Zone() == "" && !ip.IsUnspecified()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return Sender{network: p.Masked()}, listable(p)
	}
	local, domain, is := cutLast(s, '@')
	if !is {
		local, domain = "", s
	}
	n, err := ParseName(domain)
	if err != nil {
		return Sender{}, false
	}
	if local == "" {
		return Sender{domain: n}, true
	}
	if !senderLocal(local) {
		return Sender{}, false
	}
	return Sender{address: strings.ToLower(local) + "@" + n.String()}, true
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func listable(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= widest4
	}
	return !p.Addr().Is4In6() && (p.IsSingleIP() || p.Bits() >= widest6 && p.Bits() <= longest6 && p.Bits()%step6 == 0)
}

// senderLocal says that s is the local part of an address as other servers use them:
// wider than ours, without quotes, and without what people take for a pattern.
func senderLocal(s string) bool {
	if len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789._+=-&'~%?") == ""
}

// StoredSender is a Sender as the database has it, written by String.
func StoredSender(s string) Sender {
	e, _ := ParseSender(s)
	return e
}

// String is the entry as people and the database have it: an address, a domain, an IP
// address or a network.
func (s Sender) String() string {
	switch {
	case s.address != "":
		return s.address
	case !s.domain.IsZero():
		return s.domain.String()
	case s.network.IsSingleIP():
		return s.network.Addr().String()
	case s.network.IsValid():
		return s.network.String()
	}
	return ""
}

// IsZero says that s names nobody.
func (s Sender) IsZero() bool { return s == Sender{} }

// Address is the address that s names, in lower case; empty where it names something else.
func (s Sender) Address() string { return s.address }

// SenderDomain is the domain that s names; zero where it names something else.
func (s Sender) SenderDomain() Name { return s.domain }

// Network is the network that s names, of one address too; invalid where it names
// something else.
func (s Sender) Network() netip.Prefix { return s.network }

// Kind is what s names, in a word: "address", "domain", "ip" or "network".
func (s Sender) Kind() string {
	switch {
	case s.address != "":
		return "address"
	case !s.domain.IsZero():
		return "domain"
	case s.network.IsSingleIP():
		return "ip"
	}
	return "network"
}
