package store

import (
	"context"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// checkList holds a page of the list against all that match it.
func checkList(t rapid.TB, db *DB, match []mail.Domain, q mail.Query) {
	t.Helper()
	total := int64(len(match))
	from := min(q.Offset, len(match))
	want := match[from:min(from+q.Limit, len(match))]
	err := db.View(context.Background(), func(ctx context.Context, tx *Tx) error {
		got, n, err := tx.ListDomains(ctx, q)
		if err != nil {
			return err
		}
		if n != total {
			t.Errorf("%+v: %d in all, want %d", q, n, total)
		}
		if !gocmp.Equal(listed(want), listed(got)) {
			t.Errorf("%+v (-want +got):\n%s", q, gocmp.Diff(listed(want), listed(got)))
			return nil
		}
		for i := range got {
			if !gocmp.Equal(want[i], got[i], values) {
				t.Errorf("%+v (-want +got):\n%s", q, gocmp.Diff(want[i], got[i], values))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
}

// Every column, both orders, the first page, the last, one across the middle from
// where the list is walked backwards, and beyond the end.
func TestListPagesOfEveryColumn(t *testing.T) {
	db, all := openMany(t)
	n := len(all)
	for _, c := range sortColumns() {
		for _, desc := range []bool{false, true} {
			match := matching(all, mail.Query{Scope: mail.Scope{All: true}, Sort: c, Desc: desc})
			for _, offset := range []int{0, n/2 - 25, n/2 + 1, n - 3, n, 1 << 30} {
				checkList(t, db, match, mail.Query{Scope: mail.Scope{All: true}, Sort: c, Desc: desc, Limit: 50, Offset: offset})
			}
		}
	}
}

// A page for each scope and filter, against the model.
func TestListIsWhatTheModelSays(t *testing.T) {
	db, all := openMany(t)
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuery(t)
		checkList(t, db, matching(all, q), q)
	})
}

// Paging through a list shows each domain once, whatever the size of a page.
func TestPagesTogetherAreTheList(t *testing.T) {
	db, all := openMany(t)
	for _, q := range []mail.Query{
		{Scope: mail.Scope{All: true}, Sort: "dkim"},
		{Scope: mail.Scope{All: true}, Sort: "redirval", Desc: true, Name: "shop"},
		{Scope: mail.Scope{Owners: []string{"big"}}, Sort: "ip"},
		{Scope: mail.Scope{Owners: []string{"user0", "user10"}}, Sort: "active", Desc: true},
		{Scope: mail.Scope{All: true}, Sort: "owner", Flags: []mail.FlagFilter{{Name: "greylist", On: true}}},
	} {
		want := matching(all, q)
		var got []mail.Domain
		for q.Limit = 333; ; q.Offset += q.Limit {
			var page []mail.Domain
			view(t, db, func(ctx context.Context, tx *Tx) (err error) {
				page, _, err = tx.ListDomains(ctx, q)
				return err
			})
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if diff := gocmp.Diff(listed(want), listed(got)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
}

func TestListOfNothing(t *testing.T) {
	db := open(t)
	for _, c := range sortColumns() {
		for _, s := range []mail.Scope{{All: true}, {}, {Owners: []string{"user1"}}} {
			for _, name := range []string{"", "a"} {
				checkList(t, db, nil, mail.Query{Scope: s, Sort: c, Limit: 50, Name: name})
			}
		}
	}
}

func TestUnknownColumnIsNotSortedBy(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example"))
	for _, c := range []string{"", "email", "rowid", "name; DROP TABLE domain", "name DESC", "1"} {
		err := db.View(t.Context(), func(ctx context.Context, tx *Tx) error {
			_, _, err := tx.ListDomains(ctx, mail.Query{Scope: mail.Scope{All: true}, Sort: c, Limit: 1})
			return err
		})
		if err == nil {
			t.Errorf("sorted by %q", c)
		}
	}
	// A filter by what is no column narrows nothing, and is part of no text.
	checkList(t, db, []mail.Domain{first(t, db)}, mail.Query{Scope: mail.Scope{All: true}, Sort: "name", Limit: 1})
	view(t, db, func(ctx context.Context, tx *Tx) error {
		_, n, err := tx.ListDomains(ctx, mail.Query{Scope: mail.Scope{All: true}, Sort: "name", Limit: 1, Flags: []mail.FlagFilter{{Name: "1=1 OR active"}}})
		if n != 1 {
			t.Errorf("%d domains", n)
		}
		return err
	})
}

func first(t testing.TB, db *DB) (d mail.Domain) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx *Tx) error {
		return tx.Domains(ctx, func(e mail.Domain) error { d = e; return nil })
	})
	return d
}

// Filters and sort orders combine to more statements than are kept.
func TestMoreStatementsThanAreKept(t *testing.T) {
	db := open(t)
	update(t, db, add("user1", "a.example", "b.example"))
	all := []mail.Domain{}
	view(t, db, func(ctx context.Context, tx *Tx) error {
		return tx.Domains(ctx, func(d mail.Domain) error { all = append(all, d); return nil })
	})
	flags := []string{"active", "greylist", "spamassassin", "avcheck", "dkim", "dmarc", "secure"}
	for mask := range 1 << len(flags) {
		q := mail.Query{Scope: mail.Scope{All: true}, Limit: 2}
		for i, f := range flags {
			if mask>>i&1 == 1 {
				q.Flags = append(q.Flags, mail.FlagFilter{Name: f, On: f == "active"})
			}
		}
		for _, q.Sort = range []string{"name", "ip", "owner", "dkim", "active"} {
			checkList(t, db, matching(all, q), q)
		}
	}
	for _, s := range db.sessions {
		if n := len(s.prepared); n > mostPrepared {
			t.Errorf("%d statements are kept", n)
		}
	}
}

// A scan of the table would be felt at 100,000 domains: each list is read through
// an index of its sort column, or through one that narrows it.
func TestListsAreReadThroughIndexes(t *testing.T) {
	db, _ := openMany(t)
	for _, c := range sortColumns() {
		q := mail.Query{Sort: c}
		for what, text := range map[string]string{
			"page":  `SELECT name FROM ` + source(q) + ` WHERE avcheck = 1 ORDER BY ` + order(q) + ` LIMIT 50`,
			"walk":  `SELECT name FROM domain WHERE (` + c + `, name) >= ('', '') ORDER BY ` + order(q) + ` LIMIT 50`,
			"start": `SELECT ` + c + `, name FROM domain INDEXED BY ` + sorts[c] + ` ORDER BY ` + order(q) + ` LIMIT 1 OFFSET 1000`,
		} {
			view(t, db, func(ctx context.Context, tx *Tx) error {
				rows, err := tx.s.conn.QueryContext(ctx, `EXPLAIN QUERY PLAN `+text)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var id, parent, unused int
					var detail string
					if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
						return err
					}
					if strings.Contains(detail, "TEMP B-TREE") || what != "page" && !strings.Contains(detail, "INDEX") && !strings.Contains(detail, "PRIMARY KEY") {
						t.Errorf("%s by %s: %s", what, c, detail)
					}
				}
				return rows.Err()
			})
		}
	}
}
