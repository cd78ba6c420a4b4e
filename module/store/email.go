package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"maildomain/module/mail"
)

const emailColumns = `domain, name, active, password, passwd_at, maxsize, aliases, forward, dontsave, greylist, spamassassin, note, created, changed`

// scanMailbox reads a row of emailColumns and used.
func scanMailbox(scan func(...any) error) (mail.Mailbox, error) {
	var b mail.Mailbox
	var domain, name, aliases, forward string
	var passwdAt, created, changed int64
	if err := scan(&domain, &name, &b.Active, &b.Password, &passwdAt, &b.MaxSize, &aliases, &forward, &b.DontSave,
		&b.Greylist, &b.Spamassassin, &b.Note, &created, &changed, &b.Used); err != nil {
		return b, err
	}
	b.Domain, b.Name = mail.StoredName(domain), mail.StoredLocalPart(name)
	for a := range strings.FieldsSeq(aliases) {
		b.Aliases = append(b.Aliases, mail.StoredLocalPart(a))
	}
	for a := range strings.FieldsSeq(forward) {
		b.Forward = append(b.Forward, mail.StoredAddress(a))
	}
	b.PasswdAt, b.Created, b.Changed = time.UnixMilli(passwdAt).UTC(), time.UnixMilli(created).UTC(), time.UnixMilli(changed).UTC()
	return b, nil
}

func (tx *Tx) mailboxes(ctx context.Context, text string, args []any, each func(mail.Mailbox) error) error {
	return tx.rows(ctx, text, args, func(r *sql.Rows) error {
		b, err := scanMailbox(r.Scan)
		if err != nil {
			return err
		}
		return each(b)
	})
}

// Mailbox is the mailbox of that address; false where there is none.
func (tx *Tx) Mailbox(ctx context.Context, a mail.Address) (b mail.Mailbox, found bool, err error) {
	err = tx.mailboxes(ctx, `SELECT `+emailColumns+`, used FROM email WHERE domain = ? AND name = ?`,
		[]any{a.Domain.String(), a.Local.String()}, func(m mail.Mailbox) error { b, found = m, true; return nil })
	return b, found, err
}

// MailboxesOf are the mailboxes of a domain, in the order of their names.
func (tx *Tx) MailboxesOf(ctx context.Context, n mail.Name) (bs []mail.Mailbox, err error) {
	err = tx.mailboxes(ctx, `SELECT `+emailColumns+`, used FROM email WHERE domain = ? ORDER BY name`,
		[]any{n.String()}, func(b mail.Mailbox) error { bs = append(bs, b); return nil })
	return bs, err
}

// UnlimitedMailboxes says that a mailbox of a domain may grow without a limit.
func (tx *Tx) UnlimitedMailboxes(ctx context.Context, n mail.Name) (bool, error) {
	var one int
	return tx.row(ctx, `SELECT 1 FROM email WHERE domain = ? AND maxsize = 0 LIMIT 1`, []any{n.String()}, &one)
}

// NameTaken says that a is a mailbox or an alias already, of another mailbox than but.
func (tx *Tx) NameTaken(ctx context.Context, a mail.Address, but mail.LocalPart) (bool, error) {
	var one int
	return tx.row(ctx, `SELECT 1 WHERE EXISTS (SELECT 1 FROM email WHERE domain = ?1 AND name = ?2 AND name <> ?3)
		OR EXISTS (SELECT 1 FROM alias WHERE domain = ?1 AND name = ?2 AND box <> ?3)`,
		[]any{a.Domain.String(), a.Local.String(), but.String()}, &one)
}

// InsertMailbox adds a mailbox and its aliases, made now unless it says when.
func (tx *Tx) InsertMailbox(ctx context.Context, b *mail.Mailbox) error {
	if b.Changed = tx.Now; b.Created.IsZero() {
		b.Created = tx.Now
	}
	if _, err := tx.exec(ctx, `INSERT INTO email (`+emailColumns+`, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		append(append([]any{b.Domain.String(), b.Name.String()}, mailboxValues(b)...), b.Used)...); err != nil {
		return err
	}
	return tx.insertAliases(ctx, b)
}

// UpdateMailbox writes a mailbox that stands already, changed now.
func (tx *Tx) UpdateMailbox(ctx context.Context, b *mail.Mailbox) error {
	b.Changed = tx.Now
	if _, err := tx.exec(ctx, `UPDATE email SET active = ?, password = ?, passwd_at = ?, maxsize = ?, aliases = ?, forward = ?, dontsave = ?,
		greylist = ?, spamassassin = ?, note = ?, created = ?, changed = ? WHERE domain = ? AND name = ?`,
		append(mailboxValues(b), b.Domain.String(), b.Name.String())...); err != nil {
		return err
	}
	if err := tx.deleteAliases(ctx, b.Address()); err != nil {
		return err
	}
	return tx.insertAliases(ctx, b)
}

// mailboxValues are the values of emailColumns after the name.
func mailboxValues(b *mail.Mailbox) []any {
	return []any{
		b.Active, string(b.Password), b.PasswdAt.UnixMilli(), b.MaxSize, b.JoinAliases(), mail.JoinAddresses(b.Forward), b.DontSave,
		b.Greylist, b.Spamassassin, b.Note, b.Created.UnixMilli(), b.Changed.UnixMilli(),
	}
}

// DeleteMailbox removes a mailbox and its aliases.
func (tx *Tx) DeleteMailbox(ctx context.Context, a mail.Address) error {
	if err := tx.deleteAliases(ctx, a); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM email WHERE domain = ? AND name = ?`, a.Domain.String(), a.Local.String())
	return err
}

func (tx *Tx) insertAliases(ctx context.Context, b *mail.Mailbox) error {
	for _, a := range b.Aliases {
		if _, err := tx.exec(ctx, `INSERT INTO alias (domain, name, box) VALUES (?, ?, ?)`,
			b.Domain.String(), a.String(), b.Name.String()); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) deleteAliases(ctx context.Context, a mail.Address) error {
	_, err := tx.exec(ctx, `DELETE FROM alias WHERE domain = ? AND box = ?`, a.Domain.String(), a.Local.String())
	return err
}

// EachMailbox calls each for every mailbox, by domain and name.
func (tx *Tx) EachMailbox(ctx context.Context, each func(mail.Mailbox) error) error {
	return tx.mailboxes(ctx, `SELECT `+emailColumns+`, used FROM email ORDER BY domain, name`, nil, each)
}

// SetUsed notes what mailboxes hold, in bytes. It is no change of the wanted state.
func (db *DB) SetUsed(ctx context.Context, used map[mail.Address]int64) error {
	return db.Update(ctx, func(ctx context.Context, tx *Tx) error {
		tx.aside = true
		for a, n := range used {
			if err := tx.SetUsed(ctx, a, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetUsed notes what one mailbox holds, in bytes.
func (tx *Tx) SetUsed(ctx context.Context, a mail.Address, n int64) error {
	_, err := tx.exec(ctx, `UPDATE email SET used = ?1 WHERE domain = ?2 AND name = ?3 AND used <> ?1`, n, a.Domain.String(), a.Local.String())
	return err
}
