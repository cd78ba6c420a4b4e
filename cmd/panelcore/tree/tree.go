// Package tree holds an answer of the panel as a tree of elements, and writes it
// as XML, JSON, simple JSON or text. All forms are written from the one tree, so
// they cannot say different things. It knows nothing of sessions or modules.
package tree

import "strings"

// A Node is one element. Either it has text or it has children; a node that has
// both (mixed content) keeps the text and writes it first.
type Node struct {
	Name     string
	Attrs    []Attr
	Text     string
	Children []*Node

	single bool     // a value: never an array in JSON, and a string in simple JSON even when empty
	arrays []string // names of children that JSON shows as an array even where there is none
}

// An Attr is one attribute of a Node.
type Attr struct{ Name, Value string }

// Elem returns an element. attrs are names and values in turn; those with an
// empty value are left out.
func Elem(name string, attrs ...string) *Node {
	n := &Node{Name: safeName(name)}
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			n.Attrs = append(n.Attrs, Attr{safeName(attrs[i]), attrs[i+1]})
		}
	}
	return n
}

// Value returns an element that is one value of its parent, such as a cell of a
// row or a field of a form: it stands once, whatever its name.
func Value(name, text string) *Node {
	return &Node{Name: safeName(name), Text: text, single: true}
}

// Add appends children and returns n.
func (n *Node) Add(children ...*Node) *Node {
	n.Children = append(n.Children, children...)
	return n
}

// Set sets the text and returns n.
func (n *Node) Set(text string) *Node {
	n.Text = text
	return n
}

// Always makes JSON show children of that name as an array also when there are
// none, and returns n.
func (n *Node) Always(name string) *Node {
	n.arrays = append(n.arrays, name)
	return n
}

// Attr returns the value of an attribute, empty when it is absent.
func (n *Node) Attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Child returns the first child of that name, nil when there is none.
func (n *Node) Child(name string) *Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// repeats names the elements that can stand more than once below one parent:
// JSON shows them as an array also when there is one, so that clients need no
// second way to read them.
var repeats = map[string]bool{
	"button": true, "col": true, "else": true, "elem": true, "field": true, "filter": true,
	"hide": true, "if": true, "input": true, "list": true, "msg": true, "node": true,
	"page": true, "param": true, "prop": true, "select": true, "show": true, "slist": true,
	"textarea": true, "textdata": true, "toggle": true, "toolbtn": true, "toolgrp": true, "val": true,
}

// safeName returns name as XML allows it for elements and attributes: every
// character outside of ASCII letters, digits, '_', '-' and '.' becomes '_'
// (a narrower set than XML 1.0 section 2.3, on purpose).
func safeName(name string) string {
	for i := 0; i < len(name); i++ {
		if !nameByte(name[i], i == 0) {
			return mendName(name)
		}
	}
	if name == "" {
		return "_"
	}
	return name
}

// IsName says whether name can name an element as it is.
func IsName(name string) bool { return name != "" && safeName(name) == name }

func nameByte(c byte, first bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		return true
	case c >= '0' && c <= '9', c == '-', c == '.':
		return !first
	}
	return false
}

func mendName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case nameByte(name[i], i == 0):
			b.WriteByte(name[i])
		case i == 0 && nameByte(name[i], false):
			b.WriteByte('_')
			b.WriteByte(name[i])
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}
