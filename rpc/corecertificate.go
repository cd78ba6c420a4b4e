package rpc

import (
	"context"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// Certificate returns the chain and the key, both PEM, of a certificate that a user
// has in the panel; false where there is none of that name.
func (k *Core) Certificate(ctx context.Context, owner, name string) (chain, key []byte, found bool, err error) {
	var w wire.Certificate
	err = k.askAnew(ctx, wire.CoreCertificate, wire.CertificateQuery{Owner: owner, Name: name}, &w)
	switch {
	case answered(err, codes[mail.NotFound], jsonrpc2.CodeMethodNotFound):
		return nil, nil, false, nil
	case err != nil:
		return nil, nil, false, err
	}
	return []byte(w.ChainPEM), []byte(w.KeyPEM), true, nil
}

// mostCertificates is how many certificates of a user can be chosen from.
const mostCertificates = 1000

// Certificates returns the names of the certificates that a user has in the panel,
// in order; none where the panel has no certificates.
func (k *Core) Certificates(ctx context.Context, owner string) (names []string, err error) {
	after := ""
	for {
		var page []wire.ListedCertificate
		err := k.askAnew(ctx, wire.CoreCertificates, wire.CertificatesQuery{Owner: owner, After: after}, &page)
		if answered(err, jsonrpc2.CodeMethodNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		last := after
		for _, c := range page {
			if c.Name > last && len(names) < mostCertificates {
				names = append(names, c.Name)
				last = c.Name
			}
		}
		if len(page) < wire.MaxCertificates || last == after || len(names) == mostCertificates { // a core that repeats itself ends too
			return names, nil
		}
		after = last
	}
}

// HTTP01 has the panel's web server answer an ACME challenge, or no more.
func (k *Core) HTTP01(ctx context.Context, put bool, token, keyAuth string) error {
	w := wire.HTTP01{Op: wire.HTTP01Put, Token: token, KeyAuth: keyAuth}
	if !put {
		w.Op, w.KeyAuth = wire.HTTP01Remove, ""
	}
	return k.askAnew(ctx, wire.CoreHTTP01, w, nil)
}

// askAnew asks the core what is not remembered.
func (k *Core) askAnew(ctx context.Context, method string, params, into any) error {
	c, err := k.conn(ctx)
	if err != nil {
		return err
	}
	return k.ask(ctx, c, method, params, into)
}
