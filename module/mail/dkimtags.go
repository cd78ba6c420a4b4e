package mail

import (
	"errors"
	"fmt"
	"strings"
)

// A tag is one name=value of a tag list (RFC 6376 section 3.2).
type tag struct{ name, value string }

// mostText bounds the records of others that are read, quoted and merged. A key of
// 4096 bits makes 750 bytes; RFC 7208 section 3.4 asks for less than 450.
const mostText = 4096

var errLong = fmt.Errorf("it is longer than %d bytes", mostText)

// parseTags reads tags with semicolons between, folding white space around names
// and values, an empty last tag, and no name twice.
func parseTags(s string) ([]tag, error) {
	if len(s) > mostText {
		return nil, errLong
	}
	var tags []tag
	seen := map[string]bool{}
	parts := strings.Split(s, ";")
	for i, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		name, value = trimFWS(name), trimFWS(value)
		if !ok {
			if name == "" && i == len(parts)-1 {
				break
			}
			return nil, errors.New("a tag has no =")
		}
		if !tagName(name) || !tagValue(value) {
			return nil, errors.New("not a tag")
		}
		if seen[name] {
			return nil, fmt.Errorf("the tag %s= stands twice", name)
		}
		seen[name] = true
		tags = append(tags, tag{name, value})
	}
	if len(tags) == 0 {
		return nil, errors.New("there are no tags")
	}
	return tags, nil
}

const folding = " \t\r\n"

func trimFWS(s string) string { return strings.Trim(s, folding) }

func noSpace(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(folding, c) {
			return -1
		}
		return c
	}, s)
}

func colonList(s string) []string {
	if s == "" {
		return nil
	}
	l := strings.Split(s, ":")
	for i := range l {
		l[i] = trimFWS(l[i])
	}
	return l
}

func tagName(s string) bool {
	for i := range len(s) {
		if !letter(s[i]) && (i == 0 || !digit(s[i]) && s[i] != '_') {
			return false
		}
	}
	return s != ""
}

// tagValue takes printable ASCII but the semicolon, and folding white space within.
func tagValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '!' || c > '~') && !strings.ContainsRune(folding, rune(c)) {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
