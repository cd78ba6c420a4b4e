package tests

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to look into the audit table

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/world"
)

const kills = 100

// A client changes domains of its own, one call after the other, and remembers
// what it was told.
type client struct {
	w      *world.World
	name   string
	random *rand.Rand
	told   map[string]domain // as last answered
	unsure map[string]domain // what an unanswered call may have made of it
	n      int
	calls  int
}

// A domain as far as the test changes it; the zero domain is none.
type domain struct{ action, active, secure string }

// once makes one change of a random kind.
func (c *client) once(ctx context.Context) error {
	c.calls++
	var name string
	for n := range c.told { // the order of a map is random enough
		name = n
		break
	}
	kind := c.random.IntN(6)
	if name == "" || len(c.told) < 4 {
		kind = 0
	}
	var args []string
	function, want := "emaildomain.edit", c.told[name]
	switch kind {
	case 0:
		c.n++
		name = fmt.Sprintf("%s-%d.example", c.name, c.n)
		args, want = []string{"name", name, "sok", "ok"}, domain{"error", "on", "off"}
	case 1:
		args = []string{"elid", name, "defaction", "ignore", "sok", "ok"}
		want.action = "ignore"
	case 2:
		function, args = "emaildomain.suspend", []string{"elid", name}
		want.active = "off"
	case 3:
		function, args = "emaildomain.resume", []string{"elid", name}
		want.active = "on"
	case 4:
		function, args, want = "emaildomain.delete", []string{"elid", name}, domain{}
	case 5:
		want.secure = map[string]string{"off": "on", "on": "off"}[want.secure]
		args = []string{"elid", name, "secure", want.secure, "sok", "ok"}
	}
	a, err := c.w.Call(ctx, "user1", function, args...)
	switch {
	case err != nil:
		return err
	case a.OK && want == (domain{}):
		delete(c.told, name)
	case a.OK:
		c.told[name] = want
	case a.Error == "unavailable(func)", a.Error == "unavailable(module)":
		// The core gave up repeating: it may have happened, or not.
		c.unsure[name] = want
	default:
		return fmt.Errorf("%s %q: %s %s", function, args, a.Error, a.Msg)
	}
	return nil
}

// Files equal the database after every kill, every answered change is there, and
// none is there twice.
func TestKilledAtAnyMomentNothingIsLostOrDoubled(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain")
	db, err := store.Open(t.Context(), filepath.Join(w.Root, files.Debian.State, "maildomain.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	clients := make([]*client, 4)
	for i := range clients {
		clients[i] = &client{w: w, name: fmt.Sprintf("c%d", i), random: rand.New(rand.NewPCG(seed, uint64(i+1))),
			told: map[string]domain{}, unsure: map[string]domain{}}
	}
	for round := range kills {
		killed := make(chan struct{})
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				for {
					if err := c.once(t.Context()); err != nil {
						t.Error(err)
						return
					}
					select {
					case <-killed:
						return
					default:
					}
				}
			})
		}
		// The moment is what the test is about: there is nothing to wait for.
		time.Sleep(time.Duration(random.IntN(40_000)) * time.Microsecond)
		if pid := w.ModulePID(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatalf("kill the module: %v", err)
			}
		}
		close(killed)
		wg.Wait()
		w.Must(t, "user1", "emaildomain") // it runs again
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		settle(t, db, clients)
		same(t, w.Root, db)
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	calls := 0
	for _, c := range clients {
		calls += c.calls
	}
	t.Logf("%d calls, %d kills", calls, kills)
	once(t, w.Root)
}

// settle compares what clients were told with the database. Where they were told
// nothing, what the database says holds from now on, if it is the one or the other.
func settle(t *testing.T, db *store.DB, clients []*client) {
	t.Helper()
	have := map[string]domain{}
	err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Domains(ctx, func(d mail.Domain) error {
			have[d.Name.String()] = domain{string(d.Defaction), mail.Flag(d.Active), mail.Flag(d.Secure)}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		for name, maybe := range c.unsure {
			if have[name] != maybe {
				continue
			}
			if c.told[name] = maybe; maybe == (domain{}) {
				delete(c.told, name)
			}
		}
		clear(c.unsure)
		for name, want := range c.told {
			if have[name] != want {
				t.Errorf("%s is %q, and was answered to be %q", name, have[name], want)
			}
			delete(have, name)
		}
	}
	for name, is := range have {
		t.Errorf("%s is %q, and nobody was told so", name, is)
	}
}

// same compares every file with the database.
func same(t *testing.T, root string, db *store.DB) {
	t.Helper()
	l := files.Debian
	want, secure := map[string]string{}, []string{}
	err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Domains(ctx, func(d mail.Domain) error {
			f, err := l.DomainFile(d)
			want[d.Name.String()] = string(f.Body)
			if d.Secure {
				secure = append(secure, d.SecureAlias[0].String())
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(secure)
	if got := listed(t, root); !slices.Equal(got, secure) {
		t.Errorf("Dovecot is to show certificates for %q, and the database says %q", got, secure)
	}
	entries, err := os.ReadDir(filepath.Join(root, l.Domains()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(root, l.Domains(), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if w, is := want[e.Name()]; !is || string(b) != w {
			t.Errorf("%s holds\n%s\nand the database says\n%s", e.Name(), b, w)
		}
		delete(want, e.Name())
	}
	for name := range want {
		t.Errorf("%s has no file", name)
	}
	left, err := filepath.Glob(filepath.Join(root, l.Exim, "maildomain.stage", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the stage holds %q, %v", left, err)
	}
}

// block is a certificate in Dovecot's list.
var block = regexp.MustCompile(`local_name "([^"]+)" \{\n  ssl_cert = <(.+)\n  ssl_key = <(.+)\n`)

// listed are the names in Dovecot's list of certificates. Each is there with its key.
func listed(t *testing.T, root string) (names []string) {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join(root, files.Debian.CertsConf()))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range block.FindAllStringSubmatch(string(conf), -1) {
		names = append(names, b[1])
		pair, err := tls.LoadX509KeyPair(filepath.Join(root, b[2]), filepath.Join(root, b[3]))
		if err != nil {
			t.Errorf("the certificate for %s: %v", b[1], err)
		} else if err := pair.Leaf.VerifyHostname(b[1]); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(names)
	return names
}

// once holds every request to one line of the audit table an object.
func once(t *testing.T, root string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, files.Debian.State, "maildomain.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var lines, twice int
	if err := db.QueryRow(`SELECT count(*), coalesce(sum(n > 1), 0) FROM (SELECT count(*) AS n FROM audit GROUP BY request_id, object)`).Scan(&lines, &twice); err != nil {
		t.Fatal(err)
	}
	if twice > 0 || lines == 0 {
		t.Errorf("of %d changes, %d were carried out more than once", lines, twice)
	}
}
