package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// Days of counts.
const (
	daysKept  = 400
	daysShown = 30
)

// counting is what a process knows of counting.
type counting struct {
	mu     sync.Mutex   // one at a time
	until  atomic.Int64 // when the log was read to its end last, ms since 1970; 0: not yet
	absent atomic.Bool  // Exim does not log to a file that can be read
	zone   *time.Location
}

// day is the day of an instant where the server is.
func (c *counting) day(at time.Time) mail.Day {
	if c.zone != nil {
		return mail.DayOf(at, c.zone)
	}
	return mail.DayOf(at, time.Local)
}

// Count reads what became of letters from Exim's log, from where it was left, by this
// process or another, and adds it to the counters of the mail domains. Each line counts
// once, whenever the process ends. It is no error that there is no log to be read.
func (m *Module) Count(ctx context.Context) error {
	m.counting.mu.Lock()
	defer m.counting.mu.Unlock()
	return m.count(ctx)
}

// errCounted is the error of a part of the log that another process has counted.
var errCounted = errors.New("another process counts too")

// count is Count for the holder of counting.
func (m *Module) count(ctx context.Context) error {
	var from mail.LogPlace
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		from, err = tx.LogPlace(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("count letters: %w", err)
	}
	var noted []mail.Noted
	lost, err := m.tree.ReadLog(ctx, from, files.LogSettles, func(line []byte) {
		if n, ok := mail.ParseLogLine(line); ok {
			noted = append(noted, n)
		}
	}, func(to mail.LogPlace) error {
		err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return m.addCounts(ctx, tx, from, to, noted) })
		from, noted = to, noted[:0]
		return err
	})
	if lost {
		m.log.Warn().Msg("a part of Exim's log is not there any more: its letters are not counted")
	}
	absent := errors.Is(err, files.ErrNoLog) || errors.Is(err, fs.ErrPermission) // an ordinary user's module
	m.counting.absent.Store(absent)
	switch {
	case absent, errors.Is(err, errCounted):
		return nil
	case err != nil:
		return fmt.Errorf("count letters: %w", err)
	}
	m.counting.until.Store(m.db.Now().UnixMilli())
	return nil
}

// addCounts adds what a part of the log says, and notes that it was read up to there.
// Nothing is counted for names that are no mail domains, or were none then.
func (m *Module) addCounts(ctx context.Context, tx *store.Tx, from, to mail.LogPlace, noted []mail.Noted) error {
	tx.Aside()
	if now, err := tx.LogPlace(ctx); err != nil || now != from {
		return firstOf(err, errCounted)
	}
	oldest := m.counting.day(tx.Now) - daysKept
	made := map[mail.Name]time.Time{}
	sums := map[mail.Day]map[mail.Name]mail.Counts{}
	for _, n := range noted {
		since, asked := made[n.Domain]
		if !asked {
			at, found, err := tx.Created(ctx, n.Domain)
			if err != nil {
				return err
			}
			if found {
				since = at.Truncate(time.Second)
			}
			made[n.Domain] = since
		}
		day := m.counting.day(n.At)
		if since.IsZero() || n.At.Before(since) || day <= oldest {
			continue
		}
		if sums[day] == nil {
			sums[day] = map[mail.Name]mail.Counts{}
		}
		c := sums[day][n.Domain]
		c[n.Fate]++
		sums[day][n.Domain] = c
	}
	for _, day := range slices.Sorted(maps.Keys(sums)) {
		first, err := tx.BeginDay(ctx, day)
		if err == nil && first {
			err = tx.DropCounts(ctx, oldest+1)
		}
		if err != nil {
			return err
		}
		for n, c := range sums[day] {
			if err := tx.AddCounts(ctx, n, day, c); err != nil {
				return err
			}
		}
	}
	return tx.PutLogPlace(ctx, to)
}

// Stats are the counts of a mail domain.
type Stats struct {
	Domain mail.Domain
	Days   []DayStats // each day that was asked for, oldest first
	Total  mail.Counts
	Until  time.Time // the log was counted up to then; zero: not since the start
	Absent bool      // Exim logs to no file that can be read: there is nothing to count
}

// DayStats are the counts of a day.
type DayStats struct {
	Day    mail.Day
	Counts mail.Counts
}

// freshLimit bounds what who looks at counts waits for the latest.
const freshLimit = 2 * time.Second

// DomainStats are the counts of the mail domain elid of the last days, 1 to 400 of them,
// today included; empty for 30.
func (m *Module) DomainStats(ctx context.Context, by Actor, elid, days string) (Stats, error) {
	d, _, err := m.find(ctx, by, elid)
	if err != nil {
		return Stats{}, err
	}
	n := daysShown
	if days != "" {
		if n, err = strconv.Atoi(days); err != nil || n < 1 || n > daysKept {
			return Stats{}, &mail.Error{Kind: mail.Invalid, Field: "days", Value: days, Text: "value_days"}
		}
	}
	m.countSoon(ctx)
	s := Stats{Domain: d, Absent: m.counting.absent.Load()}
	if until := m.counting.until.Load(); until > 0 {
		s.Until = time.UnixMilli(until).UTC()
	}
	last := m.counting.day(m.db.Now())
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		all, err := tx.CountsOf(ctx, d.Name, last-mail.Day(n)+1, last)
		for day := last - mail.Day(n) + 1; day <= last; day++ {
			s.Days = append(s.Days, DayStats{day, all[day]})
			for f, number := range all[day] {
				s.Total[f] += number
			}
		}
		return err
	})
	return s, err
}

// countSoon counts unless that is being done; who wants to see the counts does not wait
// for long, and sees what there is where it fails.
func (m *Module) countSoon(ctx context.Context) {
	if !m.counting.mu.TryLock() {
		return
	}
	defer m.counting.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	if err := m.count(limited); err != nil && limited.Err() == nil {
		m.log.Error().Err(err).Msg("letters are not counted")
	}
}
