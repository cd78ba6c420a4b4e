package module

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"maildomain/module/files"
	"maildomain/module/mail"
)

// A Preview is what a call would change. Several changes of one call may tell it
// at once.
type Preview struct {
	mu      sync.Mutex
	changes []Prospect
}

// A Prospect is what would become of one mail domain.
type Prospect struct {
	Domain   mail.Name
	Settings []Setting // that would differ, by name
	Files    []FileDiff
}

// A Setting is one parameter before and after; empty where there is no domain.
type Setting struct{ Name, Before, After string }

// A FileDiff is a file that would be written or removed, as a unified diff.
type FileDiff struct{ Path, Diff string }

func (p *Preview) add(n mail.Name, before, after *mail.Domain, plan []files.Change) {
	c := Prospect{Domain: n, Settings: differences(valuesOf(before), valuesOf(after))}
	for _, f := range plan {
		c.Files = append(c.Files, FileDiff{"/" + f.Path, f.Diff()})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, c)
}

// Changes are the prospects, in the order of the domains' names.
func (p *Preview) Changes() []Prospect {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(slices.Values(p.changes), func(a, b Prospect) int {
		return cmp.Compare(a.Domain.String(), b.Domain.String())
	})
}

func valuesOf(d *mail.Domain) map[string]string {
	if d == nil {
		return nil
	}
	return d.Values()
}

// differences are the parameters that differ, in the order of their names.
func differences(before, after map[string]string) []Setting {
	var ds []Setting
	names := maps.Clone(before)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, after)
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if before[n] != after[n] {
			ds = append(ds, Setting{n, before[n], after[n]})
		}
	}
	return ds
}
