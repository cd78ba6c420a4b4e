package module

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// servedLists are what is served before a change and after it, of all domains.
type servedLists struct{ before, after []store.ServedRow }

// A block is a certificate that is served, by the first domain that has it, with its
// fingerprint and its names.
type block struct {
	mail.ServedCertificate
	fingerprint string
}

// blocks are what is served of rows: equal certificates are one, and each name is shown
// once. A fingerprint stands for the key too, which belongs to its certificate.
func blocks(rows []store.ServedRow) []block {
	var all []mail.ServedCertificate
	first := map[string]int{} // by fingerprint
	of := map[string]string{} // fingerprint by name
	for _, r := range rows {
		i, stands := first[r.Fingerprint]
		if !stands {
			i = len(all)
			first[r.Fingerprint] = i
			of[r.Domain.String()] = r.Fingerprint
			all = append(all, mail.ServedCertificate{
				Certificate: mail.Certificate{Name: r.Domain.String(), Expire: r.Expire}, Vouched: r.Source != mail.SelfSigned,
			})
		}
		all[i].Names = append(all[i].Names, r.Names...)
	}
	var bs []block
	for _, c := range mail.ServeOnce(all) {
		bs = append(bs, block{c, of[c.Name]})
	}
	return bs
}

func certificates(bs []block) []mail.ServedCertificate {
	cs := make([]mail.ServedCertificate, len(bs))
	for i, b := range bs {
		cs[i] = b.ServedCertificate
	}
	return cs
}

// shown works out what a change of one domain means for what is served, before anything
// is written.
func (s *showing) shown(ctx context.Context, tx *store.Tx, n mail.Name, before, after *mail.Domain) error {
	was, is := servedRow(n, before, s.was), servedRow(n, after, s.is)
	if sameServed(was, is) && (s.is == nil || s.was == nil || string(s.is.Chain) == string(s.was.Chain)) {
		return nil
	}
	rows, err := tx.ServedRows(ctx)
	if err != nil {
		return err
	}
	s.lists = &servedLists{before: rows, after: slices.Clone(rows)}
	i, stands := slices.BinarySearchFunc(rows, n, func(r store.ServedRow, n mail.Name) int { return strings.Compare(r.Domain.String(), n.String()) })
	switch {
	case stands && is != nil:
		s.lists.after[i] = *is
	case stands:
		s.lists.after = slices.Delete(s.lists.after, i, i+1)
	case is != nil:
		s.lists.after = slices.Insert(s.lists.after, i, *is)
	}
	return nil
}

// servedRow is what a domain serves; nil: nothing.
func servedRow(n mail.Name, d *mail.Domain, c *store.CertificateRow) *store.ServedRow {
	if d == nil || !d.Secure || c == nil {
		return nil
	}
	return &store.ServedRow{Domain: n, Fingerprint: fingerprintOf(c), Source: c.Source, Expire: c.Expire, Names: store.Without(d.SecureAlias, c.Lacks)}
}

// fingerprintOf is the SHA-256 of a certificate itself, in hex, as rows have it.
func fingerprintOf(c *store.CertificateRow) string {
	if c.Fingerprint != "" {
		return c.Fingerprint
	}
	chain, err := mail.ParseChain(c.Chain)
	if err != nil { // it was parsed to get here
		return ""
	}
	return hex.EncodeToString(chain.Fingerprint[:])
}

func sameServed(a, b *store.ServedRow) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Fingerprint == b.Fingerprint && a.Source == b.Source && slices.Equal(a.Names, b.Names)
}

// plan are the changes of files, in the order that is safe.
func (s *showing) plan(ctx context.Context, tx *store.Tx, l files.Layout, n mail.Name) ([]files.Change, error) {
	if s.lists == nil {
		return nil, nil
	}
	before, after := blocks(s.lists.before), blocks(s.lists.after)
	stood := map[string]string{}
	for _, b := range before {
		stood[b.Name] = b.fingerprint
	}
	var written []mail.Certificate
	was := map[string]mail.Certificate{}
	for _, b := range after {
		switch {
		case b.Name == n.String():
			written = append(written, s.is.Certificate)
			if _, stands := stood[b.Name]; stands {
				was[b.Name] = s.was.Certificate
			}
		case stood[b.Name] != b.fingerprint: // it stands for others now
			c, _, err := tx.Certificate(ctx, b.Name)
			if err != nil {
				return nil, err
			}
			written = append(written, c.Certificate)
		}
	}
	return l.PlanCertificates(certificates(before), certificates(after), written, was)
}
