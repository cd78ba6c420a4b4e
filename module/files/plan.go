package files

import (
	"bytes"

	"maildomain/module/mail"
)

// A Side is a mail domain and its mailboxes before a change, or after it. Where a
// change leaves the mailboxes alone, both sides go without them.
type Side struct {
	Domain *mail.Domain // nil: there is none
	Boxes  []mail.Mailbox
}

// Plan is what a change of one domain means for the files, in the order that is
// safe to publish: data before the gate when it adds, the gate first when it
// removes. ips reads the outgoing addresses as they are after the change, and is
// called only where they changed.
func (l Layout) Plan(before, after Side, ips func() ([]mail.SourceIP, error)) ([]Change, error) {
	was, err := l.three(before)
	if err != nil {
		return nil, err
	}
	is, err := l.three(after)
	if err != nil {
		return nil, err
	}
	var plan []Change
	for i := range was {
		c := Change{File: is[i], Was: was[i].Body}
		if c.Path == "" {
			c.Path = was[i].Path
		}
		if !bytes.Equal(c.Was, c.Body) {
			plan = append(plan, c)
		}
	}
	if ownIP(before.Domain) != ownIP(after.Domain) {
		now, err := ips()
		if err != nil {
			return nil, err
		}
		f, err := l.DomainIPsFile(now)
		if err != nil {
			return nil, err
		}
		plan = append([]Change{{File: f}}, plan...)
	}
	if after.Domain == nil || len(after.Boxes) < len(before.Boxes) {
		for i, j := 0, len(plan)-1; i < j; i, j = i+1, j-1 {
			plan[i], plan[j] = plan[j], plan[i]
		}
	}
	return plan, nil
}

// Files are the files of one domain, in the order in which they are to appear.
func (l Layout) Files(s Side) ([]File, error) {
	fs, err := l.three(s)
	return fs[:], err
}

// three are the files of one domain, the gate last: Dovecot knows a mailbox before
// Exim hands it letters, and Exim has both before it takes mail for the domain.
func (l Layout) three(s Side) (fs [3]File, err error) {
	if s.Domain == nil {
		return fs, nil
	}
	if fs[0], err = l.UsersFile(*s.Domain, s.Boxes); err != nil {
		return fs, err
	}
	if fs[1], err = l.MailboxesFile(s.Domain.Name, s.Boxes); err != nil {
		return fs, err
	}
	fs[2], err = l.DomainFile(*s.Domain)
	return fs, err
}

func ownIP(d *mail.Domain) string {
	if d == nil {
		return ""
	}
	return d.OutgoingIP()
}
