package mail

import (
	"net/netip"
	"slices"
)

// A Level is what an actor may reach.
type Level string

// The levels, lowest first.
const (
	LevelUser     Level = "user"     // its own domains
	LevelReseller Level = "reseller" // its own and those of its users
	LevelAdmin    Level = "admin"    // all
)

var rank = map[Level]int{LevelUser: 1, LevelReseller: 2, LevelAdmin: 3}

// Known says that l is a level at all.
func (l Level) Known() bool { return rank[l] > 0 }

// AtLeast says that l reaches as far as m; an unknown level reaches nothing.
func (l Level) AtLeast(m Level) bool { return l.Known() && rank[l] >= rank[m] }

// A User of the panel, as the core knows it.
type User struct {
	Name   string
	Level  Level
	Parent string // the reseller or administrator that the user belongs to
	Active bool
	IPs    []netip.Addr     // addresses that the user's domains may send from
	Limits map[string]int64 // absent or negative: none
}

// Limit is the user's limit of that name, and whether there is one.
func (u User) Limit(name string) (int64, bool) {
	n, ok := u.Limits[name]
	return n, ok && n >= 0
}

// MaySSL says that the user's plan allows certificates.
func (u User) MaySSL() bool {
	n, limited := u.Limit("ssl")
	return !limited || n > 0
}

// MailRate is how many letters an hour a login of the user may send; -1: no limit.
func (u User) MailRate() int64 {
	if n, limited := u.Limit("mailrate"); limited {
		return n
	}
	return -1
}

// HasIP says that a is one of the user's addresses.
func (u User) HasIP(a netip.Addr) bool { return slices.Contains(u.IPs, a) }

// Params are the server's settings that domains are checked against.
type Params struct {
	MailHost  string       // the server's own mail host name
	Forbidden []string     // names that nobody may use, nor anything below them
	ServerIPs []netip.Addr // all addresses of the server

	DMARCTemplate string // of a domain's DMARC record
}

// A Scope is the circle of owners whose objects an actor may see.
type Scope struct {
	All    bool
	Owners []string // sorted; only without All
}

// Has says that the scope reaches the objects of owner.
func (s Scope) Has(owner string) bool {
	if s.All {
		return true
	}
	_, found := slices.BinarySearch(s.Owners, owner)
	return found
}
