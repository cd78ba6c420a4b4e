package core

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// A zoneTx is a transaction on zones that remembers which it touched.
type zoneTx struct {
	*sql.Tx
	touched map[string]bool
}

func (t *zoneTx) exec(ctx context.Context, verb, query string, args ...any) error {
	if _, err := t.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// zoneOf returns the zone that name lies in; nil: none of ours.
func (t *zoneTx) zoneOf(ctx context.Context, name string) (*zone, error) {
	for of := name; of != ""; _, of, _ = strings.Cut(of, ".") {
		if z, err := t.zone(ctx, of); z != nil || err != nil {
			return z, err
		}
	}
	return nil, nil
}

// zone returns the zone of that name, nil when there is none.
func (t *zoneTx) zone(ctx context.Context, name string) (*zone, error) {
	z := &zone{name: name}
	err := t.QueryRowContext(ctx, `SELECT serial, owner, server, mailbox FROM zone WHERE name = ?`, name).Scan(&z.serial, &z.owner, &z.server, &z.mailbox)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read zone %s: %w", name, err)
	}
	return z, nil
}

func (t *zoneTx) zones(ctx context.Context) ([]*zone, error) {
	rows, err := t.QueryContext(ctx, `SELECT name, serial, owner, server, mailbox FROM zone ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read zones: %w", err)
	}
	defer rows.Close()
	var zs []*zone
	for rows.Next() {
		z := &zone{}
		if err := rows.Scan(&z.name, &z.serial, &z.owner, &z.server, &z.mailbox); err != nil {
			return nil, fmt.Errorf("read zones: %w", err)
		}
		zs = append(zs, z)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read zones: %w", err)
	}
	return zs, nil
}

func (t *zoneTx) putZone(ctx context.Context, z *zone) error {
	return t.exec(ctx, "store zone "+z.name, `INSERT OR REPLACE INTO zone (name, serial, owner, server, mailbox) VALUES (?, ?, ?, ?, ?)`,
		z.name, z.serial, z.owner, z.server, z.mailbox)
}

func (t *zoneTx) deleteZone(ctx context.Context, name string) error {
	t.touched[name] = true
	if err := t.exec(ctx, "delete records of zone "+name, `DELETE FROM record WHERE zone = ?`, name); err != nil {
		return err
	}
	return t.exec(ctx, "delete zone "+name, `DELETE FROM zone WHERE name = ?`, name)
}

// records returns the records of a zone, at one name or, for an empty name, at all.
func (t *zoneTx) records(ctx context.Context, zone, name string) ([]record, error) {
	query, args := `SELECT id, name, type, ttl, value, module FROM record WHERE zone = ?`, []any{zone}
	if name != "" {
		query, args = query+` AND name = ?`, append(args, name)
	}
	rows, err := t.QueryContext(ctx, query+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read records of zone %s: %w", zone, err)
	}
	defer rows.Close()
	var rs []record
	for rows.Next() {
		var r record
		if err := rows.Scan(&r.id, &r.name, &r.typ, &r.ttl, &r.value, &r.module); err != nil {
			return nil, fmt.Errorf("read records of zone %s: %w", zone, err)
		}
		rs = append(rs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read records of zone %s: %w", zone, err)
	}
	return rs, nil
}

// putRecord stores r; one without an id is a new one.
func (t *zoneTx) putRecord(ctx context.Context, zone string, r record) error {
	t.touched[zone] = true
	var id any
	if r.id != 0 {
		id = r.id
	}
	return t.exec(ctx, "store record of zone "+zone, `INSERT OR REPLACE INTO record (id, zone, name, type, ttl, value, module) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		id, zone, r.name, r.typ, r.ttl, r.value, r.module)
}

func (t *zoneTx) deleteRecord(ctx context.Context, zone string, id int64) error {
	t.touched[zone] = true
	return t.exec(ctx, "delete record of zone "+zone, `DELETE FROM record WHERE zone = ? AND id = ?`, zone, id)
}

// delegated says whether name is at or below a name of the zone that other servers
// answer for.
func (t *zoneTx) delegated(ctx context.Context, zone, name string) (bool, error) {
	for of := name; of != zone && of != ""; _, of, _ = strings.Cut(of, ".") {
		var n int
		if err := t.QueryRowContext(ctx, `SELECT count(*) FROM record WHERE zone = ? AND name = ? AND type = 'NS'`, zone, of).Scan(&n); err != nil {
			return false, fmt.Errorf("read delegations of zone %s: %w", zone, err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}
