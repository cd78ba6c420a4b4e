package module

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/authority"
	"maildomain/tests/nameserver"
)

// An ordering is a world that orders certificates: of a real ACME server, which asks a
// real name server and looks at a real web server.
type ordering struct {
	*named
	ca       *authority.Authority
	web      *proofWeb
	resolver *nameserver.Server // that the authority asks

	dead *atomic.Bool // the module that runs: nobody hears it any more
}

// topZone is the zone above those of the tests: who climbs for CAA ends there.
const topZone = "example\nhost NS ns.host.example.\nns.host A 192.0.2.53\n"

// newOrdering serves zones beside a.example, which is empty but for www.
func newOrdering(t *testing.T, zones ...string) *ordering {
	t.Helper()
	t.Parallel() // they wait for servers most of the time
	if !slices.ContainsFunc(zones, func(z string) bool { return strings.HasPrefix(z, "a.example") }) {
		zones = append(zones, "a.example")
	}
	o := &ordering{named: newNamed(t, append(zones, topZone)...), web: startProofWeb(t), dead: new(atomic.Bool)}
	o.resolver = nameserver.Start(t, nameserver.Options{Forward: o.bind.Addr()})
	o.ca = authority.Start(t, authority.Options{Resolver: o.resolver.Addr(), HTTP: o.web.port()})
	o.people.params.ServerIPs = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	o.now = time.Now().UTC()
	o.join(t, o.world)
	o.set(t, "acme_directory", o.ca.URL())
	return o
}

// join has a world order of the authority, and its panel show proofs.
func (o *ordering) join(t *testing.T, w *world) {
	t.Helper()
	dead := o.dead
	o.over(t, w)
	dial := w.dial
	w.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dead.Load() {
			return nil, errDead
		}
		return dial(ctx, network, address)
	}
	w.orders.roots = o.ca.Roots
	w.orders.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dead.Load() {
			return nil, errDead
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	w.orders.reach = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, o.web.server.Listener.Addr().String())
	}
	w.panel.HTTP01 = func(ctx context.Context, put bool, token, text string) error {
		if dead.Load() {
			return errDead
		}
		return o.web.take(ctx, put, token, text)
	}
}

var errDead = errors.New("that module is dead")

// crash has what a module does end in an instant: nothing that it does from then on is
// seen by anybody. What it left is returned: a world over a copy of all of it.
func (o *ordering) crash(t *testing.T) *world {
	dir := o.dirCopy(t)
	o.dead.Store(true)
	return &world{dir: dir}
}

// dirCopy is a copy of all that the world has, as it is.
func (o *ordering) dirCopy(t *testing.T) string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(o.dir)); err != nil {
		t.Error(err)
	}
	return dir
}

// again goes on with what a crash left.
func (o *ordering) again(t *testing.T, left *world) {
	t.Helper()
	o.mu.Lock()
	now := o.now
	o.mu.Unlock()
	w := emptyWorld(t, left.dir)
	w.people, w.panel, w.now = o.people, o.people.panel(), now
	o.named = &named{world: w, bind: o.bind}
	o.dead = new(atomic.Bool)
	o.join(t, w)
	reconcile(t, w)
}

// letsencrypt is a domain with a certificate of the authority.
func (o *ordering) letsencrypt(t *testing.T, name string, pairs ...string) {
	t.Helper()
	e := dnsEdit(append([]string{"name", name, "secure", "on", "ssl_name", "letsencrypt"}, pairs...)...)
	if _, err := o.AddDomain(t.Context(), as("user1"), e); err != nil {
		t.Fatal(err)
	}
}

// order works off what is due.
func (o *ordering) order(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := o.Orders(ctx); err != nil {
		t.Fatal(err)
	}
}

// row is the order for a domain; nil where there is none.
func (o *ordering) row(t testing.TB, name string) (row *store.OrderRow) {
	t.Helper()
	o.read(t, func(ctx context.Context, tx *store.Tx) error {
		r, found, err := tx.Order(ctx, name)
		if found {
			row = &r
		}
		return err
	})
	return row
}

func (o *ordering) read(t testing.TB, f func(context.Context, *store.Tx) error) {
	t.Helper()
	if err := o.db.View(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func (o *ordering) certificate(t testing.TB, name string) (c store.CertificateRow) {
	t.Helper()
	o.read(t, func(ctx context.Context, tx *store.Tx) (err error) {
		c, _, err = tx.Certificate(ctx, name)
		return err
	})
	return c
}

func (o *ordering) counts(t testing.TB, names ...string) (c store.OrderCounts) {
	t.Helper()
	var ns []mail.Name
	for _, n := range names {
		ns = append(ns, mail.StoredName(n))
	}
	o.read(t, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = tx.OrderCounts(ctx, o.ca.URL(), ns)
		return err
	})
	return c
}

// has holds that a domain shows a certificate of the authority for these names, and has
// no order.
func (o *ordering) has(t *testing.T, name string, want ...string) store.CertificateRow {
	t.Helper()
	if row := o.row(t, name); row != nil {
		t.Fatalf("the order stands: %+v\n%s", *row, o.log)
	}
	c := o.certificate(t, name)
	_, chain, err := mail.ParseCertificate(c.Chain, c.Key, time.Now())
	if err != nil {
		t.Fatalf("%v\n%s", err, o.log)
	}
	if slices.Sort(chain.Names); c.Source != mail.LetsEncrypt || chain.SelfSigned || !slices.Equal(chain.Names, want) {
		t.Errorf("%s: %s for %q, self-signed %v", name, c.Source, chain.Names, chain.SelfSigned)
	}
	if !c.Renew.After(o.db.Now()) || !c.Renew.Before(c.Expire) {
		t.Errorf("to be renewed at %v, ends at %v", c.Renew, c.Expire)
	}
	if name != mail.ServerCertificate {
		o.served(t, c, want)
	}
	o.clean(t)
	return c
}

// served holds that Exim and Dovecot read just that certificate for these names.
func (o *ordering) served(t *testing.T, c store.CertificateRow, names []string) {
	t.Helper()
	for _, n := range names {
		at := o.sni(t, n)
		if at == "" {
			t.Errorf("%s is shown nothing of its own", n)
		}
		if at != c.Name { // another domain has a certificate for the same name
			continue
		}
		for _, dir := range []string{"etc/exim4/ssl", "etc/dovecot/certs"} {
			for ending, want := range map[string][]byte{".crt": c.Chain, ".key": c.Key} {
				b, err := os.ReadFile(filepath.Join(o.dir, dir, at+ending))
				if err != nil || !bytes.Contains(b, bytes.TrimSpace(want)) {
					t.Errorf("%s/%s%s for %s is another: %v", dir, at, ending, n, err)
				}
			}
		}
	}
}

// clean holds that no proof is left anywhere.
func (o *ordering) clean(t *testing.T) {
	t.Helper()
	if n := o.web.left(); n > 0 {
		t.Errorf("%d proofs are left at the web server", n)
	}
	o.read(t, func(ctx context.Context, tx *store.Tx) error {
		stand, err := tx.Proofs(ctx)
		if len(stand) > 0 {
			t.Errorf("records of proofs stand: %v", stand)
		}
		return err
	})
}

// waits holds that an order waits, and why; it is returned.
func (o *ordering) waits(t *testing.T, name, kind, text string) store.OrderRow {
	t.Helper()
	row := o.row(t, name)
	if row == nil || row.Kind != kind || row.Text != text || !row.Due.After(o.now) || row.Step != "" {
		t.Fatalf("%+v, want %s, %s\n%s", row, kind, text, o.log)
	}
	if c := o.certificate(t, name); len(c.Chain) == 0 {
		t.Error("nothing is shown meanwhile")
	}
	o.clean(t)
	return *row
}

// account is the address of the one account.
func (o *ordering) account(t testing.TB) string {
	t.Helper()
	var a store.AccountRow
	o.read(t, func(ctx context.Context, tx *store.Tx) (err error) {
		a, _, err = tx.Account(ctx, o.ca.URL())
		return err
	})
	return a.URL
}

// forgetAccount has the next order open an account.
func (o *ordering) forgetAccount(t *testing.T) {
	t.Helper()
	k, err := mail.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	err = o.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.PutAccount(ctx, store.AccountRow{Directory: o.ca.URL(), Key: k})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ordered holds how many orders there were at the authority.
func (o *ordering) ordered(t *testing.T, want int) {
	t.Helper()
	if got := o.ca.Orders(o.account(t)); len(got) != want {
		t.Errorf("%d orders at the authority, want %d: %q\n%s", len(got), want, got, o.log)
	}
}

// A proofWeb is the web server that the panel has show proofs.
type proofWeb struct {
	server *httptest.Server

	mu     sync.Mutex
	proofs map[string]string
	wrong  bool // it shows something else
	puts   int
}

func startProofWeb(t *testing.T) *proofWeb {
	w := &proofWeb{proofs: map[string]string{}}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		token, is := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		if text, stands := w.proofs[token]; is && stands && !w.wrong {
			_, _ = io.WriteString(rw, text)
			return
		}
		http.NotFound(rw, r)
	}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *proofWeb) port() int { return w.server.Listener.Addr().(*net.TCPAddr).Port }

func (w *proofWeb) take(_ context.Context, put bool, token, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !put {
		delete(w.proofs, token)
		return nil
	}
	w.puts++
	if !strings.HasPrefix(text, token+".") {
		return errors.New("that is no key authorization")
	}
	w.proofs[token] = text
	return nil
}

func (w *proofWeb) show(right bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = !right
}

func (w *proofWeb) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.proofs)
}
