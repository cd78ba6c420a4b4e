package dns

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

var wireTypes = map[mail.RecordType]uint16{
	mail.TypeA:    dns.TypeA,
	mail.TypeAAAA: dns.TypeAAAA,
	mail.TypeMX:   dns.TypeMX,
	mail.TypeTXT:  dns.TypeTXT,
	mail.TypePTR:  dns.TypePTR,
}

// wireName is name as the library writes it: absolute, with its own escapes for what
// is not of a host name. The names of SPF macros may hold any bytes.
func wireName(name string) string {
	var b strings.Builder
	odd := false
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
			odd = true
		}
	}
	fqdn := dns.Fqdn(b.String())
	if !odd {
		return fqdn
	}
	var wire [256]byte
	if _, err := dns.PackDomainName(fqdn, wire[:], 0, nil, false); err != nil {
		return fqdn // too long, which the question will find out
	}
	written, _, err := dns.UnpackDomainName(wire[:], 0)
	if err != nil {
		return fqdn
	}
	return written
}

// plainName is a name of the library's as mail.Record has it.
func plainName(wire string) string {
	if wire == "." {
		return wire
	}
	return strings.ToLower(strings.TrimSuffix(wire, "."))
}

// newRR is one value as a record.
func newRR(name string, t mail.RecordType, ttl uint32, value string) (dns.RR, error) {
	v, err := mail.NormalValue(t, value)
	if err != nil {
		return nil, err
	}
	h := dns.RR_Header{Name: wireName(name), Rrtype: wireTypes[t], Class: dns.ClassINET, Ttl: ttl}
	switch t {
	case mail.TypeA:
		return &dns.A{Hdr: h, A: netip.MustParseAddr(v).AsSlice()}, nil
	case mail.TypeAAAA:
		return &dns.AAAA{Hdr: h, AAAA: netip.MustParseAddr(v).AsSlice()}, nil
	case mail.TypeMX:
		preference, host, err := mail.SplitMX(v)
		return &dns.MX{Hdr: h, Preference: uint16(preference), Mx: wireName(host)}, err
	case mail.TypeTXT:
		rr := &dns.TXT{Hdr: h}
		for _, s := range mail.SplitTXT(v) {
			quoted := mail.TXT{s}.String() // the library keeps escapes, without the quotes
			rr.Txt = append(rr.Txt, quoted[1:len(quoted)-1])
		}
		return rr, nil
	}
	return nil, fmt.Errorf("%s records are not handed over", t)
}

// valueOf is a record's value as mail.Record has it; false for other types.
func valueOf(rr dns.RR) (string, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(rr.A.To4())
		return a.String(), ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(rr.AAAA.To16())
		return a.String(), ok
	case *dns.MX:
		return fmt.Sprintf("%d %s", rr.Preference, plainName(rr.Mx)), true
	case *dns.PTR:
		return plainName(rr.Ptr), true
	case *dns.NS:
		return plainName(rr.Ns), true
	case *dns.TXT:
		var text strings.Builder
		for _, s := range rr.Txt {
			one, err := mail.ParseTXT(`"` + s + `"`)
			if err != nil {
				return "", false
			}
			text.WriteString(one.Join())
		}
		return text.String(), true
	}
	return "", false
}

// sameName: names have no case.
func sameName(a, b string) bool { return strings.EqualFold(dns.Fqdn(a), dns.Fqdn(b)) }

// aliasOf is where a CNAME of name leads; empty: there is none.
func aliasOf(m *dns.Msg, name string) string {
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && sameName(c.Hdr.Name, name) {
			return c.Target
		}
	}
	return ""
}
