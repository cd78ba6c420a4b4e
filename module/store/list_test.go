package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// many are more domains than any bound of the list: one owner has more than few,
// and more than fewNames names have "shop" in them.
func many() []mail.Domain {
	var all []mail.Domain
	ips := []string{"", "", "", "192.0.2.1", "192.0.2.2", "2001:db8::1"}
	targets := []string{"a@b.example", "me@пример.рф", "z+1@a.example"}
	for i := range 2900 {
		label := fmt.Sprintf("d%04d", i*7919%10000)
		switch {
		case i%4 == 0:
			label = fmt.Sprintf("shop-%04d", i)
		case i%97 == 0:
			label = fmt.Sprintf("бюро%d", i)
		case i%101 == 0:
			label = fmt.Sprintf("shop%d.bücher", i)
		}
		n, err := mail.ParseName(label + []string{".example", ".рф", ".co.uk"}[i%3])
		if err != nil {
			panic(err)
		}
		d := mail.NewDomain(n, "big")
		if i%5 == 0 {
			d.Owner = fmt.Sprintf("user%d", i%25)
		}
		d.Active = i%11 != 0
		if ip := ips[i%len(ips)]; ip != "" {
			d.IP = netip.MustParseAddr(ip)
		}
		d.Defaction = mail.DefaultActions[i%4]
		switch d.Defaction {
		case mail.ForwardAll:
			d.Redirval, err = mail.ParseTarget(mail.ForwardAll, targets[i%3])
		case mail.ForwardDomain:
			d.Redirval, err = mail.ParseTarget(mail.ForwardDomain, fmt.Sprintf("t%d.example", i%50))
		}
		if err != nil {
			panic(err)
		}
		d.Greylist, d.Spamassassin, d.Avcheck = i%2 == 0, i%3 == 0, i%500 == 0
		d.DKIM, d.DMARC, d.Secure = i%7 < 3, i%7 < 2, i%13 == 0
		all = append(all, d)
	}
	return all
}

// crowded holds many, for all tests that only read.
var crowded struct {
	sync.Once
	dir string
	db  *DB
	all []mail.Domain
	err error
}

func openMany(t testing.TB) (*DB, []mail.Domain) {
	t.Helper()
	c := &crowded
	c.Do(func() {
		if c.dir, c.err = os.MkdirTemp("", "store"); c.err != nil {
			return
		}
		if c.db, c.err = Open(context.Background(), filepath.Join(c.dir, "maildomain.db"), func() time.Time { return epoch }); c.err != nil {
			return
		}
		c.all = many()
		c.err = c.db.Update(context.Background(), func(ctx context.Context, tx *Tx) error {
			for i := range c.all {
				if err := tx.InsertDomain(ctx, &c.all[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.db, c.all
}

func closeMany() error {
	var err error
	if crowded.db != nil {
		err = crowded.db.Close()
	}
	if crowded.dir != "" {
		err = errors.Join(err, os.RemoveAll(crowded.dir))
	}
	return err
}

// column is the value that a domain is sorted by.
func column(d mail.Domain, name string) string {
	return d.Values()[name]
}

// matching is what ListDomains has on all its pages, made the plain way.
func matching(all []mail.Domain, q mail.Query) []mail.Domain {
	var found []mail.Domain
	for _, d := range all {
		keep := q.Scope.Has(d.Owner) && (q.Owner == "" || d.Owner == q.Owner) && (q.IP == nil || *q.IP == d.OutgoingIP()) &&
			(strings.Contains(d.Name.String(), q.Name) || strings.Contains(d.Name.Unicode(), q.Name))
		for _, f := range q.Flags {
			keep = keep && (column(d, f.Name) == "on") == f.On
		}
		if keep {
			found = append(found, d)
		}
	}
	key := map[mail.Name]string{}
	for _, d := range found {
		k := column(d, q.Sort)
		switch k {
		case "off": // before on
			k = "0"
		case "on":
			k = "1"
		}
		key[d.Name] = k
	}
	slices.SortFunc(found, func(a, b mail.Domain) int {
		c := cmp.Or(cmp.Compare(key[a.Name], key[b.Name]), cmp.Compare(a.Name.String(), b.Name.String()))
		if q.Desc {
			return -c
		}
		return c
	})
	return found
}

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

// listed are names alone, for a difference that one can read.
func listed(ds []mail.Domain) []string {
	var s []string
	for _, d := range ds {
		s = append(s, d.Name.String())
	}
	return s
}

func sortColumns() []string {
	var cs []string
	for c := range sorts {
		cs = append(cs, c)
	}
	slices.Sort(cs)
	return cs
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

func drawQuery(t *rapid.T) mail.Query {
	sometimes := func(label string) bool { return rapid.IntRange(0, 2).Draw(t, label) == 0 }
	q := mail.Query{
		Scope:  mail.Scope{All: rapid.Bool().Draw(t, "all")},
		Sort:   rapid.SampledFrom(sortColumns()).Draw(t, "sort"),
		Desc:   rapid.Bool().Draw(t, "desc"),
		Limit:  rapid.SampledFrom([]int{1, 2, 50, 1000}).Draw(t, "limit"),
		Offset: rapid.SampledFrom([]int{0, 0, 1, 49, 50, 500, 700, 1400, 2000, 2850, 2899, 2900, 5000}).Draw(t, "offset"),
	}
	if !q.Scope.All {
		q.Scope.Owners = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"big", "user0", "user10", "user15", "user20", "user5", "nobody"}), rapid.ID[string]).Draw(t, "owners")
		slices.Sort(q.Scope.Owners)
	}
	if sometimes("by name") {
		// More than fewNames, fewer, one, none; in letters of either kind; and
		// what a pattern would take for more than itself.
		q.Name = rapid.SampledFrom([]string{"shop", "shop-00", "бюро", "xn--", "bücher", "cher", ".рф", "p1ai", "d0", "shop-0400.example", "none", "%", "_", "*", "'", ".", "d000[0-9]", "\x00"}).Draw(t, "name")
	}
	if sometimes("by owner") {
		q.Owner = rapid.SampledFrom([]string{"big", "user10", "user15", "nobody", "'"}).Draw(t, "owner")
	}
	if sometimes("by address") {
		q.IP = new(rapid.SampledFrom([]string{"", "192.0.2.1", "2001:db8::1", "203.0.113.1"}).Draw(t, "ip"))
	}
	if sometimes("by flags") {
		for _, f := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"active", "greylist", "spamassassin", "avcheck", "dkim", "dmarc", "secure"}), 1, 3, rapid.ID[string]).Draw(t, "flags") {
			q.Flags = append(q.Flags, mail.FlagFilter{Name: f, On: rapid.Bool().Draw(t, f)})
		}
	}
	return q
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
