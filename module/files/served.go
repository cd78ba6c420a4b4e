package files

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"maildomain/module/mail"
)

// Errors about a port that shows no certificate. Any other error of Shown says why
// it could not be asked, which is nobody's fault yet.
var (
	ErrNobodyListens = errors.New("nobody listens there")
	ErrNoTLS         = errors.New("it offers no TLS")
	ErrHandshake     = errors.New("the TLS handshake fails")
)

// Shown is what a port showed to a client that asked for a name.
type Shown struct {
	Server
	Err         error    // no certificate was shown: one of the errors above, or it could not be asked
	Fingerprint [32]byte // SHA-256 of the certificate itself
	Names       []string
	Issuer      string
	Expire      time.Time
	TLS         string // version, as "TLS 1.3"
	Distrust    error  // why programs do not trust it for the name; nil: they do
}

// An Asker asks mail servers which certificate they show. It sends no passwords and
// trusts nothing that it hears.
type Asker struct {
	Servers []Server
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
	Roots   *x509.CertPool                                                    // of authorities that programs trust; nil: the system's
	Now     func() time.Time                                                  // nil: time.Now
	Limit   time.Duration                                                     // for one port; 0: 5 s
}

// askLimit is what a server on this host may take for its greeting, its answers and
// a handshake together.
const askLimit = 5 * time.Second

// Ask asks every port at once for a name; the zero name asks for none, as old
// clients do. The answers come in the order of the servers.
func (a Asker) Ask(ctx context.Context, n mail.Name) []Shown {
	shown := make([]Shown, len(a.Servers))
	var all sync.WaitGroup
	for i, s := range a.Servers {
		all.Go(func() { shown[i] = a.ask(ctx, s, n.String()) })
	}
	all.Wait()
	return shown
}

func (a Asker) ask(ctx context.Context, s Server, name string) Shown {
	limit := a.Limit
	if limit == 0 {
		limit = askLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sh, err := a.connect(ctx, s, name)
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("it does not answer: %w", ctx.Err())
	case errors.Is(err, syscall.ECONNREFUSED):
		err = ErrNobodyListens
	}
	sh.Server, sh.Err = s, err
	return sh
}

func (a Asker) connect(ctx context.Context, s Server, name string) (Shown, error) {
	dial := a.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, "tcp", s.Addr)
	if err != nil {
		return Shown{}, err
	}
	defer func() { _ = c.Close() }() // what it showed stands
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	d := dialogues[s.Service]
	if d.begin != nil {
		if err := d.begin(c); err != nil {
			return Shown{}, err
		}
	}
	// What nobody trusts is to be seen too, and nothing is said to it.
	secure := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := secure.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return Shown{}, err
		}
		return Shown{}, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	sh := a.read(secure.ConnectionState(), name)
	d.leave(secure)
	return sh, nil
}

// read is what a handshake showed.
func (a Asker) read(state tls.ConnectionState, name string) Shown {
	leaf := state.PeerCertificates[0]
	sh := Shown{
		Fingerprint: sha256.Sum256(leaf.Raw), Names: leaf.DNSNames, Issuer: leaf.Issuer.CommonName,
		Expire: leaf.NotAfter.UTC(), TLS: tls.VersionName(state.Version),
	}
	if len(leaf.Issuer.Organization) > 0 {
		sh.Issuer = leaf.Issuer.Organization[0] + " " + sh.Issuer
	}
	o := x509.VerifyOptions{DNSName: name, Roots: a.Roots, Intermediates: x509.NewCertPool()}
	if a.Now != nil {
		o.CurrentTime = a.Now()
	}
	for _, c := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, sh.Distrust = leaf.Verify(o)
	return sh
}
