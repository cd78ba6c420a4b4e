package store

import (
	"context"
)

// paces fit SQLite to changes that come alone, and to many. An import touches more
// pages than the default cache holds, and most of them again in the next commits:
// without room they are written, read and checkpointed each time. But at each commit
// SQLite walks its cache, and who makes one change is not to wait for a checkpoint
// of many.
var paces = map[bool]string{
	false: `PRAGMA cache_size = -2000; PRAGMA wal_autocheckpoint = 1000`,
	true:  `PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 8000`,
}

// keepPace is told how many changes the last batch had.
func (db *DB) keepPace(s *session, n int) {
	if db.alone++; n > 1 {
		db.alone = 0
	}
	many := n >= maxBatch/4 || db.many && db.alone < maxBatch
	if many == db.many {
		return
	}
	// Not by a prepared statement: SQLite sets the size when it prepares.
	if _, err := s.conn.ExecContext(context.Background(), paces[many]); err == nil {
		db.many = many
	}
}

// doErrands does what goes on beside the writer, in its order: preparing changes
// while the writer runs the next, and publishing and answering those of a batch
// while it begins another.
func (db *DB) doErrands() {
	for do := range db.errands {
		do()
	}
}

// catchUp waits for all errands so far.
func (db *DB) catchUp() {
	done := make(chan struct{})
	db.errands <- func() { close(done) }
	<-done
}
