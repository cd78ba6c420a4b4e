package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/module/mail"
)

// What is counted of a domain is found by the days there are, and costs the same
// however many domains there are.
func TestCountsAreFoundWithoutAScan(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
		for _, q := range []string{
			`SELECT ` + fateColumns + ` FROM counted WHERE day IN (SELECT day FROM counted_day WHERE day BETWEEN 1 AND 2) AND domain = 'a'`,
			`DELETE FROM counted WHERE day IN (SELECT day FROM counted_day) AND domain = 'a'`,
			`DELETE FROM counted WHERE day < 5`,
		} {
			plan := ""
			if err := tx.rows(ctx, `EXPLAIN QUERY PLAN `+q, nil, func(r *sql.Rows) error {
				var id, parent, unused int
				var detail string
				err := r.Scan(&id, &parent, &unused, &detail)
				plan += detail + "\n"
				return err
			}); err != nil {
				return err
			}
			if strings.Contains(plan, "SCAN counted\n") || !strings.Contains(plan, "SEARCH counted USING PRIMARY KEY (day") {
				t.Errorf("%s:\n%s", q, plan)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A row of a day is some forty bytes, and what comes to it later takes none.
func TestRowsOfCountsAreFew(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pages := func() (n int64) {
		t.Helper()
		err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, err := tx.row(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`, nil, &n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	round := func(domains int) {
		t.Helper()
		for from := 0; from < domains; from += 5000 {
			err := db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
				tx.Aside()
				if _, err := tx.BeginDay(ctx, 20000); err != nil {
					return err
				}
				for i := from; i < from+5000; i++ {
					n := mail.StoredName(fmt.Sprintf("domain-%06d.example", i))
					if err := tx.AddCounts(ctx, n, 20000, mail.Counts{mail.FateAccepted: 200, mail.FateDelivered: 190, mail.FateRefused: 3}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	before := pages()
	round(20_000)
	first := pages()
	size := (first - before) / 20_000
	t.Logf("%d bytes a row", size)
	if size > 64 {
		t.Errorf("%d bytes a row", size)
	}
	round(5_000)
	if grown := pages() - first; grown > 64<<10 {
		t.Errorf("a second round adds %d bytes", grown)
	}
	err = db.Update(t.Context(), func(ctx context.Context, tx *Tx) error {
		all, err := tx.CountsOf(ctx, mail.StoredName("domain-000007.example"), 19990, 20001)
		if c := all[20000]; err == nil && (len(all) != 1 || c != mail.Counts{mail.FateAccepted: 400, mail.FateDelivered: 380, mail.FateRefused: 6}) {
			t.Errorf("%v", all)
		}
		if err == nil {
			err = tx.DropCounts(ctx, 20001)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
