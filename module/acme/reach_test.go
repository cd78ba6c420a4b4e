package acme_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

// to leads every name to one address, as the DNS of a test would.
func to(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

func TestProofThatOnlyWeCanSeeIsSeenBeforeTheAuthorityLooks(t *testing.T) {
	w := start(t, options{})
	s := w.web.solver()
	s.Check = acme.Reach(to(fmt.Sprintf("127.0.0.1:%d", w.web.port)))
	r := acme.Request{Names: names(t, "mail.a.example", "imap.a.example"), Solver: s}
	c, err := w.dir.Order(w.ctx(), w.account(), r)
	check(t, c, err, "mail.a.example", "imap.a.example")

	asked := w.count("chalZ")
	elsewhere := startWeb(t) // which does not have it
	s.Check = acme.Reach(to(fmt.Sprintf("127.0.0.1:%d", elsewhere.port)))
	r.Solver, r.Names = s, r.Names[:1]
	_, err = w.dir.Order(w.ctx(), w.account(), r)
	p := problem(t, err, acme.NotHere, "acme_reach_other")
	if p.Args["name"] != "mail.a.example" || p.Args["detail"] != "404 Not Found" || w.count("chalZ") != asked || w.web.left() != 0 {
		t.Errorf("%v, %v, asked %d times", p, p.Args, w.count("chalZ")-asked)
	}
}

// An address that swallows packets costs the time of one look, however many names lead there.
func TestProofsAreLookedAtTogether(t *testing.T) {
	var ns []mail.Name
	for i := range 64 {
		ns = append(ns, names(t, fmt.Sprintf("mail%d.a.example", i))...)
	}
	var mu sync.Mutex
	under, most, all := 0, 0, 0
	together := make(chan struct{})
	enough := sync.OnceFunc(func() { close(together) })
	h := acme.HTTP{Check: func(ctx context.Context, _ mail.Name, _, _ string) error {
		if end, has := ctx.Deadline(); !has || time.Until(end) > 30*time.Second {
			t.Errorf("until %v", end)
		}
		mu.Lock()
		under++
		all++
		if most = max(most, under); under >= 8 {
			enough()
		}
		mu.Unlock()
		select {
		case <-together:
		case <-ctx.Done():
			t.Error("one after the other")
		}
		mu.Lock()
		under--
		mu.Unlock()
		return nil
	}}
	if err := h.Shows(t.Context(), ns, "token", "proof"); err != nil || all != len(ns) || most > 32 {
		t.Errorf("%v; %d looks, %d at once", err, all, most)
	}
	wrong := &acme.Problem{Kind: acme.NotHere, Name: ns[40], Text: "acme_reach_refused"}
	h.Check = func(_ context.Context, n mail.Name, _, _ string) error {
		if n == ns[40] {
			return wrong
		}
		return nil
	}
	reached(t, h.Shows(t.Context(), ns, "token", "proof"), "acme_reach_refused")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Shows(over, ns, "token", "proof"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWhatAWebServerAnswersToOurLook(t *testing.T) {
	n := names(t, "mail.a.example")[0]
	answers := map[string]http.HandlerFunc{
		"":                 func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(rw, "proof\r\n") },
		"acme_reach_other": func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(rw, strings.Repeat("proof", 1<<20)) },
	}
	for want, answer := range answers {
		reached(t, acme.Reach(to(serve(t, answer)))(t.Context(), n, "token", "proof"), want)
	}
	// A redirect within the web is followed; one to another port is not, by the authority either.
	home := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/.well-known/acme-challenge/token":
			_, _ = fmt.Fprint(rw, "proof")
		case r.Host == "mail.a.example":
			http.Redirect(rw, r, "http://www.a.example/elsewhere", http.StatusMovedPermanently)
		default:
			http.Redirect(rw, r, "http://www.a.example:22/", http.StatusMovedPermanently)
		}
	})
	reached(t, acme.Reach(to(home))(t.Context(), n, "token", "proof"), "")
	reached(t, acme.Reach(to(home))(t.Context(), names(t, "imap.a.example")[0], "token", "proof"), "acme_reach_other")
	reached(t, acme.Reach(to("127.0.0.77:1"))(t.Context(), n, "token", "proof"), "acme_reach_refused")
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{IsNotFound: true}, "acme_reach_nowhere"}, {&net.DNSError{IsTimeout: true}, ""}, {&net.DNSError{IsTemporary: true}, ""},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, ""}, {errors.New("odd"), "acme_reach_other"},
	} {
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
		reached(t, acme.Reach(dial)(t.Context(), n, "token", "proof"), c.want)
	}
}

func reached(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	problem(t, err, acme.NotHere, want)
}
