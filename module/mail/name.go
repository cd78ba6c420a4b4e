package mail

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// A Name is a domain name of at least two labels, kept as lower-case A-labels
// without the final dot (RFC 5890 section 2.3.2.1). The zero Name is no name.
type Name struct{ ascii string }

// uts46 maps and checks as UTS #46 says, non-transitional, with the rules of
// STD 3 for ASCII and the lengths of RFC 1035 section 2.3.4.
var uts46 = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.CheckHyphens(true),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
	idna.Transitional(false),
)

var errName = errors.New("not a domain name")

// ParseName reads a domain name in U-labels or A-labels, in any case, with or
// without a final dot.
func ParseName(s string) (Name, error) {
	if len(s) > 1024 { // no composed spelling (NFC) of 253 bytes of A-labels is longer
		return Name{}, errName
	}
	a, err := uts46.ToASCII(s)
	// The final dot goes only now: before, it may be an ideographic full stop.
	if a = strings.TrimSuffix(a, "."); err != nil || !plainName(a) || !stable(a) {
		return Name{}, errName
	}
	return Name{a}, nil
}

// stable says that a is taken as it is. Of bytes that are no UTF-8, and of some
// characters that map to letters written from the right, idna makes A-labels that
// it would refuse.
func stable(a string) bool {
	if !strings.Contains(a, "xn--") {
		return true
	}
	again, err := uts46.ToASCII(a)
	return err == nil && again == a
}

// plainName holds what UTS #46 gave against the alphabet that our files rely on.
func plainName(a string) bool {
	if len(a) > 253 {
		return false
	}
	labels := strings.Split(a, ".")
	for _, l := range labels {
		if len(l) < 1 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if c := l[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	// A last label of digits alone makes an IPv4 literal, not a name (RFC 3696 section 2).
	last := labels[len(labels)-1]
	return len(labels) >= 2 && strings.Trim(last, "0123456789") != ""
}

// String is the name in A-labels: what stands in files, in the database and on the wire.
func (n Name) String() string { return n.ascii }

// IsZero says that n is no name.
func (n Name) IsZero() bool { return n.ascii == "" }

// Unicode is the name in U-labels: what people see.
func (n Name) Unicode() string {
	if !strings.Contains(n.ascii, "xn--") {
		return n.ascii
	}
	u, err := uts46.ToUnicode(n.ascii)
	if err != nil {
		return n.ascii
	}
	return u
}

// Within says that n is the domain d or a name below it.
func (n Name) Within(d Name) bool {
	return n == d || strings.HasSuffix(n.ascii, "."+d.ascii)
}

// Parents are the names above n that are domain names too, nearest first.
func (n Name) Parents() []Name {
	var ps []Name
	for s := n.ascii; ; {
		_, rest, _ := strings.Cut(s, ".")
		if !strings.Contains(rest, ".") {
			return ps
		}
		ps = append(ps, Name{rest})
		s = rest
	}
}

// Reversed is the name with its labels in reverse order, each ended by a dot:
// com.example. sorts directly before everything below example.com.
func (n Name) Reversed() string {
	labels := strings.Split(n.ascii, ".")
	var b strings.Builder
	b.Grow(len(n.ascii) + 1)
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(labels[i])
		b.WriteByte('.')
	}
	return b.String()
}

// IsPublicSuffix says that names directly below n are registered by anyone, so
// that n can be nobody's mail domain (publicsuffix.org).
func (n Name) IsPublicSuffix() bool {
	s, _ := publicsuffix.PublicSuffix(n.ascii)
	return s == n.ascii
}

// StoredName is for the database, which holds only what ParseName gave.
func StoredName(ascii string) Name { return Name{ascii} }
