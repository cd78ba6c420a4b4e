package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"maildomain/module/mail"
)

// sorts are the columns that a list can be sorted by, each with the index that
// holds them in that order.
var sorts = map[string]string{
	"name":         "domain_names",
	"name_idn":     "domain_name_idn",
	"owner":        "domain_owner",
	"active":       "domain_active",
	"ip":           "domain_ip",
	"defaction":    "domain_defaction",
	"redirval":     "domain_redirval",
	"greylist":     "domain_greylist",
	"spamassassin": "domain_spamassassin",
	"avcheck":      "domain_avcheck",
	"dkim":         "domain_dkim",
	"dmarc":        "domain_dmarc",
	"secure":       "domain_secure",
	"mailboxes":    "domain_mailboxes",
	"used":         "domain_used",
	"ssl_expire":   "domain_ssl_expire",
	"note":         "domain_note",
}

// Where few rows match, they are read and sorted for one page. Where more do, the
// page is found by walking the index of the sort column, which meets a match soon.
const (
	few      = 2000 // found by an index
	fewNames = 500  // found by reading an index through, which stops here
)

// ListDomains is a page of the mail domains in a scope, and how many there are in
// all pages together. Sort columns that it does not know are an error of the caller's.
func (tx *Tx) ListDomains(ctx context.Context, q mail.Query) ([]mail.Domain, int64, error) {
	if _, ok := sorts[q.Sort]; !ok {
		return nil, 0, fmt.Errorf("sort by %q: no such column", q.Sort)
	}
	owners := q.Scope.Owners
	if q.Owner != "" && q.Scope.Has(q.Owner) {
		owners = []string{q.Owner}
	} else if q.Owner != "" {
		return nil, 0, nil
	}
	w := where{}
	if !q.Scope.All || q.Owner != "" {
		w.owners(owners)
	}
	w.filters(q)
	if w.byName && !w.byOwner && len(w.terms) == 1 {
		return tx.search(ctx, q, w)
	}
	total, err := tx.count(ctx, owners, w)
	if err != nil || total <= int64(q.Offset) {
		return nil, total, err
	}
	switch {
	case len(w.terms) == 0:
		ds, err := tx.walk(ctx, q, total)
		return ds, total, err
	case w.byOwner && total <= few:
		ds, err := tx.page(ctx, q, `domain INDEXED BY domain_owner WHERE `+w.String(), w.args)
		return ds, total, err
	}
	ds, err := tx.page(ctx, q, source(q)+` WHERE `+w.String(), w.args)
	return ds, total, err
}

// search is ListDomains narrowed by a part of the name alone. No index finds
// that: the narrowest one is read through, once, in the order of the names.
func (tx *Tx) search(ctx context.Context, q mail.Query, w where) ([]mail.Domain, int64, error) {
	var names []string // the first ones
	err := tx.rows(ctx, `SELECT name FROM domain INDEXED BY domain_names WHERE `+w.String()+` ORDER BY name LIMIT ?`,
		append(slices.Clone(w.args), fewNames+1), func(r *sql.Rows) error {
			names = append(names, "")
			return r.Scan(&names[len(names)-1])
		})
	if err != nil {
		return nil, 0, err
	}
	total := int64(len(names))
	if total > fewNames {
		var more int64
		if _, err := tx.row(ctx, `SELECT count(*) FROM domain INDEXED BY domain_names WHERE name > ? AND `+w.String(),
			append([]any{names[fewNames]}, w.args...), &more); err != nil {
			return nil, 0, err
		}
		total += more
	}
	switch {
	case total <= int64(q.Offset):
		return nil, total, nil
	case total <= fewNames, q.Sort == "name" && !q.Desc && q.Offset+q.Limit <= len(names):
		ds, err := tx.page(ctx, q, `domain WHERE name IN (SELECT value FROM json_each(?))`, []any{jsonList(names)})
		return ds, total, err
	}
	ds, err := tx.page(ctx, q, source(q)+` WHERE `+w.String(), w.args)
	return ds, total, err
}

// source is where rows come from in the order of q.
func source(q mail.Query) string {
	if q.Sort == "name" { // the table itself is in this order
		return `domain NOT INDEXED`
	}
	return `domain INDEXED BY ` + sorts[q.Sort]
}

// page reads the page of q from a source that is narrowed already.
func (tx *Tx) page(ctx context.Context, q mail.Query, from string, args []any) ([]mail.Domain, error) {
	return tx.domains(ctx, `SELECT `+domainColumns+countedColumns+` FROM `+from+` ORDER BY `+order(q)+` LIMIT ? OFFSET ?`,
		append(slices.Clone(args), q.Limit, q.Offset))
}

// walk reads the page of q from all domains: from the nearer end of the sort
// column's index it skips to the key of the first row, and reads on from there.
func (tx *Tx) walk(ctx context.Context, q mail.Query, total int64) ([]mail.Domain, error) {
	limit, offset := min(q.Limit, int(total)-q.Offset), q.Offset
	backwards := offset > int(total)/2
	if backwards {
		offset = int(total) - offset - limit
		q.Desc = !q.Desc
	}
	var key, name any
	found, err := tx.row(ctx, `SELECT `+q.Sort+`, name FROM domain INDEXED BY `+sorts[q.Sort]+` ORDER BY `+order(q)+` LIMIT 1 OFFSET ?`, []any{offset}, &key, &name)
	if !found || err != nil {
		return nil, err
	}
	than := `>=`
	if q.Desc {
		than = `<=`
	}
	ds, err := tx.domains(ctx, `SELECT `+domainColumns+countedColumns+` FROM domain WHERE (`+q.Sort+`, name) `+than+` (?, ?) ORDER BY `+order(q)+` LIMIT ?`,
		[]any{key, name, limit})
	if backwards {
		slices.Reverse(ds)
	}
	return ds, err
}

func (tx *Tx) domains(ctx context.Context, text string, args []any) (ds []mail.Domain, err error) {
	err = tx.rows(ctx, text, args, func(r *sql.Rows) error {
		d, err := scanDomain(r.Scan)
		ds = append(ds, d)
		return err
	})
	return ds, err
}

// order is a total order: ties are broken by name, in the same direction.
func order(q mail.Query) string {
	direction := ` ASC`
	if q.Desc {
		direction = ` DESC`
	}
	if q.Sort == "name" {
		return `name` + direction
	}
	return q.Sort + direction + `, name` + direction
}

func (tx *Tx) count(ctx context.Context, owners []string, w where) (n int64, err error) {
	switch {
	case len(w.terms) == 0:
		_, err = tx.row(ctx, `SELECT emaildomains FROM meta`, nil, &n)
	case w.byOwner && len(w.terms) == 1:
		_, err = tx.row(ctx, `SELECT coalesce(sum(emaildomains), 0) FROM owner WHERE name IN (SELECT value FROM json_each(?))`, []any{jsonList(owners)}, &n)
	default:
		_, err = tx.row(ctx, `SELECT count(*) FROM domain WHERE `+w.String(), w.args, &n)
	}
	return n, err
}

// where is the condition of a list. Its text holds no value, only placeholders.
type where struct {
	terms           []string
	args            []any
	byOwner, byName bool
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w where) String() string { return strings.Join(w.terms, ` AND `) }

func (w *where) owners(names []string) {
	w.byOwner = true
	w.add(`owner IN (SELECT value FROM json_each(?))`, jsonList(names))
}

func (w *where) filters(q mail.Query) {
	if q.Name != "" {
		w.byName = true
		w.add(`(instr(name_idn, ?) OR name_idn <> name AND instr(name, ?))`, q.Name, q.Name)
	}
	if q.IP != nil {
		w.add(`ip = ?`, *q.IP)
	}
	for _, f := range q.Flags {
		if _, ok := sorts[f.Name]; ok {
			w.add(f.Name+` = ?`, f.On)
		}
	}
}

func jsonList(s []string) string {
	if len(s) == 0 {
		return `[]`
	}
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(b)
}
