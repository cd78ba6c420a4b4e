package tree

import (
	"strconv"
	"unicode/utf8"
)

// xmlHeader is the XML declaration that a document starts with.
const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// AppendXML appends n as an XML document. It is well-formed whatever the values:
// what XML 1.0 section 2.2 forbids becomes U+FFFD.
func AppendXML(b []byte, n *Node) []byte {
	b = append(b, xmlHeader...)
	b = appendXML(b, n)
	return append(b, '\n')
}

func appendXML(b []byte, n *Node) []byte {
	b = append(b, '<')
	b = append(b, n.Name...)
	for _, a := range n.Attrs {
		b = append(b, ' ')
		b = append(b, a.Name...)
		b = append(b, '=', '"')
		b = appendXMLText(b, a.Value, true)
		b = append(b, '"')
	}
	if n.Text == "" && len(n.Children) == 0 {
		return append(b, '/', '>')
	}
	b = append(b, '>')
	b = appendXMLText(b, n.Text, false)
	for _, c := range n.Children {
		b = appendXML(b, c)
	}
	b = append(b, '<', '/')
	b = append(b, n.Name...)
	return append(b, '>')
}

// appendXMLText writes s so that a reader gets it back: carriage returns, and in
// attributes line feeds and tabs too, are written as references, because a
// reader changes the bare ones (XML 1.0 sections 2.11 and 3.3.3).
func appendXMLText(b []byte, s string, attr bool) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
				b = append(b, "\uFFFD"...)
			} else {
				b = append(b, s[i:i+size]...)
			}
			i += size
			continue
		}
		i++
		switch {
		case c == '&':
			b = append(b, "&amp;"...)
		case c == '<':
			b = append(b, "&lt;"...)
		case c == '>':
			b = append(b, "&gt;"...)
		case c == '"' && attr:
			b = append(b, "&quot;"...)
		case c == '\r', attr && (c == '\n' || c == '\t'):
			b = append(b, '&', '#')
			b = strconv.AppendUint(b, uint64(c), 10)
			b = append(b, ';')
		case c < 0x20 && c != '\n' && c != '\t':
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, c)
		}
	}
	return b
}
