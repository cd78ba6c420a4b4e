package core

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite"
)

//go:embed schema.sql
var schema string

//go:embed schema2.sql
var schemaZones string

//go:embed schema3.sql
var schemaCertificates string

//go:embed schema4.sql
var schemaWake string

//go:embed schema5.sql
var schemaPerhaps string

//go:embed schema6.sql
var schemaTheirs string

// schemas lead from each version of the schema to the next.
var schemas = []string{schema, schemaZones, schemaCertificates, schemaWake, schemaPerhaps, schemaTheirs}

// A database holds the core's users, parameters, zones and certificates.
type database struct{ sql *sql.DB }

// openDatabase opens the database at path and brings its schema up to date.
func openDatabase(ctx context.Context, path string) (*database, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would make it 0644
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	f.Close()
	// Pragmas belong in the DSN: database/sql has a pool, and a PRAGMA run once
	// reaches one connection of it.
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "trusted_schema(OFF)"},
		"_txlock": {"immediate"},
	}.Encode()}
	pool, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	db := &database{pool}
	if err := db.update(ctx, migrate); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return db, nil
}

func migrate(ctx context.Context, tx *sql.Tx) error {
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(schemas) {
		return fmt.Errorf("its schema is version %d, made by a newer panelcore; this one knows %d", version, len(schemas))
	}
	for ; version < len(schemas); version++ {
		if _, err := tx.ExecContext(ctx, schemas[version]+fmt.Sprintf("PRAGMA user_version = %d;", version+1)); err != nil {
			return fmt.Errorf("make schema %d: %w", version+1, err)
		}
	}
	return nil
}

func (db *database) close() error { return db.sql.Close() }

// update runs f in a transaction: committed if f returns nil, else undone.
func (db *database) update(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if err := f(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (db *database) users(ctx context.Context) ([]*user, error) {
	rows, err := db.sql.QueryContext(ctx, `SELECT name, level, parent, active, hash, uid, gid, home, lang, ips, limits, demo FROM user`)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer rows.Close()
	var us []*user
	for rows.Next() {
		u := &user{}
		var ips, limits []byte
		if err := rows.Scan(&u.Name, &u.Level, &u.Parent, &u.Active, &u.hash, &u.UID, &u.GID, &u.Home, &u.Lang, &ips, &limits, &u.demo); err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		if err := json.Unmarshal(ips, &u.IPs); err != nil {
			return nil, fmt.Errorf("read addresses of user %s: %w", u.Name, err)
		}
		if err := json.Unmarshal(limits, &u.Limits); err != nil {
			return nil, fmt.Errorf("read limits of user %s: %w", u.Name, err)
		}
		us = append(us, u)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return us, nil
}

func putUser(ctx context.Context, tx *sql.Tx, u *user) error {
	ips, err := json.Marshal(u.IPs)
	if err != nil {
		return fmt.Errorf("store user %s: %w", u.Name, err)
	}
	limits, err := json.Marshal(u.Limits)
	if err != nil {
		return fmt.Errorf("store user %s: %w", u.Name, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO user (name, level, parent, active, hash, uid, gid, home, lang, ips, limits, demo)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.Name, u.Level, u.Parent, u.Active, u.hash, u.UID, u.GID, u.Home, u.Lang, string(ips), string(limits), u.demo); err != nil {
		return fmt.Errorf("store user %s: %w", u.Name, err)
	}
	return nil
}

func deleteUser(ctx context.Context, tx *sql.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM user WHERE name = ?`, name); err != nil {
		return fmt.Errorf("delete user %s: %w", name, err)
	}
	return nil
}

func (db *database) params(ctx context.Context) (map[string]param, error) {
	rows, err := db.sql.QueryContext(ctx, `SELECT name, value FROM param`)
	if err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	defer rows.Close()
	ps := map[string]param{}
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("read parameters: %w", err)
		}
		var p param
		if err := json.Unmarshal(value, &p); err != nil {
			return nil, fmt.Errorf("read parameter %s: %w", name, err)
		}
		ps[name] = p
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	return ps, nil
}

func putParam(ctx context.Context, tx *sql.Tx, name string, p param) error {
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("store parameter %s: %w", name, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO param (name, value) VALUES (?, ?)`, name, string(value)); err != nil {
		return fmt.Errorf("store parameter %s: %w", name, err)
	}
	return nil
}
