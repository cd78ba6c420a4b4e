package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// manyBoxes are mailboxes of several owners, with equal values in every column.
func manyBoxes(t testing.TB) (*DB, []MailboxRow) {
	t.Helper()
	db := open(t)
	var rows []MailboxRow
	update(t, db, func(ctx context.Context, tx *Tx) error {
		for i, n := range []string{"a.example", "b.example", "xn--bcher-kva.example", "c.a.example", "empty.example"} {
			owner := []string{"user1", "user2", "user1", "user3", "user1"}[i]
			if err := add(owner, n)(ctx, tx); err != nil || n == "empty.example" {
				return err
			}
			for j := range 40 {
				b := box(n, fmt.Sprintf("box%02d", j*7%40))
				b.Active, b.MaxSize, b.Used = j%5 > 0, int64(j%3*100), int64(j%4)<<30
				b.DontSave, b.Greylist, b.Spamassassin, b.Note = j%6 == 0, j%2 == 0, j%3 == 0, []string{"", "", "Zoe", "anna", "ж"}[j%5]
				if err := insert(b)(ctx, tx); err != nil {
					return err
				}
				b.Created, b.Changed = tx.Now, tx.Now
				rows = append(rows, MailboxRow{b, owner})
			}
		}
		return nil
	})
	return db, rows
}

// boxColumn is the value that a mailbox is sorted by.
func boxColumn(r MailboxRow, name string) string {
	switch name {
	case "name":
		return ""
	case "owner":
		return r.Owner
	case "used":
		return fmt.Sprintf("%020d", r.Used)
	case "maxsize":
		return fmt.Sprintf("%020d", r.MaxSize)
	}
	return strings.NewReplacer("off", "0", "on", "1").Replace(r.Values()[name])
}

// matchingBoxes is what ListMailboxes has on all its pages, made the plain way.
func matchingBoxes(all []MailboxRow, q mail.MailboxQuery) []MailboxRow {
	var found []MailboxRow
	for _, r := range all {
		a := r.Address()
		if q.Scope.Has(r.Owner) && (q.Domain.IsZero() || q.Domain == r.Domain) && (q.Active == nil || *q.Active == r.Active) &&
			(strings.Contains(a.String(), q.Name) || strings.Contains(a.Unicode(), q.Name)) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b MailboxRow) int {
		c := cmp.Or(cmp.Compare(boxColumn(a, q.Sort), boxColumn(b, q.Sort)), cmp.Compare(a.Domain.String(), b.Domain.String()), cmp.Compare(a.Name.String(), b.Name.String()))
		if q.Desc {
			return -c
		}
		return c
	})
	return found
}

func TestListOfMailboxesIsWhatTheModelSays(t *testing.T) {
	db, all := manyBoxes(t)
	var sorts []string
	for c := range emailSorts {
		sorts = append(sorts, c)
	}
	slices.Sort(sorts)
	check := func(t rapid.TB, q mail.MailboxQuery) {
		match := matchingBoxes(all, q)
		want := match[min(q.Offset, len(match)):min(q.Offset+q.Limit, len(match))]
		err := db.View(context.Background(), func(ctx context.Context, tx *Tx) error {
			got, total, err := tx.ListMailboxes(ctx, q)
			if total != int64(len(match)) {
				t.Errorf("%+v: %d in all, want %d", q, total, len(match))
			}
			if len(want) == 0 {
				want = nil
			}
			if diff := gocmp.Diff(want, got, mailboxes); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", q, diff)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range sorts {
		for _, desc := range []bool{false, true} {
			for _, offset := range []int{0, 70, 150, 160, 1000} {
				check(t, mail.MailboxQuery{Scope: mail.Scope{All: true}, Sort: c, Desc: desc, Limit: 50, Offset: offset})
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		q := mail.MailboxQuery{
			Scope: mail.Scope{All: rapid.Bool().Draw(t, "all")}, Sort: rapid.SampledFrom(sorts).Draw(t, "sort"), Desc: rapid.Bool().Draw(t, "desc"),
			Limit: rapid.SampledFrom([]int{1, 7, 1000}).Draw(t, "limit"), Offset: rapid.SampledFrom([]int{0, 0, 1, 39, 60, 200}).Draw(t, "offset"),
			Domain: mail.StoredName(rapid.SampledFrom([]string{"", "", "a.example", "b.example", "empty.example", "none.example"}).Draw(t, "domain")),
			Name:   rapid.SampledFrom([]string{"", "", "box1", "@a.example", "bücher", "xn--", "a.example", "9@b", "none", "%", "_", "'", "*"}).Draw(t, "name"),
		}
		if !q.Scope.All {
			q.Scope.Owners = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"nobody", "user1", "user2", "user3"}), rapid.ID[string]).Draw(t, "owners")
			slices.Sort(q.Scope.Owners)
		}
		if n := rapid.IntRange(0, 2).Draw(t, "active"); n > 0 {
			q.Active = new(n == 1)
		}
		check(t, q)
	})
}

func TestUnknownColumnOfMailboxesIsNotSortedBy(t *testing.T) {
	db, _ := manyBoxes(t)
	for _, c := range []string{"", "password", "email.password", "rowid", "name; DROP TABLE email", "used DESC", "1"} {
		view(t, db, func(ctx context.Context, tx *Tx) error {
			if _, _, err := tx.ListMailboxes(ctx, mail.MailboxQuery{Scope: mail.Scope{All: true}, Sort: c, Limit: 1}); err == nil {
				t.Errorf("mailboxes sorted by %q", c)
			}
			if _, _, err := tx.ListDeleted(ctx, mail.Query{Scope: mail.Scope{All: true}, Sort: c, Limit: 1}); err == nil {
				t.Errorf("what was deleted sorted by %q", c)
			}
			return nil
		})
	}
}

// A clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) tell() time.Time { return c.now }

func TestDeletedIsReadBackAsItWas(t *testing.T) {
	db := open(t)
	b := box("a.example", "info", "sales")
	b.Used, b.Created = 7, epoch.UTC().Add(-time.Hour)
	c := box("a.example", "other")
	c.Active, c.DontSave, c.Greylist, c.Used, c.Created = false, true, true, 5, b.Created
	want := Deleted{
		Object: "a.example", Name: mail.StoredName("a.example"), Owner: "user1", User: "admin", Until: epoch.UTC().Add(time.Hour).Truncate(time.Millisecond),
		Domain: map[string]string{"name": "a.example", "redirval": "\"x\"\n"}, Mailboxes: []mail.Mailbox{b, c},
	}
	update(t, db, func(ctx context.Context, tx *Tx) (err error) {
		want.ID, err = tx.InsertDeleted(ctx, want)
		return err
	})
	want.At, want.State, want.Count, want.Used = epoch.UTC().Truncate(time.Millisecond), MailMoving, 2, 12
	view(t, db, func(ctx context.Context, tx *Tx) error {
		got, found, err := tx.Deleted(ctx, want.ID)
		if diff := gocmp.Diff(want, got, mailboxes); diff != "" || !found {
			t.Errorf("found %v (-want +got):\n%s", found, diff)
		}
		if err != nil {
			return err
		}
		_, found, err = tx.Deleted(ctx, want.ID+1)
		if found {
			t.Error("found what is not there")
		}
		return err
	})
}

// The number names the mail in the trash: one that is given twice would bring back
// somebody else's.
func TestNumberOfTheDeletedIsNeverGivenTwice(t *testing.T) {
	db := open(t)
	last := int64(0)
	for range 5 {
		update(t, db, func(ctx context.Context, tx *Tx) error {
			id, err := tx.InsertDeleted(ctx, Deleted{Object: "a.example", Name: mail.StoredName("a.example"), Domain: map[string]string{}})
			if id <= last {
				t.Errorf("number %d after %d", id, last)
			}
			last = id
			if err != nil {
				return err
			}
			return tx.Forget(ctx, id)
		})
	}
}

func TestListOfTheDeletedIsWhatTheModelSays(t *testing.T) {
	hour := &clock{epoch}
	db := openAt(t, t.TempDir()+"/maildomain.db", hour.tell)
	var all []Deleted
	for i := range 60 {
		hour.now = epoch.Add(time.Duration(i/3) * time.Minute)
		d := Deleted{Name: mail.StoredName(fmt.Sprintf("d%d.example", i%7)), Owner: []string{"user1", "user2"}[i%2], User: "admin", Until: epoch.UTC().Add(time.Duration(i*i%60) * time.Minute)}
		d.Object, d.Domain = d.Name.String(), map[string]string{"name": d.Name.String()}
		if i%3 == 0 {
			d.Object, d.Domain = "box@"+d.Object, nil
		}
		for j := range i % 4 {
			b := box(d.Name.String(), fmt.Sprint("b", j))
			b.Used = int64(i % 5)
			d.Mailboxes = append(d.Mailboxes, b)
			d.Used, d.Count = d.Used+b.Used, d.Count+1
		}
		d.State = []MailState{MailMoving, MailKept, MailKept, MailRestoring, MailKept}[i%5]
		update(t, db, func(ctx context.Context, tx *Tx) (err error) {
			d.At = tx.Now
			given := d
			given.Used, given.Count = 0, 0
			if d.ID, err = tx.InsertDeleted(ctx, given); err != nil {
				return err
			}
			return tx.SetMailState(ctx, d.ID, d.State)
		})
		d.Until, d.Domain, d.Mailboxes = d.Until.Truncate(time.Millisecond), nil, nil
		all = append(all, d)
	}
	hour.now = epoch.Add(20 * time.Minute)
	now := hour.now.UTC().Truncate(time.Millisecond)
	keys := map[string]func(Deleted) string{
		"id": func(d Deleted) string { return fmt.Sprintf("%09d", d.ID) }, "object": func(d Deleted) string { return d.Object },
		"owner": func(d Deleted) string { return d.Owner }, "at": func(d Deleted) string { return d.At.Format(time.RFC3339Nano) },
		"until": func(d Deleted) string { return d.Until.Format(time.RFC3339Nano) }, "used": func(d Deleted) string { return fmt.Sprintf("%020d", d.Used) },
		"mailboxes": func(d Deleted) string { return fmt.Sprintf("%09d", d.Count) },
	}
	if len(keys) != len(deletedSorts) {
		t.Errorf("%d columns in the test, %d in the list", len(keys), len(deletedSorts))
	}
	for column, key := range keys {
		for _, q := range []mail.Query{
			{Scope: mail.Scope{All: true}, Limit: 100}, {Scope: mail.Scope{All: true}, Limit: 7, Offset: 5, Desc: true},
			{Scope: mail.Scope{Owners: []string{"user2"}}, Limit: 5, Offset: 3}, {Scope: mail.Scope{}, Limit: 5},
			{Scope: mail.Scope{All: true}, Limit: 100, Name: "box@d3"}, {Scope: mail.Scope{All: true}, Limit: 5, Name: "%"},
		} {
			q.Sort = column
			var match []Deleted
			for _, d := range all {
				if q.Scope.Has(d.Owner) && d.State != MailRestoring && d.Until.After(now) && strings.Contains(d.Object, q.Name) {
					match = append(match, d)
				}
			}
			slices.SortFunc(match, func(a, b Deleted) int {
				c := cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a.ID, b.ID))
				if q.Desc {
					return -c
				}
				return c
			})
			want := slices.Clip(match[min(q.Offset, len(match)):min(q.Offset+q.Limit, len(match))])
			view(t, db, func(ctx context.Context, tx *Tx) error {
				got, total, err := tx.ListDeleted(ctx, q)
				if total != int64(len(match)) || len(want)+len(got) > 0 && !gocmp.Equal(want, got, mailboxes) {
					t.Errorf("%+v: %d in all, want %d (-want +got):\n%s", q, total, len(match), gocmp.Diff(want, got, mailboxes))
				}
				return err
			})
		}
	}
}
