package files

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"maildomain/module/mail"
)

// MailboxesPath is where Exim reads the mailboxes and aliases of a mail domain.
func (l Layout) MailboxesPath(n mail.Name) string { return path.Join(l.Mailboxes(), n.String()) }

// UsersPath is where Dovecot reads the mailboxes of a mail domain.
func (l Layout) UsersPath(n mail.Name) string { return path.Join(l.Users(), n.String()) }

// MailPath is the directory of all mail of a mail domain.
func (l Layout) MailPath(n mail.Name) string { return path.Join(l.Mail, n.String()) }

// BoxPath is the directory of the mail of one mailbox.
func (l Layout) BoxPath(a mail.Address) string {
	return path.Join(l.MailPath(a.Domain), a.Local.String())
}

// MailboxesFile is the mailboxes and aliases of a mail domain, for Exim's lsearch;
// no file for none.
func (l Layout) MailboxesFile(n mail.Name, boxes []mail.Mailbox) (File, error) {
	if len(boxes) == 0 {
		return File{Path: l.MailboxesPath(n)}, nil
	}
	t := newLines()
	for _, b := range boxes {
		state, keep := "active", "yes"
		if !b.Active {
			state = "suspended"
		}
		if b.DontSave {
			keep = "no"
		}
		set := []string{"kind=box", "state=" + state, "greylist=" + mail.Flag(b.Greylist), "spamassassin=" + mail.Flag(b.Spamassassin), "keep=" + keep}
		if len(b.Forward) > 0 {
			set = append(set, "forward="+strings.ReplaceAll(mail.JoinAddresses(b.Forward), " ", ","))
		}
		t.set(b.Name.String(), strings.Join(set, " "))
		for _, a := range b.Aliases {
			t.set(a.String(), "kind=alias to="+b.Address().String())
		}
	}
	return t.file(l, l.MailboxesPath(n))
}

// lockedHash matches no password: crypt(3) never gives "!". Dovecot knows the
// mailbox still, for what is on its way there, and lets nobody in.
const lockedHash = "{CRYPT}!"

// UsersFile is the mailboxes of a mail domain as a passwd-file of Dovecot's; no
// file for none. Of a suspended domain or mailbox no password is right.
func (l Layout) UsersFile(d mail.Domain, boxes []mail.Mailbox) (File, error) {
	f := File{Path: l.UsersPath(d.Name)}
	if len(boxes) == 0 {
		return f, nil
	}
	var b bytes.Buffer
	b.WriteString(header)
	for _, m := range boxes {
		hash := string(m.Password)
		if !d.Active || !m.Active {
			hash = lockedHash
		}
		fields := []string{m.Name.String(), hash, "", "", "", "/" + l.BoxPath(m.Address()), "", "userdb_quota_rule=*:bytes=" + strconv.FormatInt(m.MaxSize<<20, 10)}
		for i, v := range fields[:7] {
			if i == 0 && !plainKey(v) || strings.ContainsAny(v, ":\n\r\x00") || strings.TrimSpace(v) != v {
				return File{}, fmt.Errorf("render %s: write value of %s: %w", f.Path, m.Name, errPasswd)
			}
		}
		b.WriteString(strings.Join(fields, ":"))
		b.WriteByte('\n')
	}
	f.Body, f.Mode, f.Group, f.Newer = b.Bytes(), 0o640, l.DovecotGroup, true
	return f, nil
}

// errPasswd is the error of a value that a passwd-file would take for something else.
var errPasswd = errors.New("a value may not hold a colon or a line break, nor a name more than letters, digits and ._-@+=")
