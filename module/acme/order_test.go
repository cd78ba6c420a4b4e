package acme_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

// check holds that a certificate is for exactly these names, and that its key fits.
func check(t *testing.T, c mail.Certificate, err error, want ...string) mail.Chain {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	_, chain, err := mail.ParseCertificate(c.Chain, c.Key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(chain.Names)
	if slices.Sort(want); !slices.Equal(chain.Names, want) || chain.SelfSigned || !c.Expire.Equal(chain.NotAfter) {
		t.Errorf("certificate is for %q until %v, self-signed %v, want %q until %v", chain.Names, chain.NotAfter, chain.SelfSigned, want, c.Expire)
	}
	if n := bytes.Count(c.Chain, []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("the chain has %d certificates", n)
	}
	return chain
}

func problem(t *testing.T, err error, kind acme.Kind, text string) *acme.Problem {
	t.Helper()
	p, is := errors.AsType[*acme.Problem](err)
	if !is || p.Kind != kind || p.Text != text {
		t.Fatalf("got %#v (%v), want %s, %s", p, err, kind, text)
	}
	return p
}

func TestCertificateIsIssuedByHTTP(t *testing.T) {
	w := start(t, options{})
	var steps []acme.Step
	c, err := w.dir.Order(w.ctx(), w.account(), acme.Request{
		Names: names(t, "mail.a.example", "imap.a.example"), Solver: w.web.solver(),
		Step: func(s acme.Step) { steps = append(steps, s) },
	})
	check(t, c, err, "mail.a.example", "imap.a.example")
	if want := []acme.Step{acme.StepOrder, acme.StepProof, acme.StepLook, acme.StepIssue, acme.StepReceive}; !slices.Equal(steps, want) {
		t.Errorf("steps %q", steps)
	}
	if w.web.most != 2 || w.web.left() != 0 {
		t.Errorf("%d proofs stood at once, %d are left", w.web.most, w.web.left())
	}
}

func TestCertificateIsIssuedByDNS(t *testing.T) {
	w := start(t, options{})
	c, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "mail.a.example", "never-resolves.a.example"), Solver: w.solver()})
	check(t, c, err, "mail.a.example", "never-resolves.a.example")
	for _, n := range []string{"_acme-challenge.mail.a.example", "_acme-challenge.never-resolves.a.example"} {
		if left, err := w.look(w.ctx(), n); err != nil || len(left) > 0 {
			t.Errorf("left at %s: %q, %v", n, left, err)
		}
	}
}

// The records stand in another zone, which alone the panel may change.
func TestCertificateIsIssuedWhereTheProofIsDelegated(t *testing.T) {
	w := start(t, options{})
	s := w.solver()
	var put []string
	inner := s.Put
	s.Put = func(ctx context.Context, r mail.Record) error { put = append(put, r.Name); return inner(ctx, r) }
	c, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "delegated.a.example"), Solver: s})
	check(t, c, err, "delegated.a.example")
	if !slices.Equal(put, []string{"delegated.acme.zone.example"}) {
		t.Errorf("put at %q", put)
	}
}

func TestAliasesThatGoRoundAreNotFollowed(t *testing.T) {
	w := start(t, options{})
	_, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "round.a.example"), Solver: w.solver()})
	p := problem(t, err, acme.NotHere, "acme_not_here")
	if p.Name.String() != "round.a.example" || w.count("chalZ") != 0 {
		t.Error(p)
	}
}

func TestAuthorityIsNotAskedToLookBeforeEveryServerShowsTheProof(t *testing.T) {
	w := start(t, options{})
	s := w.solver()
	s.Limit = 50 * time.Millisecond
	s.Shown = func(context.Context, mail.Record) (bool, error) { return false, nil }
	_, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "mail.a.example"), Solver: s})
	p := problem(t, err, acme.NotHere, "acme_not_shown")
	if p.CountsAsFailure() || p.Args["record"] != "_acme-challenge.mail.a.example" || w.count("chalZ") != 0 {
		t.Errorf("%v, %v, asked %d times", p, p.Args, w.count("chalZ"))
	}
	if left, err := w.look(w.ctx(), "_acme-challenge.mail.a.example"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestProofLiesInAWebRootOnlyAsLongAsItIsNeeded(t *testing.T) {
	w := start(t, options{})
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	s := acme.WebRoot(root)
	var seen []string
	real := w.web.solver()
	put := s.Put
	s.Put = func(ctx context.Context, token, text string) error {
		if err := put(ctx, token, text); err != nil {
			return err
		}
		b, err := root.ReadFile(".well-known/acme-challenge/" + token)
		seen = append(seen, string(b))
		return errors.Join(err, real.Put(ctx, token, string(b))) // the web server serves the file
	}
	c, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "mail.a.example", "imap.a.example"), Solver: s})
	check(t, c, err, "mail.a.example", "imap.a.example")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || len(seen) != 2 {
		t.Errorf("left %v, seen %q, %v", left, seen, err)
	}
}

// A user of the web server may have put a link where the proof goes.
func TestProofDoesNotLeaveTheWebRoot(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := os.Symlink(outside, dir+"/.well-known"); err != nil {
		t.Fatal(err)
	}
	if err := acme.WebRoot(root).Put(t.Context(), "token", "text"); err == nil {
		t.Error("a proof was written through a link")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestWhyANameIsNotProven(t *testing.T) {
	w := start(t, options{})
	empty := acme.HTTP{
		Put:    func(context.Context, string, string) error { return nil },
		Remove: func(context.Context, string) error { return nil },
	}
	wrong := w.solver()
	wrong.Put = func(ctx context.Context, r mail.Record) error {
		r.Values = []string{"somebody else's"}
		return w.update(ctx, r, (*dns.Msg).Insert)
	}
	wrong.Shown = func(context.Context, mail.Record) (bool, error) { return true, nil }
	for _, c := range []struct {
		name   string
		solver acme.Solver
		kind   acme.Kind
		text   string
	}{
		{"mail.a.example", empty, acme.Unproven, "acme_unauthorized"},           // the web server does not have it
		{"nowhere.a.example", w.web.solver(), acme.Unproven, "acme_connection"}, // nobody listens there
		{"missing.a.example", w.web.solver(), acme.Unproven, "acme_connection"}, // pebble calls it so; Let's Encrypt "dns"
		{"imap.a.example", wrong, acme.Unproven, "acme_unauthorized"},
	} {
		_, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, c.name), Solver: c.solver})
		p := problem(t, err, c.kind, c.text)
		if p.Name.String() != c.name || p.Detail == "" || !p.CountsAsFailure() || p.Args["name"] != c.name {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	if w.web.left() != 0 {
		t.Errorf("%d proofs are left", w.web.left())
	}
}

func TestNameThatTheAuthorityBlocksIsRefused(t *testing.T) {
	w := start(t, options{})
	if err := w.orders.AddBlockedDomain("mail.a.example"); err != nil {
		t.Fatal(err)
	}
	_, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
	problem(t, err, acme.Refused, "acme_rejected")
}

// A certificate of another authority, or of another account, cannot be replaced: that is
// no reason to do without one.
func TestCertificateThatTheAuthorityDoesNotKnowIsReplacedByAnOrdinaryOrder(t *testing.T) {
	other, w := start(t, options{}), start(t, options{})
	ns := names(t, "mail.a.example")
	foreign, err := other.dir.Order(other.ctx(), other.account(), acme.Request{Names: ns, Solver: other.web.solver()})
	check(t, foreign, err, "mail.a.example")
	a := w.account()
	c, err := w.dir.Order(w.ctx(), a, acme.Request{Names: ns, Solver: w.web.solver(), Replaces: foreign.Chain})
	check(t, c, err, "mail.a.example")
	next, err := w.dir.Order(w.ctx(), w.account(), acme.Request{Names: ns, Solver: w.web.solver(), Replaces: c.Chain})
	check(t, next, err, "mail.a.example")
	if n := w.count("order-plz"); n != 4 {
		t.Errorf("asked %d times", n)
	}
	// A limit is one with and without.
	w.stand(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path != "/order-plz" {
			next.ServeHTTP(rw, r)
			return
		}
		rw.WriteHeader(http.StatusTooManyRequests)
	})
	_, err = w.dir.Order(w.ctx(), a, acme.Request{Names: ns, Solver: w.web.solver(), Replaces: foreign.Chain})
	problem(t, err, acme.RateLimited, "acme_rate_limited")
	if n := w.count("order-plz"); n != 5 {
		t.Errorf("asked %d times", n)
	}
}

func TestRateLimitNamesWhenToTryAgain(t *testing.T) {
	w := start(t, options{})
	a := w.account()
	now := time.Now().UTC().Truncate(time.Second)
	w.dir.Now = func() time.Time { return now }
	for _, c := range []struct {
		retryAfter, body string
		want             time.Time
	}{
		{"7200", `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates (5) already issued","status":429}`, now.Add(2 * time.Hour)},
		{now.Add(3 * time.Hour).Format(http.TimeFormat), `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`, now.Add(3 * time.Hour)},
		{"60", "<html>slow down</html>", now.Add(time.Minute)}, // from something before the authority
		{"soon", "{}", time.Time{}},
		{"99999999999", `{"type":"urn:ietf:params:acme:error:rateLimited"}`, time.Time{}},
	} {
		w.stand(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path != "/order-plz" {
				next.ServeHTTP(rw, r)
				return
			}
			rw.Header().Set("Retry-After", c.retryAfter)
			rw.WriteHeader(http.StatusTooManyRequests)
			_, _ = fmt.Fprint(rw, c.body)
		})
		_, err := w.dir.Order(w.ctx(), a, acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
		p := problem(t, err, acme.RateLimited, "acme_rate_limited")
		if !p.Again.Equal(c.want) || p.CountsAsFailure() {
			t.Errorf("%s: again at %v, want %v", c.retryAfter, p.Again, c.want)
		}
	}
}

func TestAuthorityThatIsDownIsTriedAgainLater(t *testing.T) {
	w := start(t, options{})
	a := w.account()
	r := acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()}
	for what, answer := range map[string]func(http.ResponseWriter){
		"broken":  func(rw http.ResponseWriter) { http.Error(rw, "bad gateway", http.StatusBadGateway) },
		"odd":     func(rw http.ResponseWriter) { _, _ = fmt.Fprint(rw, "<html>\x1b[31mmaintenance") },
		"hung up": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"endless": func(rw http.ResponseWriter) {
			for _, err := rw.Write(make([]byte, 1<<16)); err == nil; _, err = rw.Write(make([]byte, 1<<16)) {
			}
		},
	} {
		w.stand(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { answer(rw) })
		_, err := w.dir.Order(w.ctx(), a, r)
		if p := problem(t, err, acme.Unreachable, "acme_unreachable"); p.CountsAsFailure() || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000 {
			t.Errorf("%s: %q", what, err)
		}
	}
	w.stand(nil)
	c, err := w.dir.Order(w.ctx(), a, r)
	check(t, c, err, "mail.a.example")
	closed := w.dir
	closed.URL = "https://127.0.0.1:1/dir"
	_, err = closed.Order(w.ctx(), a, r)
	problem(t, err, acme.Unreachable, "acme_unreachable")
	closed = w.dir
	closed.Roots = nil
	_, err = closed.Order(w.ctx(), a, r)
	problem(t, err, acme.Unreachable, "acme_unreachable")
}

// cut ends the connection at the nth request for a path, before or after the
// authority has heard it.
func (w *world) cut(path string, heard bool) {
	done := false
	w.stand(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.HasPrefix(r.URL.Path, path) || done {
			next.ServeHTTP(rw, r)
			return
		}
		done = true
		if heard {
			next.ServeHTTP(&deaf{header: http.Header{}}, r)
		}
		panic(http.ErrAbortHandler)
	})
}

type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(b []byte) (int, error) { return len(b), nil }
func (d *deaf) WriteHeader(int)             {}

// Whatever answer is lost, the order that was kept is finished, and no second one
// is begun: the authority counts them. Where only the answer to the call to look is
// lost, the first call goes on by itself.
func TestOrderThatWasCutOffIsFinished(t *testing.T) {
	w := start(t, options{})
	for i, c := range []struct {
		path   string
		heard  bool
		orders int
	}{
		{"/order-plz", false, 1}, {"/order-plz", true, 2}, // nobody knows of the first: its answer was lost
		{"/authZ/", false, 1}, {"/chalZ/", false, 1}, {"/chalZ/", true, 1},
		{"/finalize-order/", false, 1}, {"/finalize-order/", true, 1},
		{"/my-order/", false, 1}, {"/certZ/", false, 1}, {"/certZ/", true, 1},
	} {
		a := w.account()
		var kept acme.Begun
		r := acme.Request{
			Names: names(t, "mail.a.example"), Solver: w.web.solver(),
			Keep: func(_ context.Context, b acme.Begun) error { kept = b; return nil },
		}
		w.cut(c.path, c.heard)
		if got, err := w.dir.Order(w.ctx(), a, r); (err == nil) != (c.path == "/chalZ/") {
			t.Fatalf("%d: cut off at %s: %v, %v", i, c.path, got.Expire, err)
		}
		if w.web.left() != 0 {
			t.Errorf("%s: %d proofs are left", c.path, w.web.left())
		}
		w.stand(nil)
		r.Begun = kept
		got, err := w.dir.Order(w.ctx(), a, r)
		check(t, got, err, "mail.a.example")
		if n := w.ordersOf(a); n != c.orders {
			t.Errorf("%s, heard %v: %d orders, want %d", c.path, c.heard, n, c.orders)
		}
		if !bytes.Equal(got.Key, kept.Key) {
			t.Errorf("%s: the key is not the one that was kept", c.path)
		}
	}
}

func (w *world) ordersOf(a acme.Account) int {
	return len(w.orders.GetOrdersByAccountID(a.URL[strings.LastIndexByte(a.URL, '/')+1:]))
}

func TestOrderThatCannotBeFinishedIsBegunAnew(t *testing.T) {
	w := start(t, options{})
	a, other := w.account(), w.account()
	var kept acme.Begun
	r := acme.Request{
		Names: names(t, "mail.a.example"), Solver: acme.HTTP{
			Put:    func(context.Context, string, string) error { return nil },
			Remove: func(context.Context, string) error { return nil },
		},
		Keep: func(_ context.Context, b acme.Begun) error { kept = b; return nil },
	}
	_, err := w.dir.Order(w.ctx(), a, r)
	problem(t, err, acme.Unproven, "acme_unauthorized")
	invalid := kept
	r.Solver = w.web.solver()
	c, err := w.dir.Order(w.ctx(), other, acme.Request{Names: r.Names, Solver: r.Solver, Keep: r.Keep})
	check(t, c, err, "mail.a.example")
	foreign := kept
	for what, b := range map[string]acme.Begun{
		"invalid": invalid, "another account's": foreign,
		"unknown": {URL: w.dir.URL[:len(w.dir.URL)-len("dir")] + "my-order/none", Key: key(t)},
	} {
		r.Begun = b
		before := w.ordersOf(a)
		c, err := w.dir.Order(w.ctx(), a, r)
		check(t, c, err, "mail.a.example")
		if w.ordersOf(a) != before+1 || kept.URL == b.URL {
			t.Errorf("%s: %d orders, kept %s", what, w.ordersOf(a), kept)
		}
	}
	// One for other names is not taken for this.
	r.Begun, r.Names = kept, names(t, "imap.a.example")
	c, err = w.dir.Order(w.ctx(), a, r)
	check(t, c, err, "imap.a.example")
}

func TestOrderIsNotGoneOnWithUnlessItWasKept(t *testing.T) {
	w := start(t, options{})
	full := errors.New("disk full")
	_, err := w.dir.Order(w.ctx(), w.account(), acme.Request{
		Names: names(t, "mail.a.example"), Solver: w.web.solver(),
		Keep: func(context.Context, acme.Begun) error { return full },
	})
	if !errors.Is(err, full) || w.count("authZ") != 0 {
		t.Errorf("%v, asked for %d authorizations", err, w.count("authZ"))
	}
}

func TestOrderEndsWithItsContext(t *testing.T) {
	w := start(t, options{})
	a := w.account()
	ctx, cancel := context.WithCancel(w.ctx())
	w.stand(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that we hang up
			cancel()
			<-r.Context().Done()
			return
		}
		next.ServeHTTP(rw, r)
	})
	_, err := w.dir.Order(ctx, a, acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
	if _, is := errors.AsType[*acme.Problem](err); is || !errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
	if w.web.left() != 0 {
		t.Error("a proof is left")
	}
}

// What is shown of a session must not open another one.
func TestNothingSecretIsPrinted(t *testing.T) {
	w := start(t, options{})
	a := w.account()
	var kept acme.Begun
	w.cut("/finalize-order/", true)
	_, err := w.dir.Order(w.ctx(), a, acme.Request{
		Names: names(t, "mail.a.example"), Solver: w.web.solver(),
		Keep: func(_ context.Context, b acme.Begun) error { kept = b; return nil },
	})
	if err == nil {
		t.Fatal("not cut off")
	}
	w.dir.EAB = acme.EAB{KeyID: "customer", Key: "c2VjcmV0IHNlY3JldCBzZWNyZXQ"}
	shown := fmt.Sprintf("%v %+v %#v %v %+v %#v %v %+v %#v %v %#v", a, a, a, kept, kept, kept, w.dir.EAB, w.dir.EAB, w.dir.EAB, err, err)
	for _, secret := range []string{"PRIVATE", w.dir.EAB.Key, string(kept.Key[40:80]), string(a.Key[40:80]), fmt.Sprint(kept.Key[:8])} {
		if strings.Contains(shown, strings.Trim(secret, "[]")) {
			t.Errorf("%q is shown: %s", secret, shown)
		}
	}
}
