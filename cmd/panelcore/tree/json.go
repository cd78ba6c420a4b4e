package tree

import (
	"slices"
	"unicode/utf8"
)

// AppendJSON appends n as the panel's JSON, an object with n's name as its only
// key: an attribute is "$name", text is "$", a child is a key, children of one
// name are an array, an empty element is {}.
func AppendJSON(b []byte, n *Node) []byte { return appendDocument(b, n, false) }

// AppendSimpleJSON appends n as JSON in which an element that has nothing but
// text is a plain string instead of {"$": text}.
func AppendSimpleJSON(b []byte, n *Node) []byte { return appendDocument(b, n, true) }

func appendDocument(b []byte, n *Node, simple bool) []byte {
	b = append(b, '{')
	b = appendJSONString(b, "", n.Name)
	b = append(b, ':')
	b = appendJSON(b, n, simple)
	return append(b, '}', '\n')
}

func appendJSON(b []byte, n *Node, simple bool) []byte {
	if simple && len(n.Attrs) == 0 && len(n.Children) == 0 && (n.single || n.Text != "") {
		return appendJSONString(b, "", n.Text)
	}
	b = append(b, '{')
	open := len(b)
	key := func(prefix, name string) {
		if len(b) > open {
			b = append(b, ',')
		}
		b = appendJSONString(b, prefix, name)
		b = append(b, ':')
	}
	for _, a := range n.Attrs {
		key("$", a.Name)
		b = appendJSONString(b, "", a.Value)
	}
	if n.Text != "" {
		key("$", "")
		b = appendJSONString(b, "", n.Text)
	}
	for i, c := range n.Children {
		if !slices.ContainsFunc(n.Children[:i], func(o *Node) bool { return o.Name == c.Name }) {
			key("", c.Name)
			b = appendGroup(b, n.Children[i:], simple)
		}
	}
	for _, name := range n.arrays {
		if n.Child(name) == nil {
			key("", name)
			b = append(b, '[', ']')
		}
	}
	return append(b, '}')
}

// appendGroup writes all of nodes that have the name of the first.
func appendGroup(b []byte, nodes []*Node, simple bool) []byte {
	first := nodes[0]
	array := repeats[first.Name] && !first.single ||
		slices.ContainsFunc(nodes[1:], func(n *Node) bool { return n.Name == first.Name })
	if !array {
		return appendJSON(b, first, simple)
	}
	b = append(b, '[')
	for i, n := range nodes {
		if n.Name != first.Name {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, n, simple)
	}
	return append(b, ']')
}

const hex = "0123456789abcdef"

// appendJSONString writes prefix and s as one JSON string (RFC 8259 section 7).
// Bytes that are no UTF-8 become U+FFFD; what some readers take for the end of a
// line (U+0085, U+2028, U+2029) is escaped.
func appendJSONString(b []byte, prefix, s string) []byte {
	b = append(b, '"')
	b = append(b, prefix...)
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 || r == 0x85 || r == 0x2028 || r == 0x2029 {
				b = append(b, s[start:i]...)
				if r == utf8.RuneError {
					b = append(b, "\uFFFD"...)
				} else {
					b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
				}
				start = i + size
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
