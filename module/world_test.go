package module

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A world is a module over a real database and a real tree, and the people that
// its panel knows.
type world struct {
	*Module
	dir    string
	db     *store.DB
	people *people
	log    *logged

	mu  sync.Mutex
	now time.Time
}

// newWorld is a world in which nothing was ever changed, with every file in place.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := emptyWorld(t, t.TempDir())
	reconcile(t, w)
	return w
}

// emptyWorld is a module over what stands in dir, not started.
func emptyWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{dir: dir, people: everyone(), log: &logged{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	tree, err := files.OpenTree(dir, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	w.db, err = store.Open(context.Background(), filepath.Join(dir, files.Debian.State, "maildomain.db"), w.tick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	w.Module = New(w.db, tree, w.people.panel(), zerolog.New(w.log))
	return w
}

// tick is the clock: a second between any two instants.
func (w *world) tick() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Second)
	return w.now
}

// logged is what a module logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// people are the users of a panel.
type people struct {
	mu     sync.Mutex
	users  map[string]mail.User
	params mail.Params
	fault  error             // of every question
	asked  func(name string) // before a user is looked up
}

func everyone() *people {
	one, two, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	p := &people{
		users:  map[string]mail.User{},
		params: mail.Params{MailHost: "mx.host.example", Forbidden: []string{"local", "bank.example"}, ServerIPs: []netip.Addr{one, two, six}},
	}
	for _, u := range []mail.User{
		{Name: "admin", Level: mail.LevelAdmin, IPs: []netip.Addr{one, two, six}},
		{Name: "reseller1", Level: mail.LevelReseller, Parent: "admin", IPs: []netip.Addr{one}},
		{Name: "reseller2", Level: mail.LevelReseller, Parent: "admin", IPs: []netip.Addr{one}},
		{Name: "user1", Level: mail.LevelUser, Parent: "reseller1", IPs: []netip.Addr{one, two, six}},
		{Name: "user2", Level: mail.LevelUser, Parent: "reseller1", IPs: []netip.Addr{one}},
		{Name: "user3", Level: mail.LevelUser, Parent: "admin", IPs: []netip.Addr{one}, Limits: map[string]int64{"emaildomains": 3, "ssl": 0}},
		{Name: "user4", Level: mail.LevelUser, Parent: "reseller2", IPs: []netip.Addr{one}},
	} {
		u.Active = true
		p.users[u.Name] = u
	}
	return p
}

func (p *people) panel() Panel {
	return Panel{
		User: func(_ context.Context, name string) (mail.User, bool, error) {
			if p.asked != nil {
				p.asked(name)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			u, found := p.users[name]
			return u, found, p.fault
		},
		UsersOf: func(_ context.Context, parent string) ([]mail.User, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			var of []mail.User
			for _, u := range p.users {
				if parent == "" || u.Parent == parent {
					of = append(of, u)
				}
			}
			return of, p.fault
		},
		Params: func(context.Context) (mail.Params, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.params, p.fault
		},
	}
}

func (p *people) set(u mail.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.Name] = u
}

func (p *people) remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, name)
}

// as is an actor by the name of one of everyone.
func as(name string) Actor {
	u, found := everyone().users[name]
	if !found {
		panic("nobody is called " + name)
	}
	return Actor{User: name, Level: u.Level, Lang: "en"}
}

func (a Actor) request(id string) Actor {
	a.RequestID = id
	return a
}

func ptr[T any](v T) *T { return &v }

// edit makes an edit of a few settings, by the names of the form.
func edit(pairs ...string) mail.DomainEdit {
	var e mail.DomainEdit
	for i := 0; i < len(pairs); i += 2 {
		v := pairs[i+1]
		switch pairs[i] {
		case "name":
			e.Name = v
		case "owner":
			e.Owner = &v
		case "ip":
			e.IP = &v
		case "defaction":
			e.Defaction = &v
		case "redirval":
			e.Redirval = &v
		case "greylist":
			e.Greylist = ptr(v == "on")
		case "secure":
			e.Secure = ptr(v == "on")
		default:
			panic("no setting " + pairs[i])
		}
	}
	return e
}

func forward(name, to string) mail.DomainEdit {
	return edit("name", name, "defaction", "redirdomain", "redirval", to)
}

// add makes domains with the settings of new ones, each "name" or "name=redirdomain target".
func add(t rapid.TB, w *world, by Actor, names ...string) {
	t.Helper()
	for _, n := range names {
		e := edit("name", n)
		if n, to, ok := strings.Cut(n, "="); ok {
			e = forward(n, to)
		}
		if _, err := w.AddDomain(context.Background(), by, e); err != nil {
			t.Fatalf("add %s: %v", n, err)
		}
	}
}

func change(t testing.TB, w *world, by Actor, elid string, e mail.DomainEdit) {
	t.Helper()
	if _, err := w.EditDomain(context.Background(), by, elid, e); err != nil {
		t.Fatalf("edit %s: %v", elid, err)
	}
}

// all expects a group operation to do every one of its objects.
func all(t testing.TB, done []Outcome, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range done {
		if o.Err != nil {
			t.Errorf("%s: %v", o.Elid, o.Err)
		}
	}
}

func domainOf(t testing.TB, w *world, name string) mail.Domain {
	t.Helper()
	n, err := mail.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	var d mail.Domain
	err = w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		var found bool
		d, found, err = tx.Domain(ctx, n)
		if err == nil && !found {
			err = errors.New("there is none")
		}
		return err
	})
	if err != nil {
		t.Fatalf("domain %s: %v", name, err)
	}
	return d
}

// history are the changes of an object, oldest first.
func history(t testing.TB, w *world, object string) (changes []store.Change) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.History(ctx, object, 1000, func(_ time.Time, c store.Change) error {
			changes = append(changes, c)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(changes)
	return changes
}

func revision(t testing.TB, w *world) int64 {
	t.Helper()
	h, err := w.Health(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h.Revision
}

// standing is every file below Exim's directory, the stage left out, by its path:
// mode and content.
func standing(t rapid.TB, w *world) map[string]string {
	t.Helper()
	got := map[string]string{}
	top := filepath.Join(w.dir, files.Debian.Exim)
	err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "maildomain.stage":
			left, err := os.ReadDir(p)
			if err != nil || len(left) > 0 {
				t.Errorf("left in the stage: %v, %v", left, err)
			}
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		i, err := e.Info()
		if err != nil {
			return err
		}
		text := i.Mode().String() + " "
		if i.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += string(b)
		}
		rel, err := filepath.Rel(top, p)
		got[rel] = text
		return err
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return got
}

// checkFollows holds the files against the database, without the code that does so
// in the module.
func checkFollows(t rapid.TB, w *world) {
	t.Helper()
	want := map[string]string{}
	put := func(f files.File, err error) error {
		if err == nil {
			want[strings.TrimPrefix(f.Path, files.Debian.Exim+"/")] = "-rw-r----- " + string(f.Body)
		}
		return err
	}
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		ips, err := tx.SourceIPs(ctx)
		if err != nil {
			return err
		}
		if err := put(files.Debian.DomainIPsFile(ips)); err != nil {
			return err
		}
		return tx.Domains(ctx, func(d mail.Domain) error { return put(files.Debian.DomainFile(d)) })
	})
	if err != nil {
		t.Fatalf("read the database: %v", err)
	}
	got := standing(t, w)
	delete(got, "maildomain.ready")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files do not follow the database (-want +got):\n%s", diff)
	}
}

// reconcile is Reconcile where it has to succeed, and its findings as one reads them.
func reconcile(t testing.TB, w *world) []string {
	t.Helper()
	repairs, err := w.Reconcile(context.Background())
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	return said(repairs)
}

func said(repairs []Repair) []string {
	var s []string
	for _, r := range repairs {
		s = append(s, strings.TrimPrefix(r.Path, files.Debian.Exim+"/")+": "+r.Said())
	}
	slices.Sort(s)
	return s
}

func isReady(t testing.TB, w *world) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(w.dir, files.Debian.Ready()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// settingsOf is the path of a domain's settings file.
func (w *world) settingsOf(name string) string {
	return filepath.Join(w.dir, files.Debian.Domains(), name)
}

// checkError holds err against the kind, field and sentence that it is to have; an
// empty kind means no error.
func checkError(t testing.TB, what string, err error, kind mail.Kind, field, text string) {
	t.Helper()
	if kind == "" {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	e, ok := errors.AsType[*mail.Error](err)
	if !ok || e.Kind != kind || e.Field != field || e.Text != text {
		t.Errorf("%s: %v, want %s(%s): %s", what, err, kind, field, text)
	}
}

func stateOf(t testing.TB, w *world) (s store.State) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = tx.State(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
