package acme

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"maildomain/module/mail"
)

// Begun is what is kept of an order from its beginning to its end, so that one that
// was cut off is finished and no second one begun. It does not print its key.
type Begun struct {
	URL string // the authority's name for the order
	Key []byte // of the certificate to come, PEM; never shown
}

// IsZero says that no order was begun.
func (b Begun) IsZero() bool { return b.URL == "" }

// String is the order's address.
func (b Begun) String() string { return b.URL }

// GoString is for %#v.
func (b Begun) GoString() string { return "acme.Begun(" + b.URL + ")" }

// A Request is a certificate that is wanted.
type Request struct {
	Names    []mail.Name
	Solver   Solver
	Begun    Begun                              // an order to go on with, if it can be; zero: a new one
	Keep     func(context.Context, Begun) error // writes a new order down, before anything else is done with it; nil: it is not kept
	Key      []byte                             // to use again, PEM: a renewal with the key of before is one rename for the servers, and TLSA records stay right; nil: a new one
	Replaces []byte                             // the chain that is renewed, PEM: such orders count less (RFC 9773 section 5); nil: none
	Step     func(Step)                         // is told how far it is; nil: nobody is
	Left     func(mail.Name, error)             // is told of a proof that could not be taken away; nil: nobody is
}

// A Step is how far an order is.
type Step string

// The steps of an order, in this order; those that are done already are left out.
const (
	StepOrder   Step = "order"   // asks for the order, or for what became of it
	StepProof   Step = "proof"   // puts the proofs where the authority looks
	StepLook    Step = "look"    // the authority looks
	StepIssue   Step = "issue"   // the authority signs
	StepReceive Step = "receive" // the certificate is fetched and compared with what was asked for
)

// Order obtains a certificate: ECDSA over P-256, without a name for files. It ends
// with ctx, which is to give it some minutes. Every error is a *Problem, but for
// those of ctx and of Keep. What it put as a proof it has taken away when it returns.
func (d Directory) Order(ctx context.Context, a Account, r Request) (mail.Certificate, error) {
	const what = "order a certificate"
	k, err := mail.ParseKey(a.Key)
	if err != nil {
		return mail.Certificate{}, fmt.Errorf("%s: %w", what, err)
	}
	s, err := d.open(ctx, a.URL, k)
	defer s.wire.close()
	if err != nil {
		return mail.Certificate{}, s.explain(what, mail.Name{}, err)
	}
	c, err := s.order(r)
	if err != nil {
		return mail.Certificate{}, s.explain(what, mail.Name{}, err)
	}
	return c, nil
}

func (r Request) step(s Step) {
	if r.Step != nil {
		r.Step(s)
	}
}

func (s *session) order(r Request) (mail.Certificate, error) {
	r.step(StepOrder)
	b, o, err := s.begin(r)
	if err != nil {
		return mail.Certificate{}, err
	}
	if b.URL == r.Begun.URL {
		s.sweep(r, o)
	}
	if o.Status == acme.StatusPending {
		if err := s.prove(r, o); err != nil {
			return mail.Certificate{}, err
		}
		if o, err = s.until(b.URL, acme.StatusPending); err != nil {
			return mail.Certificate{}, err
		}
	}
	if o.Status == acme.StatusReady {
		r.step(StepIssue)
		if err := s.finalize(b, o, r.Names); err != nil {
			return mail.Certificate{}, err
		}
	}
	if o, err = s.until(b.URL, acme.StatusProcessing, acme.StatusReady); err != nil {
		return mail.Certificate{}, err
	}
	if o.Status != acme.StatusValid || o.Certificate == "" {
		return mail.Certificate{}, s.invalid(o)
	}
	r.step(StepReceive)
	return s.receive(b, o, r.Names)
}

// begin goes on with the order that was begun, where it stands and is for these
// names; else it begins one.
func (s *session) begin(r Request) (Begun, acme.Order, error) {
	if !r.Begun.IsZero() {
		o, err := s.core.Orders.Get(r.Begun.URL)
		switch {
		case err != nil && s.gone():
		case err != nil:
			return Begun{}, acme.Order{}, err
		case o.Status != acme.StatusInvalid && sameNames(o.Order, r.Names):
			return r.Begun, o.Order, nil
		}
	}
	key, err := r.Key, error(nil)
	if key == nil {
		key, err = mail.NewKey()
	}
	if err != nil {
		return Begun{}, acme.Order{}, err
	}
	names := make([]string, len(r.Names))
	for i, n := range r.Names {
		names[i] = n.String()
	}
	of := replaced(r.Replaces)
	o, err := s.core.Orders.NewWithOptions(names, &api.OrderOptions{ReplacesCertID: of})
	if of != "" && s.declined(err) {
		o, err = s.core.Orders.New(names)
	}
	if err != nil {
		return Begun{}, acme.Order{}, err
	}
	b := Begun{o.Location, key}
	if r.Keep != nil {
		if err := r.Keep(s.ctx, b); err != nil {
			return Begun{}, acme.Order{}, fmt.Errorf("keep the order: %w", err)
		}
	}
	return b, o.Order, nil
}

// declined says that the authority will not do what it was asked for last. Of an order
// that may be for what it is to replace: a certificate of another authority or account.
func (s *session) declined(err error) bool {
	status, _ := s.wire.last()
	said, is := errors.AsType[*acme.ProblemDetails](err)
	limited := status == http.StatusTooManyRequests || is && said.Type == problemNamespace+"rateLimited"
	return err != nil && status >= 400 && status < 500 && !limited
}

// gone says that the authority does not know what it was asked for last, or not as
// this account's.
func (s *session) gone() bool {
	status, _ := s.wire.last()
	return slices.Contains([]int{http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusUnauthorized}, status)
}

func sameNames(o acme.Order, names []mail.Name) bool {
	var have, want []string
	for _, i := range o.Identifiers {
		have = append(have, i.Value)
	}
	for _, n := range names {
		want = append(want, n.String())
	}
	slices.Sort(have)
	slices.Sort(want)
	return slices.Equal(have, slices.Compact(want))
}

// finalize asks for the signature. An authority that signs already, for an answer
// was lost, says that the order is not ready: what became of it is asked next.
func (s *session) finalize(b Begun, o acme.Order, names []mail.Name) error {
	key, err := mail.ParseKey(b.Key)
	if err != nil {
		return fmt.Errorf("read the key of the order: %w", err)
	}
	var t x509.CertificateRequest
	for _, n := range names {
		t.DNSNames = append(t.DNSNames, n.String())
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &t, key)
	if err != nil {
		return fmt.Errorf("write the request down: %w", err)
	}
	_, err = s.core.Orders.UpdateForCSR(o.Finalize, csr)
	if p, is := errors.AsType[*acme.ProblemDetails](err); is && p.Type == problemNamespace+"orderNotReady" {
		return nil
	}
	return err
}

// receive fetches the certificate, and takes it only if it is what was asked for.
func (s *session) receive(b Begun, o acme.Order, names []mail.Name) (mail.Certificate, error) {
	text, _, err := s.core.Certificates.Get(o.Certificate, true)
	if err != nil {
		return mail.Certificate{}, err
	}
	c, chain, err := mail.ParseCertificate(text, b.Key, s.dir.now())
	if err == nil && !chain.CoversAll(names) {
		err = fmt.Errorf("it is for %q", chain.Names)
	}
	if err != nil {
		return mail.Certificate{}, &Problem{Kind: Odd, Text: "acme_odd", Cause: fmt.Errorf("look at the certificate: %w", err)}
	}
	return c, nil
}

// until asks for an order while it is in one of these states.
func (s *session) until(url string, states ...string) (acme.Order, error) {
	for wait := s.waits(); ; {
		o, err := s.core.Orders.Get(url)
		if err != nil {
			return acme.Order{}, err
		}
		if !slices.Contains(states, o.Status) {
			return o.Order, nil
		}
		if err := wait(); err != nil {
			return acme.Order{}, err
		}
	}
}

// invalid is why an order came to nothing.
func (s *session) invalid(o acme.Order) error {
	if o.Error != nil {
		return o.Error
	}
	return &Problem{Kind: Odd, Text: "acme_odd", Cause: fmt.Errorf("the order is %s", o.Status)}
}

// The pauses between two questions, where the authority names none.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// waits is a pause that grows, or is as long as the authority's last answer asked for.
func (s *session) waits() func() error {
	pause := firstPause
	return func() error {
		d := pause
		if _, at := s.wire.last(); !at.IsZero() {
			d = max(d, min(at.Sub(s.dir.now()), time.Minute))
		}
		pause = min(pause*3/2, longestPause)
		return sleep(s.ctx, d)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
