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
