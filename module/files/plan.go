package files

import (
	"bytes"
	"slices"

	"maildomain/module/mail"
)

// A Side is a mail domain with what belongs to it before a change, or after it. Where
// a change leaves the mailboxes alone, both sides go without them; the same for keys
// would make the gate name none.
type Side struct {
	Domain *mail.Domain // nil: there is none
	Boxes  []mail.Mailbox
	Keys   []mail.SigningKey
	Listed []mail.Listed // as with mailboxes
}

// Plan is what a change of one domain means for the files, in the order that is
// safe to publish: data before the gate when it adds, the gate first when it
// removes. ips reads the outgoing addresses as they are after the change, and is
// called only where they changed.
func (l Layout) Plan(before, after Side, ips func() ([]mail.SourceIP, error)) ([]Change, error) {
	was, err := l.Files(before)
	if err != nil {
		return nil, err
	}
	is, err := l.Files(after)
	if err != nil {
		return nil, err
	}
	var written, removed []Change
	if ownIP(before.Domain) != ownIP(after.Domain) {
		now, err := ips()
		if err != nil {
			return nil, err
		}
		f, err := l.DomainIPsFile(now)
		if err != nil {
			return nil, err
		}
		if after.Domain == nil {
			removed = append(removed, Change{File: f})
		} else {
			written = append(written, Change{File: f})
		}
	}
	for _, f := range is {
		c := Change{File: f}
		if i := at(was, f.Path); i >= 0 {
			c.Was = was[i].Body
		}
		if !bytes.Equal(c.Was, c.Body) {
			written = append(written, c)
		}
	}
	for _, f := range was {
		if f.Body != nil && at(is, f.Path) < 0 {
			removed = append(removed, Change{File: File{Path: f.Path, Bare: f.Bare}, Was: f.Body})
		}
	}
	if len(after.Boxes) < len(before.Boxes) {
		slices.Reverse(written)
	}
	slices.Reverse(removed) // the gate first
	return append(written, removed...), nil
}

func at(fs []File, p string) int {
	return slices.IndexFunc(fs, func(f File) bool { return f.Path == p })
}

// Files are the files of one domain, the gate last: Dovecot knows a mailbox before
// Exim hands it letters, and Exim has all before it takes mail for the domain.
func (l Layout) Files(s Side) ([]File, error) {
	if s.Domain == nil {
		return nil, nil
	}
	fs, err := l.KeyFiles(s.Domain.Name, s.Keys)
	if err != nil {
		return nil, err
	}
	users, err := l.UsersFile(*s.Domain, s.Boxes)
	if err != nil {
		return nil, err
	}
	boxes, err := l.MailboxesFile(s.Domain.Name, s.Boxes)
	if err != nil {
		return nil, err
	}
	gate, err := l.DomainFile(*s.Domain, signing(s.Keys)...)
	return append(fs, users, boxes, l.ListFile(s.Domain.Name, s.Listed), gate), err
}

func ownIP(d *mail.Domain) string {
	if d == nil {
		return ""
	}
	return d.OutgoingIP()
}
