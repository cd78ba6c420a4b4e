package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// difference returns what the server lacks of a zone, what of ours it has too much, and
// what else it has of ours. What it has perhaps is to be added, or removed, once more.
// What stood there before us stays as it is; when it is not ours any more, that it was
// is forgotten.
func (t *zoneTx) difference(ctx context.Context, server, zone string) (difference, error) {
	var d difference
	rs, err := t.records(ctx, zone, "")
	if err != nil {
		return d, err
	}
	rows, err := t.QueryContext(ctx, `SELECT name, type, ttl, value, perhaps, theirs FROM passed WHERE server = ? AND zone = ?`, server, zone)
	if err != nil {
		return d, fmt.Errorf("read what was passed on: %w", err)
	}
	defer rows.Close()
	type key struct{ name, typ, value string }
	type has struct {
		ttl     uint32
		perhaps bool
		theirs  bool
	}
	there := map[key]has{}
	for rows.Next() {
		var k key
		var h has
		if err := rows.Scan(&k.name, &k.typ, &h.ttl, &k.value, &h.perhaps, &h.theirs); err != nil {
			return d, fmt.Errorf("read what was passed on: %w", err)
		}
		there[k] = h
	}
	if err := rows.Err(); err != nil {
		return d, fmt.Errorf("read what was passed on: %w", err)
	}
	for _, r := range served(rs) {
		k := key{r.name, r.typ, r.value}
		if h := there[k]; h != (has{ttl: r.ttl}) && !h.theirs {
			d.add = append(d.add, r) // with another TTL it takes the old one's place
		} else {
			d.stay = append(d.stay, r)
		}
		delete(there, k)
	}
	for k, h := range there {
		if h.theirs {
			if err := t.exec(ctx, "forget what stands there of others", `DELETE FROM passed WHERE server = ? AND zone = ? AND name = ? AND type = ? AND value = ?`,
				server, zone, k.name, k.typ, k.value); err != nil {
				return d, err
			}
			continue
		}
		d.remove = append(d.remove, record{name: k.name, typ: k.typ, ttl: h.ttl, value: k.value})
	}
	slices.SortFunc(d.remove, func(a, b record) int {
		return strings.Compare(a.name+" "+a.typ+" "+a.value, b.name+" "+b.typ+" "+b.value)
	})
	return d, nil
}

// noteTheirs notes of records that stand at the server those that we never sent, be it
// to the same server by another address, and returns d without them.
func (t *zoneTx) noteTheirs(ctx context.Context, server, zone string, d difference, standing []record) (difference, error) {
	for _, r := range standing {
		done, err := t.ExecContext(ctx, `INSERT INTO passed (server, zone, name, type, ttl, value, theirs) SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1
			WHERE NOT EXISTS (SELECT 1 FROM passed WHERE zone = ?2 AND name = ?3 AND type = ?4 AND value = ?6 AND theirs = 0)`,
			server, zone, r.name, r.typ, r.ttl, r.value)
		if err != nil {
			return d, fmt.Errorf("note what stands there of others: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil {
			return d, fmt.Errorf("note what stands there of others: %w", err)
		} else if n > 0 {
			d.add = slices.DeleteFunc(slices.Clone(d.add), func(o record) bool { return o == r })
			d.stay = append(slices.Clone(d.stay), r)
		}
	}
	return d, nil
}

// noteSent notes that d is about to be sent, and returns what of it never was before.
func (t *zoneTx) noteSent(ctx context.Context, server, zone string, d difference) (fresh []record, err error) {
	for _, r := range slices.Concat(d.add, d.remove) {
		done, err := t.ExecContext(ctx, `UPDATE passed SET perhaps = 1 WHERE server = ? AND zone = ? AND name = ? AND type = ? AND value = ?`,
			server, zone, r.name, r.typ, r.value)
		if err != nil {
			return nil, fmt.Errorf("note what is sent: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil {
			return nil, fmt.Errorf("note what is sent: %w", err)
		} else if n > 0 {
			continue
		}
		if err := t.exec(ctx, "note what is sent", `INSERT INTO passed (server, zone, name, type, ttl, value, perhaps) VALUES (?, ?, ?, ?, ?, ?, 1)`,
			server, zone, r.name, r.typ, r.ttl, r.value); err != nil {
			return nil, err
		}
		fresh = append(fresh, r)
	}
	return fresh, nil
}

// notePassed notes that the server took d.
func (t *zoneTx) notePassed(ctx context.Context, server, zone string, d difference) error {
	for _, r := range d.remove {
		if err := t.exec(ctx, "note what was passed on", `DELETE FROM passed WHERE server = ? AND zone = ? AND name = ? AND type = ? AND value = ?`,
			server, zone, r.name, r.typ, r.value); err != nil {
			return err
		}
	}
	for _, r := range d.add {
		if err := t.exec(ctx, "note what was passed on", `INSERT OR REPLACE INTO passed (server, zone, name, type, ttl, value, perhaps) VALUES (?, ?, ?, ?, ?, ?, 0)`,
			server, zone, r.name, r.typ, r.ttl, r.value); err != nil {
			return err
		}
	}
	return nil
}
