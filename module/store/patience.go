package store

import (
	"context"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// How long somebody who opens the database waits for another that makes it, or was the
// last to close it.
const (
	openWait  = 10 * time.Second
	openPause = 10 * time.Millisecond
)

// patiently repeats f while the database is busy. SQLite's own waiting does not cover
// the moments in which another process turns it into one with a log ahead, or removes
// that log as the last (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY In
// WAL Mode").
func patiently(ctx context.Context, f func() error) error {
	for end := time.Now().Add(openWait); ; {
		err := f()
		e, is := errors.AsType[*sqlite.Error](err)
		if !is || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(openPause):
		}
	}
}
