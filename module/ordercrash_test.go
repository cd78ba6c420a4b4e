package module

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	wire "github.com/miekg/dns"

	"maildomain/module/mail"
)

// nowhere is where an answer goes that is lost.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// crashAt has the module die with the first request for a path, before or after the
// authority has heard it, and goes on with what it left.
func (o *ordering) crashAt(t *testing.T, path string, heard bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	var left *world
	o.ca.Stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		died := false
		if strings.HasPrefix(r.URL.Path, path) {
			once.Do(func() {
				if heard {
					next.ServeHTTP(&nowhere{http.Header{}}, r)
				}
				left, died = o.crash(t), true
				cancel()
			})
		}
		if died {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	_ = o.Orders(ctx) // nobody hears how it ended
	o.ca.Stand(nil)
	if left == nil {
		t.Fatalf("%s was never asked for\n%s", path, o.log)
	}
	o.again(t, left)
}

// Wherever the module dies, it ends with one valid certificate that is shown, and the
// authority has had no more orders than it must: where nobody knows of an order, for its
// answer was lost, there is a second one.
func TestOrderSurvivesACrashAtEveryStep(t *testing.T) {
	crashes := []struct {
		path   string
		heard  bool
		orders int
	}{
		{"/sign-me-up", false, 1}, {"/sign-me-up", true, 1}, // only the first order opens an account
		{"/order-plz", false, 1}, {"/order-plz", true, 2},
		{"/authZ/", false, 1}, {"/chalZ/", false, 1}, {"/chalZ/", true, 1},
		{"/finalize-order/", false, 1}, {"/finalize-order/", true, 1},
		{"/my-order/", true, 1}, {"/certZ/", false, 1}, {"/certZ/", true, 1},
	}
	for _, by := range []mail.Challenge{mail.ChallengeDNS, mail.ChallengeHTTP} {
		t.Run(string(by), func(t *testing.T) {
			var zones []string
			for i := range crashes {
				zones = append(zones, fmt.Sprintf("a%d.example", i))
			}
			o := newOrdering(t, zones...)
			o.set(t, "acme_challenge", string(by))
			had := 0
			for i, c := range crashes {
				name := fmt.Sprintf("a%d.example", i)
				if i == 1 {
					o.forgetAccount(t)
				}
				o.letsencrypt(t, name)
				o.crashAt(t, c.path, c.heard)
				o.order(t)
				o.has(t, name, "mail."+name)
				o.hasRecords(t, "_acme-challenge.mail."+name, wire.TypeTXT)
				orders := o.ca.Orders(o.account(t))
				if had += c.orders; len(orders) != had {
					t.Fatalf("%s, heard %v: %d orders, want %d: %q\n%s", c.path, c.heard, len(orders), had, orders, o.log)
				}
				if i == 0 { // the next one opens another account
					had = 0
				}
			}
		})
	}
}
