package mail

import (
	"errors"
	"fmt"
	"strings"
)

// A TXT is what a TXT record holds: strings of at most 255 bytes each
// (RFC 1035 section 3.3.14). SPF, DKIM and DMARC join them with nothing between.
type TXT []string

const mostInString = 255

// SplitTXT cuts s into as few strings as hold it; an empty s is one empty string.
func SplitTXT(s string) TXT {
	var t TXT
	for len(s) > mostInString {
		t = append(t, s[:mostInString])
		s = s[mostInString:]
	}
	return append(t, s)
}

// Join is the text that the strings make.
func (t TXT) Join() string { return strings.Join(t, "") }

// String is t as zone files have it: each string in quotes, a blank between. Bytes
// that are no printable ASCII become \DDD (RFC 1035 section 5.1).
func (t TXT) String() string {
	var b strings.Builder
	for i, s := range t {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		for j := range len(s) {
			switch c := s[j]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

var errTXT = errors.New("not the strings of a TXT record")

// ParseTXT reads strings as zone files have them: quoted, or words without quotes.
func ParseTXT(s string) (TXT, error) {
	var t TXT
	for {
		s = strings.TrimLeft(s, folding)
		if s == "" {
			break
		}
		one, rest, err := txtString(s)
		if err != nil {
			return nil, err
		}
		t, s = append(t, one), rest
	}
	if len(t) == 0 {
		return nil, errTXT
	}
	return t, nil
}

// txtString reads the first string of s, which begins with it.
func txtString(s string) (one, rest string, err error) {
	var b strings.Builder
	quoted := s[0] == '"'
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			b2, width, ok := escaped(s[i+1:])
			if !ok {
				return "", "", errTXT
			}
			b.WriteByte(b2)
			i += width
		case quoted && c == '"':
			rest = s[i+1:]
			if rest != "" && !strings.ContainsRune(folding, rune(rest[0])) {
				return "", "", errTXT
			}
			return bounded(b.String(), rest)
		case !quoted && strings.ContainsRune(folding, rune(c)):
			return bounded(b.String(), s[i:])
		case !quoted && strings.IndexByte(`";()`, c) >= 0:
			return "", "", errTXT
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errTXT
	}
	return bounded(b.String(), "")
}

func bounded(one, rest string) (string, string, error) {
	if len(one) > mostInString {
		return "", "", errTXT
	}
	return one, rest, nil
}

// escaped reads what follows a backslash: three digits, or one other byte.
func escaped(s string) (c byte, width int, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	if !digit(s[0]) {
		return s[0], 1, true
	}
	if len(s) < 3 || !digit(s[1]) || !digit(s[2]) {
		return 0, 0, false
	}
	n := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	return byte(n), 3, n <= 255
}
