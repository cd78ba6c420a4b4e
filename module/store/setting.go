package store

import (
	"context"
	"database/sql"
)

// Settings are the settings of the module that are not at their default, by name.
func (tx *Tx) Settings(ctx context.Context) (map[string]string, error) {
	set := map[string]string{}
	err := tx.rows(ctx, `SELECT name, value FROM setting`, nil, func(r *sql.Rows) error {
		var name, value string
		if err := r.Scan(&name, &value); err != nil {
			return err
		}
		set[name] = value
		return nil
	})
	return set, err
}

// Set keeps one setting.
func (tx *Tx) Set(ctx context.Context, name, value string) error {
	_, err := tx.exec(ctx, `INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}
