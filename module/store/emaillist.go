package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"maildomain/module/mail"
)

// emailSorts are the columns that the list of mailboxes can be sorted by, each
// with what it is in SQL; ties are broken by the address.
var emailSorts = map[string]string{
	"name":         "",
	"owner":        "owner",
	"active":       "email.active",
	"maxsize":      "email.maxsize",
	"used":         "email.used",
	"dontsave":     "email.dontsave",
	"greylist":     "email.greylist",
	"spamassassin": "email.spamassassin",
	"note":         "email.note",
}

// A MailboxRow is a mailbox as lists show it.
type MailboxRow struct {
	mail.Mailbox
	Owner string
}

// ListMailboxes is a page of the mailboxes in a scope, and how many there are in
// all pages together. Sort columns that it does not know are an error of the caller's.
func (tx *Tx) ListMailboxes(ctx context.Context, q mail.MailboxQuery) (rows []MailboxRow, total int64, err error) {
	column, ok := emailSorts[q.Sort]
	if !ok {
		return nil, 0, fmt.Errorf("sort by %q: no such column", q.Sort)
	}
	w := where{}
	if !q.Scope.All {
		w.owners(q.Scope.Owners)
	}
	if !q.Domain.IsZero() {
		w.add(`email.domain = ?`, q.Domain.String())
	}
	if q.Name != "" {
		w.byName = true
		w.add(`(instr(email.name || '@' || name_idn, ?) OR instr(email.name || '@' || email.domain, ?))`, q.Name, q.Name)
	}
	if q.Active != nil {
		w.add(`email.active = ?`, *q.Active)
	}
	from, cond := ` FROM email CROSS JOIN domain ON domain.name = email.domain`, ``
	if len(w.terms) > 0 {
		cond = ` WHERE ` + w.String()
	}
	if !q.Scope.All && q.Domain.IsZero() { // the owner's domains first
		from = ` FROM domain INDEXED BY domain_owner CROSS JOIN email ON domain.name = email.domain`
	}
	switch {
	case len(w.terms) == 0:
		_, err = tx.row(ctx, `SELECT coalesce(sum(emails), 0) FROM owner`, nil, &total)
	default:
		_, err = tx.row(ctx, `SELECT count(*)`+from+cond, w.args, &total)
	}
	if err != nil || total <= int64(q.Offset) {
		return nil, total, err
	}
	direction := ` ASC`
	if q.Desc {
		direction = ` DESC`
	}
	by := `email.domain` + direction + `, email.name` + direction
	if column != "" {
		by = column + direction + `, ` + by
	}
	text := `SELECT email.` + strings.ReplaceAll(emailColumns, `, `, `, email.`) + `, email.used, owner` + from + cond +
		` ORDER BY ` + by + ` LIMIT ? OFFSET ?`
	err = tx.rows(ctx, text, append(w.args, q.Limit, q.Offset), func(r *sql.Rows) error {
		var row MailboxRow
		row.Mailbox, err = scanMailbox(func(into ...any) error { return r.Scan(append(into, &row.Owner)...) })
		rows = append(rows, row)
		return err
	})
	return rows, total, err
}
