package mail

import (
	"regexp"
	"strings"
)

// A Selector names a DKIM key below _domainkey (RFC 6376 section 3.1).
type Selector struct{ s string }

var selectorLabels = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// ParseSelector reads labels of letters, digits and inner hyphens, with dots
// between; at most 100 bytes.
func ParseSelector(s string) (Selector, bool) {
	if len(s) > 100 || !selectorLabels.MatchString(s) { // before lower case, which makes a k of the Kelvin sign
		return Selector{}, false
	}
	return Selector{strings.ToLower(s)}, true
}

// String is the selector in lower case.
func (s Selector) String() string { return s.s }

// StoredSelector is for the database, which holds only what ParseSelector gave.
func StoredSelector(s string) Selector { return Selector{s} }

// An SSLName says where a certificate comes from: one of the two below, or the
// name of a certificate that the owner has in the panel.
type SSLName string

// Sources of certificates that are not names of the panel's.
const (
	SelfSigned  SSLName = "selfsigned"
	LetsEncrypt SSLName = "letsencrypt"
)

// A Challenge is how an authority is shown that names are a domain's (RFC 8555 section 8).
type Challenge string

// The challenges. Automatic takes what can work, over HTTP first.
const (
	ChallengeAuto Challenge = "auto"
	ChallengeHTTP Challenge = "http-01"
	ChallengeDNS  Challenge = "dns-01"
)

// Challenges are all that a form offers.
var Challenges = []Challenge{ChallengeAuto, ChallengeHTTP, ChallengeDNS}

var certificateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// mostAliases is how many names Let's Encrypt puts in a certificate at most.
const mostAliases = 100

// parseAliases reads host names with white space between them.
func parseAliases(s string) ([]Name, bool) {
	var ns []Name
	seen := map[Name]bool{}
	for f := range strings.FieldsSeq(s) {
		n, err := ParseName(f)
		if err != nil || len(ns) >= mostAliases && !seen[n] {
			return nil, false
		}
		if !seen[n] {
			seen[n] = true
			ns = append(ns, n)
		}
	}
	return ns, len(ns) >= 1
}

// JoinNames is ns with a blank between, as forms and database have it.
func JoinNames(ns []Name) string {
	s := make([]string, len(ns))
	for i, n := range ns {
		s[i] = n.String()
	}
	return strings.Join(s, " ")
}
