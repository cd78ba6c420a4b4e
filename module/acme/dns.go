package acme

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"maildomain/module/mail"
)

// DNS proves by a TXT record at _acme-challenge.NAME (dns-01, RFC 8555 section
// 8.4), or where a CNAME there leads.
type DNS struct {
	// Put and Remove hand over one TXT record of one value; others may stand at its
	// name, and stay. Remove may be called for what stands no more.
	Put    func(context.Context, mail.Record) error
	Remove func(context.Context, mail.Record) error
	// Shown says whether every authoritative server of the name answers with the
	// value. An error is one that waiting does not mend.
	Shown func(context.Context, mail.Record) (bool, error)
	// Alias is where the CNAME at a name leads, without the final dot; empty: there
	// is none. Nil: no CNAME is followed.
	Alias func(ctx context.Context, name string) (string, error)
	Limit time.Duration // how long servers may take to show it; 0: two minutes
	Every time.Duration // between two looks; 0: two seconds
}

const (
	shownLimit = 2 * time.Minute
	shownEvery = 2 * time.Second
	mostAlias  = 8  // CNAMEs that are followed
	proofTTL   = 60 // seconds
)

func (d DNS) method() string { return "dns-01" }

func (d DNS) put(ctx context.Context, p *proof) error {
	at, err := d.place(ctx, "_acme-challenge."+p.name.String())
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(p.keyAuth))
	value := base64.RawURLEncoding.EncodeToString(sum[:])
	p.record = mail.Record{Name: at, Type: mail.TypeTXT, TTL: proofTTL, Values: []string{value}, Why: mail.ForACME}
	return d.Put(ctx, p.record)
}

func (d DNS) remove(ctx context.Context, p *proof) error {
	if p.record.Name == "" { // never put
		return nil
	}
	return d.Remove(ctx, p.record)
}

// place follows CNAMEs to where the authority will look.
func (d DNS) place(ctx context.Context, name string) (string, error) {
	if d.Alias == nil {
		return name, nil
	}
	for range mostAlias {
		to, err := d.Alias(ctx, name)
		if err != nil {
			return "", fmt.Errorf("follow %s: %w", name, err)
		}
		if to == "" {
			return name, nil
		}
		name = strings.ToLower(strings.TrimSuffix(to, "."))
	}
	return "", fmt.Errorf("follow %s: the aliases do not end", name)
}

// shown waits until each proof is seen.
func (d DNS) shown(ctx context.Context, ps []*proof) error {
	limit, every := d.Limit, d.Every
	if limit == 0 {
		limit = shownLimit
	}
	if every == 0 {
		every = shownEvery
	}
	until, cancel := context.WithTimeoutCause(ctx, limit, errNotShown)
	defer cancel()
	for _, p := range ps {
		r := p.record
		seen, err := d.Shown(until, r)
		for ; err == nil && !seen; seen, err = d.Shown(until, r) {
			if err = sleep(until, every); err != nil {
				break
			}
		}
		if err != nil && ctx.Err() == nil && until.Err() != nil {
			return &Problem{Kind: NotHere, Name: p.name, Text: "acme_not_shown", Args: map[string]string{"name": p.name.Unicode(), "record": r.Name},
				Cause: fmt.Errorf("look for %s: %w", r.Name, errNotShown)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNotShown = errors.New("not every name server shows it in time")
