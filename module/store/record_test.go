package store

import (
	"context"
	"testing"

	"maildomain/module/mail"
)

func TestValueThatWasSentOutlivesAServerWithoutItsZone(t *testing.T) {
	db, _ := at(t)
	n := mail.StoredName("a.example")
	spf := mail.Record{Name: "a.example", Type: mail.TypeTXT, TTL: 60, Values: []string{"v=spf1 -all"}, Why: mail.ForSPF}
	for _, c := range []struct {
		sent  bool
		state mail.Handed
		left  int
	}{
		{false, mail.NoZone, 0}, {true, mail.Refused, 1}, {true, mail.NoZone, 1}, {true, mail.Published, 0},
	} {
		var rows []RecordRow
		update(t, db, func(ctx context.Context, tx *Tx) (err error) {
			if rows, err = tx.RecordsOf(ctx, n); err != nil {
				return err
			}
			if _, _, err := tx.WantRecords(ctx, n, rows, []mail.Record{spf}, false); err != nil {
				return err
			}
			if c.sent {
				if first, err := tx.OfferRecords(ctx, n); err != nil || len(rows) == 0 && len(first) != 1 {
					t.Errorf("sent first: %v, %v", first, err)
				}
			}
			if rows, err = tx.RecordsOf(ctx, n); err != nil {
				return err
			}
			_, _, err = tx.WantRecords(ctx, n, rows, nil, false)
			return err
		})
		update(t, db, func(ctx context.Context, tx *Tx) (err error) {
			if rows, err = tx.RecordsOf(ctx, n); err != nil {
				return err
			}
			is := rows[0]
			is.State = c.state
			if err := tx.SetRecord(ctx, n, rows[0], is); err != nil {
				return err
			}
			rows, err = tx.RecordsOf(ctx, n)
			return err
		})
		if len(rows) != c.left {
			t.Errorf("%+v: %d rows: %+v", c, len(rows), rows)
		}
	}
}
