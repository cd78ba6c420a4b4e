package tree

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a document that Parse reads.
const (
	maxDepth = 40
	maxNodes = 50_000
)

// Parse reads an XML document. White space between elements is dropped, as are
// comments and processing instructions; a document type declaration is refused.
func Parse(r io.Reader) (*Node, error) {
	var stack []*Node
	var root *Node
	nodes := 0
	for d := xml.NewDecoder(r); ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && root != nil && len(stack) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse xml: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			n, err := startNode(t)
			if err != nil {
				return nil, err
			}
			if nodes++; nodes > maxNodes || len(stack) >= maxDepth {
				return nil, errors.New("parse xml: too many elements, or too deep")
			}
			switch {
			case len(stack) > 0:
				stack[len(stack)-1].Add(n)
			case root == nil:
				root = n
			default:
				return nil, errors.New("parse xml: more than one root element")
			}
			stack = append(stack, n)
		case xml.EndElement:
			n := stack[len(stack)-1]
			n.Text = strings.TrimSpace(n.Text)
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].Text += string(t)
			}
		case xml.Directive:
			return nil, errors.New("parse xml: document type declarations are not allowed")
		}
	}
}

func startNode(t xml.StartElement) (*Node, error) {
	if !IsName(t.Name.Local) {
		return nil, fmt.Errorf("parse xml: element %q: name not allowed", t.Name.Local)
	}
	n := &Node{Name: t.Name.Local}
	for _, a := range t.Attr {
		if !IsName(a.Name.Local) || n.Attr(a.Name.Local) != "" {
			return nil, fmt.Errorf("parse xml: attribute %q: name not allowed", a.Name.Local)
		}
		n.Attrs = append(n.Attrs, Attr{a.Name.Local, a.Value})
	}
	return n, nil
}
