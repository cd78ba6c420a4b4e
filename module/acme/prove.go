package acme

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/acme"

	"maildomain/module/mail"
)

// A Solver proves control over names to an authority: HTTP or DNS.
type Solver interface {
	// method is the challenge's name in RFC 8555 section 8.
	method() string
	// put puts a proof where the authority looks, and remove takes it away again.
	put(ctx context.Context, p *proof) error
	remove(ctx context.Context, p *proof) error
	// shown returns when the authority can see all of them.
	shown(ctx context.Context, ps []*proof) error
}

// A proof is the answer to one challenge.
type proof struct {
	name      mail.Name
	token     string // letters, digits, - and _ (RFC 8555 section 8.1)
	keyAuth   string
	challenge string // its address
	authz     string
	record    mail.Record // of dns-01, from put on
	unheard   bool        // the authority may not know that it is to look
}

// removeLimit is what taking proofs away may take, also when the call has ended.
const removeLimit = 30 * time.Second

// prove answers a challenge for each name that is not proven yet.
func (s *session) prove(r Request, o acme.Order) error {
	proofs, err := s.proofs(r.Solver, o)
	if err != nil || len(proofs) == 0 {
		return err
	}
	r.step(StepProof)
	defer s.clear(r, proofs)
	for _, p := range proofs {
		if err := r.Solver.put(s.ctx, p); err != nil {
			return s.notHere(p.name, "put the proof", err)
		}
	}
	if err := r.Solver.shown(s.ctx, proofs); err != nil {
		return s.notHere(mail.Name{}, "wait for the proof to be seen", err)
	}
	r.step(StepLook)
	for _, p := range proofs {
		if err := s.look(p); err != nil {
			return err
		}
	}
	for _, p := range proofs {
		if err := s.proven(p); err != nil {
			return err
		}
	}
	return nil
}

// look has the authority look. It may have heard though its answer was lost: then
// the proof is not to be taken away under its eyes, for with it goes the order.
func (s *session) look(p *proof) error {
	_, err := s.core.Challenges.New(p.challenge)
	if status, _ := s.wire.last(); err != nil && status == 0 && s.ctx.Err() == nil {
		p.unheard = true
		return nil
	}
	if err != nil {
		return s.explain("have the authority look", p.name, err)
	}
	p.unheard = false
	return nil
}

// clear takes the proofs away. One that stays is no reason to do without the certificate.
func (s *session) clear(r Request, proofs []*proof) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), removeLimit)
	defer cancel()
	for _, p := range proofs {
		if err := r.Solver.remove(ctx, p); err != nil && r.Left != nil {
			r.Left(p.name, err)
		}
	}
}

// sweep takes away what an order that was cut off may have left: the proofs of names
// that are proven by now. What cannot be asked for is left alone.
func (s *session) sweep(r Request, o acme.Order) {
	var left []*proof
	for _, url := range o.Authorizations {
		a, err := s.core.Authorizations.Get(url)
		if err != nil || a.Status != acme.StatusValid {
			continue
		}
		n, err := mail.ParseName(a.Identifier.Value)
		if err != nil {
			continue
		}
		if p, err := s.proof(r.Solver, n, a); err == nil {
			left = append(left, p)
		}
	}
	s.clear(r, left)
}

// proofs are what is to be shown for an order.
func (s *session) proofs(by Solver, o acme.Order) ([]*proof, error) {
	var ps []*proof
	for _, url := range o.Authorizations {
		a, err := s.core.Authorizations.Get(url)
		if err != nil {
			return nil, err
		}
		n, err := mail.ParseName(a.Identifier.Value)
		if err != nil {
			return nil, &Problem{Kind: Odd, Text: "acme_odd", Cause: fmt.Errorf("read the name to prove: %w", err)}
		}
		switch a.Status {
		case acme.StatusValid:
			continue
		case acme.StatusPending:
		default:
			return nil, s.unproven(n, a)
		}
		p, err := s.proof(by, n, a)
		if err != nil {
			return nil, err
		}
		p.authz = url
		ps = append(ps, p)
	}
	return ps, nil
}

func (s *session) proof(by Solver, n mail.Name, a acme.Authorization) (*proof, error) {
	var offered []string
	for _, c := range a.Challenges {
		if offered = append(offered, c.Type); c.Type != by.method() {
			continue
		}
		if c.Token == "" || len(c.Token) > 200 || strings.Trim(c.Token, tokenAlphabet) != "" {
			return nil, &Problem{Kind: Odd, Name: n, Text: "acme_odd", Cause: errors.New("the token is none")}
		}
		auth, err := s.core.GetKeyAuthorization(c.Token)
		if err != nil {
			return nil, fmt.Errorf("sign the token: %w", err)
		}
		return &proof{name: n, token: c.Token, keyAuth: auth, challenge: c.URL}, nil
	}
	return nil, &Problem{Kind: Refused, Name: n, Text: "acme_method", Args: map[string]string{"name": n.Unicode(), "method": by.method()},
		Cause: fmt.Errorf("%s is not offered, but %q", by.method(), offered)}
}

const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// proven waits for what the authority makes of a proof.
func (s *session) proven(p *proof) error {
	for wait := s.waits(); ; {
		a, err := s.core.Authorizations.Get(p.authz)
		if err != nil {
			return s.explain("ask what the authority saw", p.name, err)
		}
		switch a.Status {
		case acme.StatusValid:
			return nil
		case acme.StatusPending:
		default:
			return s.unproven(p.name, a)
		}
		if err := wait(); err != nil {
			return err
		}
		waits := func(c acme.Challenge) bool { return c.URL == p.challenge && c.Status == acme.StatusPending }
		if p.unheard && slices.ContainsFunc(a.Challenges, waits) {
			p.unheard = false
			_ = s.look(p) // an authority that has begun meanwhile refuses; what it sees is asked next
		}
	}
}

// unproven is what the authority says of an authorization that came to nothing.
func (s *session) unproven(n mail.Name, a acme.Authorization) error {
	for _, c := range a.Challenges {
		if c.Error != nil {
			return s.explain("prove "+n.String(), n, c.Error)
		}
	}
	return &Problem{Kind: Unproven, Name: n, Text: "acme_unauthorized", Args: map[string]string{"name": n.Unicode()},
		Cause: fmt.Errorf("the authorization is %s", a.Status)}
}

func (s *session) notHere(n mail.Name, what string, err error) error {
	if s.ctx.Err() != nil {
		return errors.Join(&failure{what, err}, context.Cause(s.ctx))
	}
	if p, is := errors.AsType[*Problem](err); is {
		return p
	}
	return &Problem{Kind: NotHere, Name: n, Text: "acme_not_here", Args: map[string]string{"name": n.Unicode()}, Cause: &failure{what, err}}
}
