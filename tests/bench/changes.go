package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the floor

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/world"
)

const (
	creates     = 400 // a figure
	callers     = 64
	floorEvery  = 4 // creates between two measurements of the floor
	pageRows    = 50
	pageRepeats = 30
)

// changes measures creates at growing numbers of domains, callers together, and
// pages of the list.
func changes(ctx context.Context, bin string) (err error) {
	data, err := os.MkdirTemp("", "maildomain-bench-data-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	w, err := world.Open(world.Options{Data: data, Bin: bin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	floor, err := newFloor(filepath.Join(data, "floor"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.close()) }()

	var smallest time.Duration
	have := 0
	for _, n := range []int{10, 10_000, 100_000} {
		if err := fill(ctx, w, have, n); err != nil {
			return fmt.Errorf("fill up to %d: %w", n, err)
		}
		have = n
		one, base, err := single(ctx, w, floor, n)
		if err != nil {
			return err
		}
		ratio := ms(one) / ms(base)
		row(fmt.Sprintf("create over HTTP at %d domains, median", n), ratio, 4, "x",
			fmt.Sprintf("%.2f ms; floor (a FULL commit, a file renamed) %.2f ms", ms(one), ms(base)))
		if smallest == 0 {
			smallest = one
		} else {
			row("  against 10 domains", ms(one)/ms(smallest), 1.2, "x", "")
		}
	}
	alone, err := throughput(ctx, w, 1)
	if err != nil {
		return err
	}
	together, err := throughput(ctx, w, callers)
	if err != nil {
		return err
	}
	atLeast(fmt.Sprintf("throughput of %d callers against one", callers), together/alone, 3, fmt.Sprintf("%.0f/s against %.0f/s", together, alone))
	if err := w.Stop(); err != nil {
		return err
	}
	return pages(ctx, w)
}

// single is the median time of a create and of the floor, measured by turns.
func single(ctx context.Context, w *world.World, f *floor, n int) (one, base time.Duration, err error) {
	var creating, floors []time.Duration
	for i := range creates {
		start := time.Now()
		if err := create(ctx, w, fmt.Sprintf("single-%d-%d.example", n, i)); err != nil {
			return 0, 0, err
		}
		if i >= creates/10 { // the first are to warm up
			creating = append(creating, time.Since(start))
		}
		if i%floorEvery == 0 {
			start := time.Now()
			if err := f.once(); err != nil {
				return 0, 0, err
			}
			floors = append(floors, time.Since(start))
		}
	}
	return median(creating), median(floors), nil
}

func create(ctx context.Context, w *world.World, name string) error {
	a, err := w.Call(ctx, "user1", "emaildomain.edit", "name", name, "defaction", "redirect", "redirval", "me@example.net", "sok", "ok")
	if err == nil && !a.OK {
		err = fmt.Errorf("create %s: %s %s", name, a.Error, a.Msg)
	}
	return err
}

var batch atomic.Int64

// throughput is how many creates a second n callers have done together.
func throughput(ctx context.Context, w *world.World, n int) (float64, error) {
	const long = 4 * time.Second
	b := batch.Add(1)
	var done atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, n)
	start := time.Now()
	for c := range n {
		wg.Go(func() {
			for i := 0; time.Since(start) < long; i++ {
				if err := create(ctx, w, fmt.Sprintf("t%d-%d-%d.example", b, c, i)); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(done.Load()) / time.Since(start).Seconds(), nil
	}
}

// A floor is the least that a durable change can cost: a commit with
// synchronous=FULL and one small file, created and renamed.
type floor struct {
	dir string
	db  *sql.DB
	n   int
}

func newFloor(dir string) (*floor, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE t (name TEXT PRIMARY KEY, value TEXT) STRICT`)
	return &floor{dir: dir, db: db}, err
}

func (f *floor) once() error {
	f.n++
	if _, err := f.db.Exec(`INSERT INTO t VALUES (?, ?)`, fmt.Sprint(rand.Uint64()), "a value of some length, as a row has"); err != nil {
		return err
	}
	tmp := filepath.Join(f.dir, "new")
	if err := os.WriteFile(tmp, make([]byte, 200), 0o640); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(f.dir, fmt.Sprint(f.n)))
}

func (f *floor) close() error { return f.db.Close() }

// fill brings a world from have to want domains, written to the database and made
// files by reconcile.
func fill(ctx context.Context, w *world.World, have, want int) error {
	if err := w.Stop(); err != nil {
		return err
	}
	db, err := store.Open(ctx, filepath.Join(w.Root, files.Debian.State, "maildomain.db"), time.Now)
	if err != nil {
		return err
	}
	err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := have; i < want; i++ {
			n, err := mail.ParseName(fmt.Sprintf("%08x-%d.example", rand.Uint32(), i))
			if err != nil {
				return err
			}
			d := mail.NewDomain(n, fmt.Sprintf("owner%d", i%500))
			d.Active, d.DKIM, d.Greylist = i%7 != 0, i%2 == 0, i%3 == 0
			if i%100 == 0 {
				d.IP = netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + i/100%2)})
			}
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	start := time.Now()
	if out, err := exec.CommandContext(ctx, w.Program("maildomain"), "reconcile", "--root", w.Root).CombinedOutput(); err != nil {
		return fmt.Errorf("reconcile: %w: %.2000s", err, out)
	}
	fmt.Printf("(reconcile wrote the files of %d domains in %.1f s)\n", want-have, time.Since(start).Seconds())
	return w.Run()
}

// pages measures pages of the list in the module itself.
func pages(ctx context.Context, w *world.World) (err error) {
	db, err := store.Open(ctx, filepath.Join(w.Root, files.Debian.State, "maildomain.db"), time.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tree, err := files.OpenTree(w.Root, files.Debian)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	m := module.New(db, tree, module.Panel{}, zerolog.Nop())
	admin := module.Actor{User: "admin", Level: mail.LevelAdmin}
	ask := func(q mail.Query) (time.Duration, error) {
		q.Limit = pageRows
		return sample(pageRepeats, func(int) error {
			_, _, err := m.ListDomains(ctx, admin, q)
			return err
		})
	}
	base, err := ask(mail.Query{Sort: "name"})
	if err != nil {
		return err
	}
	var worst time.Duration
	var where string
	for _, column := range []string{"name", "name_idn", "owner", "ip", "active", "defaction", "redirval",
		"greylist", "spamassassin", "avcheck", "dkim", "dmarc", "secure"} {
		for _, q := range []mail.Query{{Sort: column}, {Sort: column, Desc: true}, {Sort: column, Offset: 49_950}, {Sort: column, Offset: 25_000, Desc: true}} {
			d, err := ask(q)
			if err != nil {
				return err
			}
			if d > worst {
				worst, where = d, fmt.Sprintf("sorted by %s from row %d", column, q.Offset)
			}
		}
	}
	row("page of 50 at 100,000 domains, worst of all columns", ms(worst), 5, "ms",
		fmt.Sprintf("%s; floor (first page by name) %.2f ms, ratio %.1f", where, ms(base), ms(worst)/ms(base)))
	for _, part := range []string{"abcd", "ab", "example"} {
		d, err := ask(mail.Query{Sort: "name", Name: part})
		if err != nil {
			return err
		}
		row(fmt.Sprintf("name filter %q at 100,000 domains", part), ms(d), 30, "ms", fmt.Sprintf("ratio to the floor %.1f", ms(d)/ms(base)))
	}
	return nil
}
