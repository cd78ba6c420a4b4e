package module

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

	mu    sync.Mutex
	now   time.Time
	still bool // it does not go by itself
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
	if !w.still {
		w.now = w.now.Add(time.Second)
	}
	return w.now
}

// stand stops the clock.
func (w *world) stand() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still = true
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
		case "secure_alias":
			e.SecureAlias = &v
		case "ssl_name":
			e.SSLName = &v
		case "ssl_challenge":
			e.SSLChallenge = &v
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
