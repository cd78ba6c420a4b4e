package files

import (
	"path"
	"slices"

	"maildomain/module/mail"
)

// Filters is the file that says which filters there are, and what they are told.
func (l Layout) Filters() string { return path.Join(l.Exim, "maildomain.filters") }

// FiltersFile is that file. A filter that is not there has no line, and Exim goes
// without it.
func (l Layout) FiltersFile(f mail.Filters) (File, error) {
	t := newLines()
	set := f.Lines()
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		t.set(k, set[k])
	}
	return t.file(l, l.Filters())
}

// junkScript files what Exim has marked. A letter that it has filed goes no further:
// no rule of the person's, and no answer that he is away.
const junkScript = `require ["fileinto", "mailbox"];

if header :is "X-Spam-Flag" "YES" {
  fileinto :create "Junk";
}
`

// JunkFile is the Sieve script that Dovecot runs before those of people.
func (l Layout) JunkFile() File {
	return File{Path: path.Join(l.Dovecot, "maildomain.sieve"), Body: []byte(header + junkScript), Mode: 0o644}
}
