// Package store keeps the wanted state in SQLite. SQL lives here only.
//
// One goroutine writes: changes that arrive while one commits share the next
// commit, each in a savepoint of its own, so that each stands or falls alone.
// Readers run beside it (WAL).
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A DB is an open database. Any number of goroutines may use it.
type DB struct {
	writePool, readPool *sql.DB
	sessions            []*session // on either

	now      func() time.Time
	requests chan *request // to the writer
	notes    notes
	errands  chan func()   // of the writer
	many     bool          // the writer's pace
	alone    int           // batches of one change since one of several
	readers  chan *session // those that are free
	closing  chan struct{}
	writer   sync.WaitGroup
	helper   sync.WaitGroup // who does the errands
	closed   sync.Once
}

// ErrNewer is the error of a database that a later version of the program wrote.
var ErrNewer = errors.New("the database was written by a newer version of this program")

// readersAtOnce is how many reads run side by side.
const readersAtOnce = 4

// Open opens the database at path, makes it where there is none, and brings its
// schema up to date. now is the clock of all changes.
func Open(ctx context.Context, path string, now func() time.Time) (_ *DB, err error) {
	db := &DB{
		now:      now,
		requests: make(chan *request),
		errands:  make(chan func(), maxBatch),
		readers:  make(chan *session, readersAtOnce),
		closing:  make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", path, err), db.closePools())
		}
	}()
	// SQLite would make a file that everybody may read, and a log of the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// Pragmas belong in the DSN: database/sql has a pool, and a PRAGMA run once
	// reaches one connection of it.
	// What a savepoint would undo is kept in memory: in a file it would be written there
	// page by page for every change, and thrown away.
	db.writePool, err = sql.Open("sqlite", dsn(path, "_txlock=immediate", "_pragma=busy_timeout(10000)",
		"_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)", "_pragma=temp_store(MEMORY)"))
	if err != nil {
		return nil, err
	}
	if err := patiently(ctx, func() error { return migrate(ctx, db.writePool) }); err != nil {
		return nil, err
	}
	w, err := db.newSession(ctx, db.writePool)
	if err != nil {
		return nil, err
	}
	db.readPool, err = sql.Open("sqlite", dsn(path, "mode=ro", "_pragma=busy_timeout(10000)", "_pragma=query_only(1)"))
	if err != nil {
		return nil, err
	}
	for range readersAtOnce {
		r, err := db.newSession(ctx, db.readPool)
		if err != nil {
			return nil, err
		}
		db.readers <- r
	}
	db.writer.Go(func() { db.writeLoop(w) })
	db.helper.Go(db.doErrands)
	return db, nil
}

func dsn(path string, params ...string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(params, "&")
}

// Close waits for the change and the reads that are under way and closes the
// database. Calls that come later get ErrClosed.
func (db *DB) Close() error {
	var err error
	db.closed.Do(func() {
		_ = db.notes.wait(context.Background()) // it has no end
		close(db.closing)
		db.writer.Wait()
		close(db.errands)
		db.helper.Wait()
		for range readersAtOnce {
			<-db.readers
		}
		err = db.closePools()
	})
	return err
}

// closePools closes the readers first: the last connection to close folds the
// log into the database, and a reader could not.
func (db *DB) closePools() error {
	var err error
	for _, s := range db.sessions {
		err = errors.Join(err, s.close())
	}
	for _, p := range []*sql.DB{db.readPool, db.writePool} {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}
	return err
}

// A session is one connection with the statements prepared on it. One goroutine
// at a time uses it.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func (db *DB) newSession(ctx context.Context, pool *sql.DB) (*session, error) {
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, prepared: map[string]*sql.Stmt{}}
	db.sessions = append(db.sessions, s)
	return s, nil
}

// mostPrepared bounds the memory of prepared statements: filters and sort orders
// combine to more texts than are in use.
const mostPrepared = 200

// statement prepares each text once. No value is ever part of a text.
func (s *session) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if p, ok := s.prepared[text]; ok {
		return p, nil
	}
	if len(s.prepared) >= mostPrepared {
		if err := s.forget(); err != nil {
			return nil, err
		}
	}
	p, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", text, err)
	}
	s.prepared[text] = p
	return p, nil
}

// forget closes the prepared statements.
func (s *session) forget() error {
	var err error
	for t, p := range s.prepared {
		if e := p.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("close %q: %w", t, e))
		}
	}
	clear(s.prepared)
	return err
}

// close gives the connection back to its pool, which closes it. SQLite keeps a
// connection, and the log, as long as statements of it are open.
func (s *session) close() error {
	return errors.Join(s.forget(), s.conn.Close())
}

func (s *session) exec(ctx context.Context, text string, args ...any) (int64, error) {
	p, err := s.statement(ctx, text)
	if err != nil {
		return 0, err
	}
	r, err := p.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
