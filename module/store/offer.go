package store

import (
	"context"
	"database/sql"
	"strings"

	"maildomain/module/mail"
)

// A RecordValue is a value of a record set.
type RecordValue struct {
	Name  string
	Type  mail.RecordType
	Value string
}

// OfferRecords notes that the values of a domain that are to stand, and are handed over
// next, are sent. It says which of them never were before.
func (tx *Tx) OfferRecords(ctx context.Context, n mail.Name) (first []RecordValue, err error) {
	tx.wrote = true
	err = tx.rows(ctx, `UPDATE record SET offered = 1 WHERE domain = ?1 AND wanted = 1 AND offered = 0 AND EXISTS
		(SELECT 1 FROM record p WHERE p.domain = ?1 AND p.name = record.name AND p.type = record.type
			AND (p.state = 'pending' OR p.due <= ?2 AND p.`+leftover+`))
		RETURNING name, type, value`, []any{n.String(), tx.Now.UnixMilli()}, func(r *sql.Rows) error {
		var v RecordValue
		err := r.Scan(&v.Name, &v.Type, &v.Value)
		first = append(first, v)
		return err
	})
	return first, err
}

// OthersWant says that another domain needs this value too: a mail name can be in the
// certificates of a domain and of one below it.
func (tx *Tx) OthersWant(ctx context.Context, n mail.Name, r RecordRow) (wanted bool, err error) {
	return tx.others(ctx, n, r, `wanted = 1`)
}

// OthersOffered says that this value was sent for another domain.
func (tx *Tx) OthersOffered(ctx context.Context, n mail.Name, r RecordRow) (offered bool, err error) {
	return tx.others(ctx, n, r, `offered = 1`)
}

// others says that a domain that has the name of r in it, n apart, has such a row.
func (tx *Tx) others(ctx context.Context, n mail.Name, r RecordRow, which string) (has bool, err error) {
	for d := r.Name; strings.Contains(d, ".") && !has && err == nil; _, d, _ = strings.Cut(d, ".") {
		if d == n.String() {
			continue
		}
		_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM record WHERE domain = ? AND name = ? AND type = ? AND value = ? AND `+which+`)`,
			[]any{d, r.Name, string(r.Type), r.Value}, &has)
	}
	return has, err
}

// OwnerOf is the owner of a mail domain; empty where there is none of that name.
func (tx *Tx) OwnerOf(ctx context.Context, n mail.Name) (owner string, err error) {
	_, err = tx.row(ctx, `SELECT owner FROM domain WHERE name = ?`, []any{n.String()}, &owner)
	return owner, err
}
