package module

import (
	"context"
	"errors"

	"maildomain/module/dns"
	"maildomain/module/mail"
)

// tryNameOverDNS finds out whether the proof of one name could be put where it is looked for.
func (m *Module) tryNameOverDNS(ctx context.Context, ask *dns.Asker, w *wish, n mail.Name) error {
	at, err := proofPlace(ctx, ask, "_acme-challenge."+n.String())
	if err != nil {
		return notHere(n, "acme_lookup", err)
	}
	domain, err := m.recordsDomain(ctx, w, at)
	if err != nil {
		return m.notPut(n, err)
	}
	if err := m.tryRecord(ctx, w, domain, at); err != nil {
		return m.notPut(n, err)
	}
	return nil
}

// mostProofAliases is how many CNAMEs lead from a name to where its proof is to stand.
const mostProofAliases = 8

// proofPlace follows aliases to where the authority will look.
func proofPlace(ctx context.Context, ask *dns.Asker, name string) (string, error) {
	for range mostProofAliases {
		to, err := ask.Alias(ctx, name)
		if err != nil || to == "" {
			return name, err
		}
		name = to
	}
	return "", errors.New("the aliases do not end")
}
