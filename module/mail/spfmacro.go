package mail

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A macroPart is literal text or one %{…} of a macro string (RFC 7208 section 7.1).
type macroPart struct {
	text    string // literal; the parts below are then unset
	letter  byte   // lower case
	escape  bool   // the letter was a capital: URL escapes
	keep    int    // rightmost parts to keep; 0: all
	reverse bool
	cutAt   string // delimiters; empty: the dot
}

// macroParts reads a macro string; ok is false where it breaks the grammar.
func macroParts(s string) (parts []macroPart, ok bool) {
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			if !visible(s[:i]) {
				return nil, false
			}
			parts, s = append(parts, macroPart{text: s[:i]}), s[i:]
			continue
		}
		if len(s) < 2 {
			return nil, false
		}
		switch s[1] {
		case '%':
			parts, s = append(parts, macroPart{text: "%"}), s[2:]
		case '_':
			parts, s = append(parts, macroPart{text: " "}), s[2:]
		case '-':
			parts, s = append(parts, macroPart{text: "%20"}), s[2:]
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return nil, false
			}
			p, ok := macroExpand(s[2:end])
			if !ok {
				return nil, false
			}
			parts, s = append(parts, p), s[end+1:]
		default:
			return nil, false
		}
	}
	return parts, true
}

// macroExpand reads what stands in the braces: a letter, digits, r, delimiters.
// The letters c, r and t are for explanations alone.
func macroExpand(s string) (p macroPart, ok bool) {
	if s == "" {
		return p, false
	}
	p.letter, p.escape = s[0]|0x20, s[0]&0x20 == 0
	if !letter(s[0]) || strings.IndexByte("slodiphv", p.letter) < 0 {
		return p, false
	}
	s = s[1:]
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits > 0 {
		n, err := strconv.Atoi(s[:digits])
		if err != nil {
			n = 128 // more parts than any name has
		}
		if n == 0 {
			return p, false
		}
		p.keep, s = n, s[digits:]
	}
	if s != "" && s[0]|0x20 == 'r' {
		p.reverse, s = true, s[1:]
	}
	p.cutAt = s
	return p, strings.Trim(s, ".-+,/_=") == ""
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

func macroString(s string) bool {
	_, ok := macroParts(s)
	return ok
}

// domainSpec says that s ends in a macro or in a top label (RFC 7208 section 7.1).
func domainSpec(s string) bool {
	parts, ok := macroParts(s)
	if !ok || len(parts) == 0 {
		return false
	}
	last := parts[len(parts)-1]
	if last.letter != 0 || strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-") {
		return true
	}
	text := strings.TrimSuffix(last.text, ".")
	dot := strings.LastIndexByte(text, '.')
	return dot >= 0 && topLabel(text[dot+1:])
}

func topLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' || allDigits(s) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// usesP says that a macro string asks for the name of the sender's address.
func usesP(s string) bool {
	parts, _ := macroParts(s)
	return slices.ContainsFunc(parts, func(p macroPart) bool { return p.letter == 'p' })
}

// expand fills the macros of a domain-spec for a sender, within the current
// domain; ptr is what %{p} stands for. A name over 253 bytes loses labels on its left.
func (s SPFSender) expand(spec, domain, ptr string) string {
	parts, _ := macroParts(spec)
	var b strings.Builder
	for _, p := range parts {
		if p.letter == 0 {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(p.transform(s.macro(p.letter, domain, ptr)))
	}
	name := strings.TrimSuffix(b.String(), ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

func (s SPFSender) macro(letter byte, domain, ptr string) string {
	switch letter {
	case 's':
		return s.local() + "@" + s.Domain
	case 'l':
		return s.local()
	case 'o':
		return s.Domain
	case 'd':
		return domain
	case 'i':
		return dottedIP(s.IP.Unmap())
	case 'p':
		return ptr
	case 'h':
		return s.HELO
	default: // v
		if s.IP.Unmap().Is4() {
			return "in-addr"
		}
		return "ip6"
	}
}

// dottedIP is an IPv4 address as ever, an IPv6 address as nibbles with dots between.
func dottedIP(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	const hex = "0123456789abcdef"
	b := a.As16()
	out := make([]byte, 0, 64)
	for _, c := range b {
		out = append(out, hex[c>>4], '.', hex[c&15], '.')
	}
	return string(out[:len(out)-1])
}

func (p macroPart) transform(v string) string {
	cut := p.cutAt
	if cut == "" {
		cut = "."
	}
	if p.keep > 0 || p.reverse || p.cutAt != "" {
		var labels []string
		for v != "" {
			i := strings.IndexAny(v, cut)
			if i < 0 {
				labels, v = append(labels, v), ""
				break
			}
			labels = append(labels, v[:i])
			if v = v[i+1:]; v == "" {
				labels = append(labels, "")
			}
		}
		if p.reverse {
			slices.Reverse(labels)
		}
		if p.keep > 0 && p.keep < len(labels) {
			labels = labels[len(labels)-p.keep:]
		}
		v = strings.Join(labels, ".")
	}
	if p.escape {
		v = strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	}
	return v
}
