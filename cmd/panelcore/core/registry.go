package core

import (
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"maildomain/cmd/panelcore/tree"
	"maildomain/rpc/wire"
)

// A Function is one entry of what can be called.
type Function struct {
	Name  string
	Kind  string // list, form, group, action, report
	Level string // the lowest level that may call it

	Columns  []string              // of a list, its key first, or the fields of a form, in the order of the metadata
	Secret   map[string]bool       // parameters that are never echoed or logged
	Metadata *tree.Node            // how pages show it; nil when the module says nothing
	Messages map[string]*tree.Node // its texts, by language

	owner *module // nil: the core itself
	run   ownRun  // nil: the owner is called
}

// A registry is everything that can be called, by name, and where it stands in
// the menus. It is replaced, never changed.
type registry struct {
	functions map[string]*Function
	menus     map[*module]Menu
}

// A Menu is what a module, or the core itself, adds to the menu of pages.
type Menu struct {
	Nodes []*tree.Node          // the elements mainmenu
	Texts map[string]*tree.Node // of its entries, by language
}

// Function returns the entry of that name, nil when nobody has registered it.
func (c *Core) Function(name string) *Function { return c.registry.Load().functions[name] }

// Functions returns all entries, in no order.
func (c *Core) Functions() iter.Seq[*Function] { return maps.Values(c.registry.Load().functions) }

// Menus returns the menus of the modules in the order of their names, and the
// core's own at the end.
func (c *Core) Menus() []Menu {
	r := c.registry.Load()
	var menus []Menu
	for _, m := range append(slices.Clone(c.modules), nil) {
		if menu := r.menus[m]; len(menu.Nodes) > 0 {
			menus = append(menus, menu)
		}
	}
	return menus
}

// register puts what owner can do in the place of what it could do before.
func (c *Core) register(owner *module, functions []wire.Function, metadata string) error {
	root := tree.Elem("mgrdata")
	if metadata != "" {
		var err error
		if root, err = tree.Parse(strings.NewReader(metadata)); err != nil {
			return fmt.Errorf("read metadata: %w", err)
		}
	}
	c.registering.Lock()
	defer c.registering.Unlock()
	next := &registry{map[string]*Function{}, map[*module]Menu{}}
	if old := c.registry.Load(); old != nil {
		maps.Copy(next.functions, old.functions)
		maps.Copy(next.menus, old.menus)
		maps.DeleteFunc(next.functions, func(_ string, f *Function) bool { return f.owner == owner })
	}
	for _, w := range functions {
		if err := checkFunction(w, next.functions[w.Name]); err != nil {
			return err
		}
		next.functions[w.Name] = newFunction(w, owner, root)
	}
	next.menus[owner] = newMenu(root)
	c.registry.Store(next)
	return nil
}

func checkFunction(w wire.Function, taken *Function) error {
	if !tree.IsName(w.Name) || len(w.Name) > 100 {
		return fmt.Errorf("function %q: not a name", w.Name)
	}
	if rank(w.Level) == 0 {
		return fmt.Errorf("function %s: no such level: %q", w.Name, w.Level)
	}
	if !slices.Contains([]string{"list", "form", "group", "action", "report"}, w.Kind) {
		return fmt.Errorf("function %s: no such kind: %q", w.Name, w.Kind)
	}
	switch {
	case taken == nil:
		return nil
	case taken.owner == nil:
		return fmt.Errorf("function %s: it is the core's own", w.Name)
	}
	return fmt.Errorf("function %s: module %s has it, or it is named twice", w.Name, taken.owner.name)
}

func newFunction(w wire.Function, owner *module, root *tree.Node) *Function {
	f := &Function{Name: w.Name, Kind: w.Kind, Level: w.Level, owner: owner, Secret: map[string]bool{}}
	for _, n := range root.Children {
		switch {
		case n.Name == "metadata" && n.Attr("name") == w.Name:
			f.Metadata = n
			if key := n.Attr("key"); key != "" {
				f.Columns = []string{key} // rows begin with what names them
			}
			f.describe(n)
		}
	}
	f.Messages = messages(root, w.Name)
	return f
}

// menuTexts is the name of the messages that the entries of menus are named by.
const menuTexts = "desktop"

func newMenu(root *tree.Node) Menu {
	menu := Menu{Texts: messages(root, menuTexts)}
	for _, n := range root.Children {
		if n.Name == "mainmenu" {
			menu.Nodes = append(menu.Nodes, n)
		}
	}
	return menu
}

// messages returns the texts of that name, by language.
func messages(root *tree.Node, name string) map[string]*tree.Node {
	texts := map[string]*tree.Node{}
	for _, lang := range root.Children {
		if lang.Name != "lang" {
			continue
		}
		for _, m := range lang.Children {
			if m.Name == "messages" && m.Attr("name") == name {
				texts[lang.Attr("name")] = m
			}
		}
	}
	return texts
}

// describe collects columns and fields in their order, and what is secret.
func (f *Function) describe(n *tree.Node) {
	for _, c := range n.Children {
		name := c.Attr("name")
		switch c.Name {
		case "col", "input", "select", "textarea", "textdata":
			if name != "" && !slices.Contains(f.Columns, name) {
				f.Columns = append(f.Columns, name)
			}
			if c.Attr("type") == "password" {
				f.Secret[name] = true
			}
		}
		f.describe(c)
	}
}

// ForLevel returns n without the parts that are for higher levels: those whose
// attribute level names one, as "admin" or "admin+".
func ForLevel(n *tree.Node, level string) *tree.Node {
	kept := *n
	kept.Children = nil
	for _, c := range n.Children {
		if need := rank(strings.TrimSuffix(c.Attr("level"), "+")); rank(level) >= need {
			kept.Children = append(kept.Children, ForLevel(c, level))
		}
	}
	return &kept
}

//go:embed core.xml
var ownMetadata string

// registerOwn registers the core's own functions as a module's are.
func (c *Core) registerOwn() error {
	var functions []wire.Function
	for _, name := range slices.Sorted(maps.Keys(ownFunctions)) {
		f := ownFunctions[name]
		functions = append(functions, wire.Function{Name: name, Kind: f.kind, Level: f.level})
	}
	if err := c.register(nil, functions, ownMetadata); err != nil {
		return fmt.Errorf("register the core's own functions: %w", err)
	}
	for name, f := range c.registry.Load().functions { // nobody reads it yet
		f.run = ownFunctions[name].run
	}
	return nil
}

// accept takes a module's registration.
func (c *Core) accept(m *module, r wire.Register) error {
	if r.Protocol != wire.Protocol {
		return fmt.Errorf("protocol %d: this core speaks %d", r.Protocol, wire.Protocol)
	}
	if len(r.Functions) == 0 {
		return errors.New("no functions")
	}
	return c.register(m, r.Functions, r.Metadata)
}
