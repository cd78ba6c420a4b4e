// Package authority runs a real certificate authority that speaks ACME (Pebble) inside
// of a test: it asks a real name server, looks at a real web server, and can be stood
// in the way of.
package authority

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Identity is what CAA records call the authority.
const Identity = "authority.test"

// Options say what an authority is.
type Options struct {
	Resolver netip.AddrPort // that it asks
	HTTP     int            // port that it looks for proofs at; 0: none is there
	EAB      string         // key that accounts must be tied by, base64url; its name is "customer"; empty: none
	Valid    uint64         // seconds that its certificates are valid for; 0: 90 days
}

// An Authority is one that runs until the end of the test.
type Authority struct {
	Roots *x509.CertPool // that it is trusted by
	Store *db.MemoryStore

	server *httptest.Server

	mu      sync.Mutex
	between Between
	asked   map[string]int
}

// A Between answers in the authority's place, or passes on to it.
type Between func(w http.ResponseWriter, r *http.Request, next http.Handler)

// prepare sets what Pebble reads when it is started: it is to look at once, to refuse no
// nonce, and to have every proof count once.
var prepare = sync.OnceValue(func() error {
	for name, value := range map[string]string{
		"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_VA_ALWAYS_VALID": "0",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
})

// Start starts one.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	if o.Valid == 0 {
		o.Valid = 90 * 86400
	}
	if o.HTTP == 0 {
		o.HTTP = 1
	}
	a := &Authority{Roots: x509.NewCertPool(), Store: db.NewMemoryStore(), asked: map[string]int{}}
	if o.EAB != "" {
		if err := a.Store.AddExternalAccountKeyByID("customer", o.EAB); err != nil {
			t.Fatal(err)
		}
	}
	silent := log.New(io.Discard, "", 0)
	issuer := ca.New(silent, a.Store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: o.Valid}})
	looks := va.New(silent, o.HTTP, 1, false, o.Resolver.String(), a.Store)
	front := wfe.New(silent, a.Store, looks, issuer, []string{Identity}, false, o.EAB != "", 0, 0)
	next := front.Handler()
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		between := a.between
		a.asked[strings.Split(r.URL.Path, "/")[1]]++
		a.mu.Unlock()
		if between != nil {
			between(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	a.server.Config.ErrorLog = silent
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	a.Roots.AddCert(a.server.Certificate())
	return a
}

// URL is the address of its directory.
func (a *Authority) URL() string { return a.server.URL + "/dir" }

// RootFile is a file that it is trusted by, for a program's SSL_CERT_FILE.
func (a *Authority) RootFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Stand puts something between its clients and the authority; nil takes it away.
func (a *Authority) Stand(between Between) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.between = between
}

// Asked is how many requests came for a path, by its first element: "order-plz" are
// new orders, "finalize-order" the calls to sign, "chalZ" those to look.
func (a *Authority) Asked(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

// Orders are the states of the orders of an account, by its address.
func (a *Authority) Orders(account string) []string {
	var states []string
	for _, o := range a.Store.GetOrdersByAccountID(account[strings.LastIndexByte(account, '/')+1:]) {
		o.RLock()
		states = append(states, o.Status)
		o.RUnlock()
	}
	return states
}

// Down answers as an authority that is out of order.
func Down(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "bad gateway", http.StatusBadGateway)
}
