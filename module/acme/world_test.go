package acme_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/tests/nameserver"
)

// Pebble reads these when it starts: it is to look at once, and to refuse no nonce
// but where a test asks for it. A proof counts once.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_VA_ALWAYS_VALID": "0",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// A world is a real ACME server that asks a real name server and looks at a real
// web server, and a way to stand between it and us.
type world struct {
	t      *testing.T
	dir    acme.Directory
	orders *db.MemoryStore
	dns    *nameserver.Server
	web    *web

	mu      sync.Mutex
	between func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: nothing
	asked   map[string]int                                                  // by the first element of the path
}

const identity = "authority.test"

const records = `
@ IN NS ns
ns IN A 127.0.0.1
mail IN A 127.0.0.1
imap IN A 127.0.0.1
nowhere IN A 127.0.0.77
_acme-challenge.delegated IN CNAME delegated.acme.zone.example.
_acme-challenge.round IN CNAME _acme-challenge.round
only-us IN CAA 0 issue "authority.test"
only-others IN CAA 0 issue "other.test"
`

type options struct{ eab string }

func start(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, orders: db.NewMemoryStore(), web: startWeb(t), asked: map[string]int{}}
	w.dns = nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{
		{Name: "a.example", Records: records},
		{Name: "zone.example", Records: "@ IN NS ns\nns IN A 127.0.0.1\n"},
	}})
	quiet := log.New(io.Discard, "", 0)
	if o.eab != "" {
		if err := w.orders.AddExternalAccountKeyByID("customer", o.eab); err != nil {
			t.Fatal(err)
		}
	}
	issuer := ca.New(quiet, w.orders, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 90 * 86400}})
	resolver := nameserver.Start(t, nameserver.Options{Forward: w.dns.Addr()})
	looks := va.New(quiet, w.web.port, 1, false, resolver.Addr().String(), w.orders)
	front := wfe.New(quiet, w.orders, looks, issuer, []string{identity}, false, o.eab != "", 0, 0)
	next := front.Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		between := w.between
		w.asked[strings.Split(r.URL.Path, "/")[1]]++
		w.mu.Unlock()
		if between != nil {
			between(rw, r, next)
			return
		}
		next.ServeHTTP(rw, r)
	}))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	w.dir = acme.Directory{URL: s.URL + "/dir", Roots: roots}
	return w
}

// stand puts something between us and the authority; nil takes it away.
func (w *world) stand(between func(rw http.ResponseWriter, r *http.Request, next http.Handler)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = between
}

func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[what]
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) account() acme.Account {
	w.t.Helper()
	a, err := w.dir.Register(w.ctx(), key(w.t), mail.Address{})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func key(t *testing.T) []byte {
	t.Helper()
	k, err := mail.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func names(t *testing.T, ss ...string) []mail.Name {
	t.Helper()
	ns := make([]mail.Name, len(ss))
	for i, s := range ss {
		n, err := mail.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		ns[i] = n
	}
	return ns
}

// A web is the web server that the authority looks at.
type web struct {
	port int

	mu     sync.Mutex
	proofs map[string]string
	most   int // proofs that stood at once
}

func startWeb(t *testing.T) *web {
	t.Helper()
	w := &web{proofs: map[string]string{}}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		token, is := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		if text, stands := w.proofs[token]; is && stands {
			_, _ = io.WriteString(rw, text)
			return
		}
		http.NotFound(rw, r)
	}))
	t.Cleanup(s.Close)
	w.port = int(netip.MustParseAddrPort(s.Listener.Addr().(*net.TCPAddr).String()).Port())
	return w
}

func (w *web) solver() acme.HTTP {
	return acme.HTTP{
		Put: func(_ context.Context, token, text string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.proofs[token] = text
			w.most = max(w.most, len(w.proofs))
			return nil
		},
		Remove: func(_ context.Context, token string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.proofs, token)
			return nil
		},
	}
}

func (w *web) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.proofs)
}

// solver proves in the DNS, by updates that BIND takes (RFC 2136).
func (w *world) solver() acme.DNS {
	return acme.DNS{
		Put:    func(ctx context.Context, r mail.Record) error { return w.update(ctx, r, (*dns.Msg).Insert) },
		Remove: func(ctx context.Context, r mail.Record) error { return w.update(ctx, r, (*dns.Msg).Remove) },
		Shown: func(ctx context.Context, r mail.Record) (bool, error) {
			texts, err := w.look(ctx, r.Name)
			for _, s := range texts {
				if s == r.Values[0] {
					return true, err
				}
			}
			return false, err
		},
		Alias: func(ctx context.Context, name string) (string, error) {
			m, err := w.ask(ctx, name, dns.TypeCNAME)
			if err != nil {
				return "", err
			}
			for _, rr := range m.Answer {
				if c, is := rr.(*dns.CNAME); is {
					return c.Target, nil
				}
			}
			return "", nil
		},
		Every: 10 * time.Millisecond,
	}
}

func (w *world) update(ctx context.Context, r mail.Record, how func(*dns.Msg, []dns.RR)) error {
	zone := "a.example."
	if strings.HasSuffix(r.Name, ".zone.example") {
		zone = "zone.example."
	}
	rr, err := dns.NewRR(fmt.Sprintf("%s. %d IN TXT %q", r.Name, r.TTL, r.Values[0]))
	if err != nil {
		return err
	}
	m := new(dns.Msg)
	m.SetUpdate(zone)
	how(m, []dns.RR{rr})
	m.SetTsig(nameserver.KeyName+".", dns.HmacSHA256, 300, time.Now().Unix())
	c := dns.Client{Net: "tcp", TsigSecret: map[string]string{nameserver.KeyName + ".": nameserver.KeySecret}}
	answer, _, err := c.ExchangeContext(ctx, m, w.dns.Addr().String())
	if err == nil && answer.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("update is answered %s", dns.RcodeToString[answer.Rcode])
	}
	return err
}

func (w *world) ask(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), t)
	answer, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, m, w.dns.Addr().String())
	return answer, err
}

// look is the texts that stand at a name.
func (w *world) look(ctx context.Context, name string) ([]string, error) {
	m, err := w.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, rr := range m.Answer {
		if txt, is := rr.(*dns.TXT); is {
			texts = append(texts, strings.Join(txt.Txt, ""))
		}
	}
	return texts, nil
}

func (w *world) caa(ctx context.Context, name string) ([]acme.CAA, error) {
	m, err := w.ask(ctx, name, dns.TypeCAA)
	if err != nil {
		return nil, err
	}
	var cs []acme.CAA
	for _, rr := range m.Answer {
		if c, is := rr.(*dns.CAA); is {
			cs = append(cs, acme.CAA{Flags: c.Flag, Tag: c.Tag, Value: c.Value})
		}
	}
	return cs, nil
}

// serve is the address of a web server that answers so.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
