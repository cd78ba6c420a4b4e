package mail

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A RecordType is a type of DNS record that mail needs.
type RecordType string

// The types that a domain publishes, and those that the checks ask for besides.
const (
	TypeA    RecordType = "A"
	TypeAAAA RecordType = "AAAA"
	TypeMX   RecordType = "MX"
	TypeTXT  RecordType = "TXT"
	TypePTR  RecordType = "PTR"
)

// A Purpose is why a domain needs a record. It decides how the record is compared.
type Purpose string

// The purposes.
const (
	ForMX      Purpose = "mx"      // others send its mail here
	ForSPF     Purpose = "spf"     // says where its mail leaves from (RFC 7208)
	ForDKIM    Purpose = "dkim"    // the key that its letters are signed with (RFC 6376)
	ForDMARC   Purpose = "dmarc"   // what receivers do with forged letters (RFC 9989)
	ForHost    Purpose = "host"    // the address of a name that programs connect to
	ForReports Purpose = "reports" // another domain takes DMARC reports about this one (RFC 9990)
	ForTLS     Purpose = "tls"     // no record: the certificate that mail servers show for a name
	ForACME    Purpose = "acme"    // shows an authority that a name is ours (RFC 8555 section 8.4)
)

// A Record is the set of values that a name has of one type, as a mail domain
// needs them.
type Record struct {
	Name string // A-labels and underscores, lower case, without the final dot
	Type RecordType
	TTL  uint32 // seconds
	// Values as people write them: an address; "10 mail.example.com" for MX,
	// without the final dot; for TXT the joined text, of any length, unquoted.
	Values []string
	Why    Purpose
}

// DefaultTTL is for records whose publication names none: an hour.
const DefaultTTL = 3600

// A Field is a record as a provider's web form asks for it: one value, the name
// without the final dot, text unquoted and in one piece.
type Field struct {
	Name  string
	Type  RecordType
	TTL   uint32
	Value string
}

// Fields are r for web forms, one for each value.
func (r Record) Fields() []Field {
	fs := make([]Field, len(r.Values))
	for i, v := range r.Values {
		fs[i] = Field{r.Name, r.Type, r.TTL, v}
	}
	return fs
}

// NormalValue is v in the one spelling that equal values of the type share. It
// refuses what is no value of that type.
func NormalValue(t RecordType, v string) (string, error) {
	switch t {
	case TypeA, TypeAAAA:
		a, err := netip.ParseAddr(v)
		if err != nil || a.Zone() != "" || a.Is4() != (t == TypeA) || a.Is4In6() {
			return "", fmt.Errorf("%q is no value of %s", v, t)
		}
		return a.String(), nil
	case TypeMX:
		pref, host, ok := strings.Cut(v, " ")
		n, err := strconv.ParseUint(pref, 10, 16)
		host = normalHost(host)
		if !ok || err != nil || host != "." && !dnsName(host) {
			return "", fmt.Errorf("%q is no value of MX", v)
		}
		return strconv.FormatUint(n, 10) + " " + host, nil
	case TypePTR:
		if host := normalHost(v); dnsName(host) {
			return host, nil
		}
		return "", fmt.Errorf("%q is no value of PTR", v)
	case TypeTXT:
		if n := len(SplitTXT(v)); len(v)+n > 65535 {
			return "", fmt.Errorf("a text of %d bytes does not fit in a record", len(v))
		}
		return v, nil
	}
	return "", fmt.Errorf("%s is no type that mail needs", t)
}

// SplitMX is the preference and the host of a value of MX; the host "." takes
// no mail (RFC 7505).
func SplitMX(v string) (preference int, host string, err error) {
	v, err = NormalValue(TypeMX, v)
	if err != nil {
		return 0, "", err
	}
	p, host, _ := strings.Cut(v, " ")
	preference, err = strconv.Atoi(p)
	return preference, host, err
}

// ReverseName is where the PTR records of an address stand (RFC 1035 section
// 3.5, RFC 3596 section 2.5), without the final dot.
func ReverseName(a netip.Addr) string {
	a = a.Unmap()
	p := macroPart{reverse: true}
	if a.Is4() {
		return p.transform(a.String()) + ".in-addr.arpa"
	}
	return p.transform(dottedIP(a)) + ".ip6.arpa"
}

// normalHost keeps the root as ".", which an MX record means "no mail" by (RFC 7505).
func normalHost(s string) string {
	if s == "." {
		return s
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// dnsName says that s is a name as DNS records have them: labels of 1 to 63
// letters, digits, hyphens and underscores, 253 bytes in all (RFC 1035 section 2.3.4).
func dnsName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for l := range strings.SplitSeq(s, ".") {
		if len(l) < 1 || len(l) > 63 {
			return false
		}
		for i := range len(l) {
			if c := l[i]; !letter(c) && !digit(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
