package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"maildomain/module/mail"
)

// fateColumns are the columns of counts, in the order of mail.Fate.
const fateColumns = `accepted, greylisted, spam, virus, refused, delivered, sent`

// LogPlace is how far Exim's log was counted; the zero place where it never was.
func (tx *Tx) LogPlace(ctx context.Context) (p mail.LogPlace, err error) {
	var device, inode int64
	_, err = tx.row(ctx, `SELECT device, inode, head, head_size, bytes FROM exim_log`, nil, &device, &inode, &p.Head, &p.HeadSize, &p.Bytes)
	p.Device, p.Inode = uint64(device), uint64(inode)
	return p, err
}

// PutLogPlace notes how far Exim's log was counted.
func (tx *Tx) PutLogPlace(ctx context.Context, p mail.LogPlace) error {
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO exim_log (id, device, inode, head, head_size, bytes) VALUES (1, ?, ?, ?, ?, ?)`,
		int64(p.Device), int64(p.Inode), p.Head, p.HeadSize, p.Bytes)
	return err
}

// Created is when a mail domain was made; false where there is none.
func (tx *Tx) Created(ctx context.Context, n mail.Name) (at time.Time, found bool, err error) {
	var ms int64
	found, err = tx.row(ctx, `SELECT created FROM domain WHERE name = ?`, []any{n.String()}, &ms)
	return time.UnixMilli(ms).UTC(), found, err
}

// AddCounts adds to what is counted of a mail domain on a day.
func (tx *Tx) AddCounts(ctx context.Context, n mail.Name, day mail.Day, c mail.Counts) error {
	args := []any{int64(day), n.String()}
	for _, number := range c {
		args = append(args, number)
	}
	_, err := tx.exec(ctx, `INSERT INTO counted (day, domain, `+fateColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (day, domain) DO UPDATE SET accepted = accepted + excluded.accepted, greylisted = greylisted + excluded.greylisted,
		spam = spam + excluded.spam, virus = virus + excluded.virus, refused = refused + excluded.refused,
		delivered = delivered + excluded.delivered, sent = sent + excluded.sent`, args...)
	return err
}

// BeginDay notes that something is counted of a day, and says whether it is the first
// of it.
func (tx *Tx) BeginDay(ctx context.Context, day mail.Day) (first bool, err error) {
	n, err := tx.exec(ctx, `INSERT INTO counted_day (day) VALUES (?) ON CONFLICT DO NOTHING`, int64(day))
	return n > 0, err
}

// DropCounts forgets what was counted before a day.
func (tx *Tx) DropCounts(ctx context.Context, before mail.Day) error {
	if _, err := tx.exec(ctx, `DELETE FROM counted WHERE day < ?`, int64(before)); err != nil {
		return fmt.Errorf("drop old counts: %w", err)
	}
	_, err := tx.exec(ctx, `DELETE FROM counted_day WHERE day < ?`, int64(before))
	return err
}

// CountsOf is what was counted of a mail domain on each day from first to last; days
// without anything are left out.
func (tx *Tx) CountsOf(ctx context.Context, n mail.Name, first, last mail.Day) (map[mail.Day]mail.Counts, error) {
	all := map[mail.Day]mail.Counts{}
	err := tx.rows(ctx, `SELECT day, `+fateColumns+` FROM counted
		WHERE day IN (SELECT day FROM counted_day WHERE day BETWEEN ? AND ?) AND domain = ?`, []any{int64(first), int64(last), n.String()}, func(r *sql.Rows) error {
		var day int64
		var c mail.Counts
		into := []any{&day}
		for i := range c {
			into = append(into, &c[i])
		}
		err := r.Scan(into...)
		all[mail.Day(day)] = c
		return err
	})
	return all, err
}
