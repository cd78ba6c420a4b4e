package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate runs the migrations that the database has not seen, each in a
// transaction with the version that it leads to.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var have int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > len(files) {
		return fmt.Errorf("%w: its schema is %d, this program knows %d", ErrNewer, have, len(files))
	}
	for version := have + 1; version <= len(files); version++ {
		if err := step(ctx, db, files[version-1], version); err != nil {
			return fmt.Errorf("bring schema to version %d: %w", version, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, file string, version int) error {
	script, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// Another process may have been here first, before we had the lock.
	var have int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil || have >= version {
		return errors.Join(err, tx.Rollback())
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("%s\nPRAGMA user_version = %d", script, version)); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
