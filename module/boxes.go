package module

import (
	"maildomain/module/mail"
)

func boxOf(boxes []mail.Mailbox, l mail.LocalPart) *mail.Mailbox {
	for i := range boxes {
		if boxes[i].Name == l {
			b := boxes[i]
			return &b
		}
	}
	return nil
}

// with are boxes with the one of that name as it is to be; without it for nil.
func with(boxes []mail.Mailbox, l mail.LocalPart, b *mail.Mailbox) []mail.Mailbox {
	var all []mail.Mailbox
	for _, o := range boxes {
		if b != nil && o.Name.String() > l.String() {
			all, b = append(all, *b), nil
		}
		if o.Name != l {
			all = append(all, o)
		}
	}
	if b != nil {
		all = append(all, *b)
	}
	return all
}

// counted is a domain with one mailbox more, or less.
func counted(d mail.Domain, before, after *mail.Mailbox) *mail.Domain {
	switch {
	case before == nil && after != nil:
		d.Mailboxes++
	case before != nil && after == nil:
		d.Mailboxes--
	}
	return &d
}

func valuesOfBox(b *mail.Mailbox) map[string]string {
	if b == nil {
		return nil
	}
	return b.Values()
}
