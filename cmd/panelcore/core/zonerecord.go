package core

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// A zone is a part of the DNS that the panel has the records of.
type zone struct {
	name    string // A-labels, without the final dot
	serial  uint32
	owner   string // a user; empty: the server's
	server  string // primary name server; empty: the first of the parameter nameservers
	mailbox string // of who answers for it; empty: hostmaster@ the zone
}

// A record is one value at a name. Records of one name and type are a set, of which
// several can have a part: each module its own, and people theirs.
type record struct {
	id     int64
	name   string // whole, without the final dot
	typ    string
	ttl    uint32
	value  string // as in wire.DNSChange: TXT joined and unquoted
	module string // whose it is; empty: a person's
}

const (
	minTTL     = 60
	maxTTL     = 7 * 24 * 60 * 60
	defaultTTL = 3600

	maxText    = 4096 // bytes of a TXT
	maxString  = 255  // bytes of one string in it (RFC 1035 section 3.3.14)
	maxSetText = 16 << 10
)

// moduleTypes are what modules hand over, personTypes what people can write.
var (
	moduleTypes = []string{"A", "AAAA", "MX", "TXT"}
	personTypes = []string{"A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"}
)

var (
	hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	nameLabel = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
)

// parseName returns name as zones keep it: A-labels in lower case without the final
// dot. Labels are those of hosts, and may have underscores (RFC 8552) where asked.
func parseName(name string, underscores bool) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	for _, r := range name {
		if r >= 0x80 {
			ascii, err := toASCII.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = ascii
			break
		}
	}
	name = strings.ToLower(name)
	if len(name) == 0 || len(name) > 253 {
		return "", false
	}
	label := hostLabel
	if underscores {
		label = nameLabel
	}
	for l := range strings.SplitSeq(name, ".") {
		if !label.MatchString(l) {
			return "", false
		}
	}
	return name, true
}

var toASCII = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))

// parseOwner is parseName of a name that has records of that type: addresses and
// mail have hosts, which are without underscores (RFC 1123 section 2.1).
func parseOwner(name, typ string, wildcard bool) (string, bool) {
	underscores := !slices.Contains([]string{"A", "AAAA", "MX"}, typ)
	rest, starred := strings.CutPrefix(name, "*.")
	if starred && !wildcard {
		return "", false
	}
	parsed, ok := parseName(rest, underscores)
	if starred {
		parsed = "*." + parsed
	}
	return parsed, ok
}

// inside says whether name is that domain or lies below it.
func inside(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// parseValue returns a value in the one spelling that zones keep it in; otherwise
// the key of the text that says what would be right.
func parseValue(typ, value string) (parsed, wrong string) {
	f := strings.Fields(value)
	switch typ {
	case "A", "AAAA":
		ip, err := netip.ParseAddr(strings.TrimSpace(value))
		if err != nil || ip.Zone() != "" || ip.Is4() != (typ == "A") || ip.Is4In6() {
			return "", "zone_" + strings.ToLower(typ)
		}
		return ip.String(), ""
	case "CNAME", "NS":
		host, ok := parseName(strings.TrimSpace(value), typ == "CNAME")
		if !ok {
			return "", "zone_host"
		}
		return host, ""
	case "MX":
		if host, ok := target(f, 1); ok && (host != "." || f[0] == "0") { // RFC 7505
			return f[0] + " " + host, ""
		}
		return "", "zone_mx"
	case "SRV":
		if host, ok := target(f, 3); ok {
			return strings.Join(f[:3], " ") + " " + host, ""
		}
		return "", "zone_srv"
	case "CAA":
		if parsed, ok := parseCAA(value); ok {
			return parsed, ""
		}
		return "", "zone_caa"
	case "TXT":
		if value == "" || len(value) > maxText || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", "zone_txt"
		}
		return value, ""
	}
	return "", "zone_type"
}

// target reads numbers of 16 bits, written as one writes numbers, and the host after
// them; "." is none.
func target(f []string, numbers int) (string, bool) {
	if len(f) != numbers+1 {
		return "", false
	}
	for _, n := range f[:numbers] {
		if v, err := strconv.ParseUint(n, 10, 16); err != nil || strconv.FormatUint(v, 10) != n {
			return "", false
		}
	}
	if f[numbers] == "." {
		return ".", true
	}
	return parseName(f[numbers], false)
}

var caa = regexp.MustCompile(`^(0|128) ([a-z0-9]{1,15}) "?([!#-\[\]-~ ]{0,255}?)"?$`)

// parseCAA reads `0 issue "ca.example"` (RFC 8659 section 4.1.1).
func parseCAA(value string) (string, bool) {
	m := caa.FindStringSubmatch(strings.TrimSpace(value))
	if m == nil {
		return "", false
	}
	return fmt.Sprintf("%s %s %q", m[1], m[2], m[3]), true
}

// rr returns the record as the library has it. The value is one that parseValue gave.
func (r record) rr() (dns.RR, error) {
	h := dns.RR_Header{Name: dns.Fqdn(r.name), Rrtype: dns.StringToType[r.typ], Class: dns.ClassINET, Ttl: r.ttl}
	f := strings.Fields(r.value)
	number := func(i int) uint16 {
		n, _ := strconv.ParseUint(f[i], 10, 16) // parsed before
		return uint16(n)
	}
	if again, wrong := parseValue(r.typ, r.value); wrong != "" || again != r.value {
		return nil, fmt.Errorf("write record %s %s: not a value: %.100q", r.name, r.typ, r.value)
	}
	switch r.typ {
	case "A":
		return &dns.A{Hdr: h, A: netip.MustParseAddr(r.value).AsSlice()}, nil
	case "AAAA":
		return &dns.AAAA{Hdr: h, AAAA: netip.MustParseAddr(r.value).AsSlice()}, nil
	case "CNAME":
		return &dns.CNAME{Hdr: h, Target: dns.Fqdn(r.value)}, nil
	case "NS":
		return &dns.NS{Hdr: h, Ns: dns.Fqdn(r.value)}, nil
	case "MX":
		return &dns.MX{Hdr: h, Preference: number(0), Mx: dns.Fqdn(f[1])}, nil
	case "SRV":
		return &dns.SRV{Hdr: h, Priority: number(0), Weight: number(1), Port: number(2), Target: dns.Fqdn(f[3])}, nil
	case "CAA":
		m := caa.FindStringSubmatch(r.value)
		return &dns.CAA{Hdr: h, Flag: uint8(number(0)), Tag: m[2], Value: m[3]}, nil
	case "TXT":
		return &dns.TXT{Hdr: h, Txt: textStrings(r.value)}, nil
	}
	return nil, fmt.Errorf("write record %s: no such type: %q", r.name, r.typ)
}

// textStrings splits a text into strings of a TXT record, escaped as the library
// and zone files want them (RFC 1035 section 5.1).
func textStrings(text string) []string {
	var parts []string
	for part := range slices.Chunk([]byte(text), maxString) {
		var b strings.Builder
		for _, c := range part {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		parts = append(parts, b.String())
	}
	return parts
}

// served returns the records as servers have them, in their order: each value once, as
// a module's where no person has it too, and all of a name and type with one TTL, the
// shortest (RFC 2181 section 5.2).
func served(rs []record) []record {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b record) int {
		return cmp.Or(compareNames(a.name, b.name), cmp.Compare(a.typ, b.typ), cmp.Compare(a.value, b.value))
	})
	var out []record
	begin := 0 // of the set
	for _, r := range rs {
		r.id = 0
		if len(out) == 0 || out[begin].name != r.name || out[begin].typ != r.typ {
			begin = len(out)
		}
		if n := len(out); n == begin || out[n-1].value != r.value {
			out = append(out, r)
		} else if r.module == "" {
			out[n-1].module = ""
		}
		ttl := min(out[begin].ttl, r.ttl)
		for i := begin; i < len(out); i++ {
			out[i].ttl = ttl
		}
	}
	return out
}

// compareNames orders a domain before the names below it.
func compareNames(a, b string) int {
	la, lb := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(la)
	slices.Reverse(lb)
	return slices.Compare(la, lb)
}
