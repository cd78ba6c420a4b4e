package module

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A Preview is what a call would change. Several changes of one call may tell it
// at once.
type Preview struct {
	mu      sync.Mutex
	changes []Prospect
}

// A Prospect is what would become of one mail domain or mailbox.
type Prospect struct {
	Object    string
	Settings  []Setting // that would differ, by name
	Files     []FileDiff
	Records   []store.RecordShift // that would be handed over; a key that would be made is none yet
	Mailboxes int64               // whose mail would go, or come back
	Bytes     int64               // of that mail
	Reload    bool                // Dovecot would be told of certificates
}

// A Setting is one parameter before and after; empty where there is no domain.
type Setting struct{ Name, Before, After string }

// A FileDiff is a file that would be written or removed, as a unified diff; of a file
// about everybody's domains only the lines that are this actor's to see.
type FileDiff struct{ Path, Diff string }

// add tells what a deed would be to whom: of the lists that name the domains of everybody
// only an administrator is shown more than what is about the object.
func (p *Preview) add(to Actor, l files.Layout, object string, d *deed) {
	c := Prospect{Object: object, Settings: differences(d.before, d.after), Mailboxes: d.mailboxes, Bytes: d.bytes, Reload: len(d.shown) > 0}
	for _, r := range d.records {
		r.After = slices.Clone(r.After)
		if len(r.Before) == 0 && d.after != nil {
			for i, v := range r.After {
				if tags, _, isKey := strings.Cut(v, "p="); isKey && strings.Contains(r.Name, "._domainkey.") {
					r.After[i] = tags + "p=..." // another one will be made
				}
			}
		}
		c.Records = append(c.Records, r)
	}
	for _, f := range d.plan {
		diff := FileDiff{"/" + f.Path, f.Diff()}
		if to.Level != mail.LevelAdmin && l.OfAll(f.Path) {
			diff.Diff = ownLines(diff.Diff, object)
		}
		c.Files = append(c.Files, diff)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, c)
}

// ownLines are the lines of a diff that change and name a domain, or names in it, and no
// other.
func ownLines(diff, domain string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		if !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-") {
			continue
		}
		ours, others := false, strings.HasPrefix(line, "+++") || strings.HasPrefix(line, "---")
		for word := range strings.FieldsFuncSeq(line[1:], func(r rune) bool { return strings.ContainsRune(" \t\n\":/<", r) }) {
			word = strings.TrimSuffix(strings.TrimSuffix(word, ".crt"), ".key")
			is := word == domain || strings.HasSuffix(word, "."+domain)
			_, notIP := netip.ParseAddr(word)
			ours = ours || is
			others = others || !is && strings.Contains(word, ".") && notIP != nil
		}
		if ours && !others {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Changes are the prospects, in the order of their objects' names.
func (p *Preview) Changes() []Prospect {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(slices.Values(p.changes), func(a, b Prospect) int {
		return cmp.Compare(a.Object, b.Object)
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
