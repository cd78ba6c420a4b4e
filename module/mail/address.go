package mail

import (
	"errors"
	"strings"
)

// A LocalPart is what stands before the @: lower case, of the alphabet that
// Exim's files and lists take literally.
type LocalPart struct{ s string }

var errLocalPart = errors.New("not a local part that we take")

// ParseLocalPart reads a local part. It takes a subset of the dot-atom of
// RFC 5321 section 4.1.2: letters, digits and . _ + - =, no dot at an end or
// doubled, no hyphen in front, at most 64 bytes. Quoted local parts are refused.
func ParseLocalPart(s string) (LocalPart, error) {
	if len(s) < 1 || len(s) > 64 || s[0] == '-' || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return LocalPart{}, errLocalPart
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '+', c == '-', c == '=':
		default:
			return LocalPart{}, errLocalPart
		}
	}
	return LocalPart{strings.ToLower(s)}, nil
}

// String is the local part as files and database have it.
func (l LocalPart) String() string { return l.s }

// An Address is a mailbox somewhere: here or anywhere else. The zero Address is none.
type Address struct {
	Local  LocalPart
	Domain Name
}

// ParseAddress reads local@domain.
func ParseAddress(s string) (Address, error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		return Address{}, errors.New("an address has an @")
	}
	l, err := ParseLocalPart(local)
	if err != nil {
		return Address{}, err
	}
	n, err := ParseName(domain)
	if err != nil {
		return Address{}, err
	}
	return Address{l, n}, nil
}

// IsZero says that a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// String is the address with its domain in A-labels; empty for none.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.Local.s + "@" + a.Domain.ascii
}

// Unicode is the address as people read it.
func (a Address) Unicode() string {
	if a.IsZero() {
		return ""
	}
	return a.Local.s + "@" + a.Domain.Unicode()
}
