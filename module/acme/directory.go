package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"maildomain/module/mail"
)

// LetsEncrypt is where Let's Encrypt answers.
const LetsEncrypt = mail.LetsEncryptDirectory

// A Directory is an authority, by the address of its directory (RFC 8555 section
// 7.1.1). It keeps nothing from one call to the next, and its methods may be
// called by several goroutines.
type Directory struct {
	URL   string
	EAB   EAB                                                               // what the authority gave to open an account with; zero: nothing
	Roots *x509.CertPool                                                    // that its server is trusted by; nil: the system's
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
	Now   func() time.Time                                                  // nil: time.Now
}

// An EAB ties a new account to one that the authority knows a customer by
// (External Account Binding, RFC 8555 section 7.3.4). It does not print its key.
type EAB struct {
	KeyID string
	Key   string // in base64url; never shown
}

// IsZero says that there is none.
func (e EAB) IsZero() bool { return e == EAB{} }

// String is the key's name.
func (e EAB) String() string { return e.KeyID }

// GoString is for %#v.
func (e EAB) GoString() string { return "acme.EAB(" + e.KeyID + ")" }

// An Account is who orders. It does not print its key.
type Account struct {
	URL string // the authority's name for it
	Key []byte // PEM; never shown
}

// String is the account's address.
func (a Account) String() string { return a.URL }

// GoString is for %#v.
func (a Account) GoString() string { return "acme.Account(" + a.URL + ")" }

// Terms are what an authority says of itself.
type Terms struct {
	Service    string   // address of the terms that an account agrees to; empty: none
	NeedsEAB   bool     // an account is opened with an EAB alone
	Identities []string // what a CAA record calls the authority; empty: it does not say
	SaysWhen   bool     // it says when to renew (RFC 9773)
}

// Look asks the authority what it says of itself.
func (d Directory) Look(ctx context.Context) (Terms, error) {
	s, err := d.open(ctx, "", nil)
	defer s.wire.close()
	if err != nil {
		return Terms{}, s.explain("ask the authority", mail.Name{}, err)
	}
	m := s.core.GetDirectory().Meta
	return Terms{m.TermsOfService, m.ExternalAccountRequired, m.CaaIdentities, s.core.GetDirectory().RenewalInfo != ""}, nil
}

// Register opens an account, which agrees to the authority's terms, or finds the
// one that has this key: repeating it is harmless. The contact may be zero. The
// key is one of mail.NewKey's; keep it before.
func (d Directory) Register(ctx context.Context, key []byte, contact mail.Address) (Account, error) {
	const what = "open an account"
	k, err := mail.ParseKey(key)
	if err != nil {
		return Account{}, fmt.Errorf("%s: %w", what, err)
	}
	s, err := d.open(ctx, "", k)
	defer s.wire.close()
	if err != nil {
		return Account{}, s.explain(what, mail.Name{}, err)
	}
	want := acme.Account{TermsOfServiceAgreed: true}
	if !contact.IsZero() {
		want.Contact = []string{"mailto:" + contact.String()}
	}
	var got acme.ExtendedAccount
	switch needs := s.core.GetDirectory().Meta.ExternalAccountRequired; {
	case !d.EAB.IsZero():
		got, err = s.core.Accounts.NewEAB(want, d.EAB.KeyID, d.EAB.Key)
	case needs:
		return Account{}, &Problem{Kind: BadAccount, Text: "acme_eab_required", Cause: errors.New(what + ": the authority wants an external account binding")}
	default:
		got, err = s.core.Accounts.New(want)
	}
	if err != nil {
		return Account{}, d.unbound(s.explain(what, mail.Name{}, err))
	}
	if got.Status != "" && got.Status != acme.StatusValid {
		return Account{}, &Problem{Kind: BadAccount, Text: "acme_account", Cause: fmt.Errorf("%s: it is %s", what, got.Status)}
	}
	return Account{URL: got.Location, Key: key}, nil
}

// unbound says of a refusal to open an account with an EAB that the EAB is to be
// looked at: authorities have no type of problem for it.
func (d Directory) unbound(err error) error {
	p, is := errors.AsType[*Problem](err)
	_, undecoded := errors.AsType[base64.CorruptInputError](err)
	if is && !d.EAB.IsZero() && (undecoded || p.Text == "acme_account" || p.Kind == Odd) {
		p.Kind, p.Text = BadAccount, "acme_eab"
	}
	return err
}

// A session is one call's talk with an authority.
type session struct {
	dir  Directory
	ctx  context.Context
	wire *wire
	core *api.Core
}

// open asks for the directory. Without a key the session can read what is public.
// It returns a session with an error too, for explain.
func (d Directory) open(ctx context.Context, account string, key crypto.PrivateKey) (*session, error) {
	s := &session{dir: d, ctx: ctx, wire: newWire(ctx, d)}
	var err error
	s.core, err = api.New(s.wire.client(), "maildomain", d.URL, account, key)
	return s, err
}

func (d Directory) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}
