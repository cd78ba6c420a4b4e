package tree

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// AppendText appends the answer n for scripts of a shell: "OK", one line a row
// of key=value pairs, one line a value of a form, or "ERROR type(object): message".
// A value that has blanks, quotes or control characters in it is written as a JSON
// string, so that a row is always one line.
//
// There is no half success here: when one object of several failed, the answer
// is the ERROR lines of those that did, each with its name, and no OK.
func AppendText(b []byte, n *Node) []byte {
	start := len(b)
	for _, l := range n.Children {
		if l.Name == "list" {
			b = appendFailed(b, l)
		}
	}
	if len(b) > start {
		return b
	}
	if e := n.Child("error"); e != nil {
		return appendError(b, e, "")
	}
	if a := n.Child("auth"); a != nil {
		return appendAttrs(b, a)
	}
	if n.Child("ok") != nil {
		b = append(b, "OK\n"...)
		for _, l := range n.Children {
			if l.Name == "list" && l.Attr("name") != "done" {
				b = appendRows(b, l)
			}
		}
		return b
	}
	if n.Child("p_elems") != nil {
		return appendRows(b, n)
	}
	return appendRows(appendForm(b, n), n)
}

// Failed says whether the answer n is an error, or one of several objects failed:
// where AppendText writes ERROR.
func Failed(n *Node) bool {
	return n.Child("error") != nil || slices.ContainsFunc(n.Children, func(l *Node) bool {
		return l.Name == "list" && slices.ContainsFunc(l.Children, func(row *Node) bool { return row.Child("error") != nil })
	})
}

// appendError writes one line: an error's text may have line breaks of its own.
func appendError(b []byte, e *Node, object string) []byte {
	b = append(b, "ERROR "...)
	b = append(b, e.Attr("type")...)
	if o := e.Attr("object"); o != "" {
		b = append(b, '(')
		b = append(b, oneLine(o)...)
		b = append(b, ')')
	}
	b = append(b, ": "...)
	if object != "" {
		b = append(b, oneLine(object)...)
		b = append(b, ": "...)
	}
	if msg := e.Child("msg"); msg != nil {
		b = append(b, oneLine(msg.Text)...)
	}
	return append(b, '\n')
}

func appendFailed(b []byte, list *Node) []byte {
	for _, row := range list.Children {
		if e := row.Child("error"); e != nil {
			elid := ""
			if c := row.Child("elid"); c != nil {
				elid = c.Text
			}
			b = appendError(b, e, elid)
		}
	}
	return b
}

func appendRows(b []byte, n *Node) []byte {
	for _, row := range n.Children {
		if row.Name != "elem" {
			continue
		}
		for i, c := range row.Children {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendPair(b, c.Name, c.Text)
		}
		b = append(b, '\n')
	}
	return b
}

func appendForm(b []byte, n *Node) []byte {
	hidden := func(name string) bool {
		return slices.ContainsFunc(n.Children, func(c *Node) bool { return c.Name == "hide" && c.Attr("name") == name })
	}
	for _, c := range n.Children {
		if c.single && !hidden(c.Name) {
			b = appendPair(b, c.Name, c.Text)
			b = append(b, '\n')
		}
	}
	return b
}

func appendAttrs(b []byte, n *Node) []byte {
	for i, a := range n.Attrs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendPair(b, a.Name, a.Value)
	}
	return append(b, '\n')
}

func appendPair(b []byte, key, value string) []byte {
	b = append(b, key...)
	b = append(b, '=')
	if strings.IndexFunc(value, needsQuotes) >= 0 {
		return appendJSONString(b, "", value)
	}
	return append(b, value...)
}

func needsQuotes(r rune) bool {
	return r <= ' ' || r == '"' || r == '\\' || r == '\'' || r == 0x7f || r == 0x85 || r == 0xa0 ||
		r == 0x2028 || r == 0x2029 || r == utf8.RuneError
}

// oneLine returns s with every run of white space and control characters made a
// single blank.
func oneLine(s string) string {
	return string(bytes.Join(bytes.FieldsFunc([]byte(s), func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029
	}), []byte(" ")))
}
