package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"maildomain/module/mail"
)

const listedColumns = `listed.domain, listed.sender, listed.list, listed.note, listed.created`

func scanListed(scan func(...any) error) (mail.Listed, error) {
	var l mail.Listed
	var domain, sender string
	var created int64
	err := scan(&domain, &sender, &l.List, &l.Note, &created)
	if domain != "" {
		l.Domain = mail.StoredName(domain)
	}
	l.Sender, l.Created = mail.StoredSender(sender), time.UnixMilli(created).UTC()
	return l, err
}

// ListedOf are the entries of both lists of a mail domain, or with the zero name those
// of the server, in order.
func (tx *Tx) ListedOf(ctx context.Context, n mail.Name) (ls []mail.Listed, err error) {
	err = tx.rows(ctx, `SELECT `+listedColumns+` FROM listed WHERE domain = ? ORDER BY sender`, []any{n.String()}, func(r *sql.Rows) error {
		l, err := scanListed(r.Scan)
		ls = append(ls, l)
		return err
	})
	return ls, err
}

// Listed is the entry of a sender in a list of that domain, or of the server; false
// where there is none.
func (tx *Tx) Listed(ctx context.Context, n mail.Name, s mail.Sender) (l mail.Listed, found bool, err error) {
	err = tx.rows(ctx, `SELECT `+listedColumns+` FROM listed WHERE domain = ? AND sender = ?`, []any{n.String(), s.String()}, func(r *sql.Rows) error {
		l, err = scanListed(r.Scan)
		found = true
		return err
	})
	return l, found, err
}

// PutListed adds an entry, made now unless it says when, or writes it anew.
func (tx *Tx) PutListed(ctx context.Context, l *mail.Listed) error {
	if l.Created.IsZero() {
		l.Created = tx.Now
	}
	_, err := tx.exec(ctx, `INSERT INTO listed (domain, sender, list, note, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (domain, sender) DO UPDATE SET list = excluded.list, note = excluded.note`,
		l.Domain.String(), l.Sender.String(), string(l.List), l.Note, l.Created.UnixMilli())
	return err
}

// DeleteListed removes an entry.
func (tx *Tx) DeleteListed(ctx context.Context, n mail.Name, s mail.Sender) error {
	_, err := tx.exec(ctx, `DELETE FROM listed WHERE domain = ? AND sender = ?`, n.String(), s.String())
	return err
}

// listedSorts are the columns that a list can be sorted by.
var listedSorts = map[string]string{"sender": "listed.sender", "domainname": "listed.domain", "note": "listed.note", "created": "listed.created"}

// ListListed is a page of the entries of a list in a scope, and how many there are in
// all pages together. Those of the server are in the scope of all alone. Sort columns
// that it does not know are an error of the caller's.
func (tx *Tx) ListListed(ctx context.Context, q mail.ListedQuery) (ls []mail.Listed, total int64, err error) {
	column, ok := listedSorts[q.Sort]
	if !ok {
		return nil, 0, fmt.Errorf("sort by %q: no such column", q.Sort)
	}
	var w where
	from := ` FROM listed`
	w.add(`listed.list = ?`, string(q.List))
	if !q.Scope.All {
		from += ` JOIN domain ON domain.name = listed.domain`
		w.owners(q.Scope.Owners)
	}
	if q.Domain != nil {
		w.add(`listed.domain = ?`, q.Domain.String())
	}
	if q.Name != "" {
		w.add(`(instr(listed.sender, ?) OR instr(listed.domain, ?))`, q.Name, q.Name)
	}
	from += ` WHERE ` + w.String()
	if _, err := tx.row(ctx, `SELECT count(*)`+from, w.args, &total); err != nil || total <= int64(q.Offset) {
		return nil, total, err
	}
	direction := ` ASC`
	if q.Desc {
		direction = ` DESC`
	}
	err = tx.rows(ctx, `SELECT `+listedColumns+from+` ORDER BY `+column+direction+`, listed.sender`+direction+`, listed.domain`+direction+` LIMIT ? OFFSET ?`,
		append(w.args, q.Limit, q.Offset), func(r *sql.Rows) error {
			l, err := scanListed(r.Scan)
			ls = append(ls, l)
			return err
		})
	return ls, total, err
}
