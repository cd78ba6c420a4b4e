package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"maildomain/module/mail"
)

// A ServedRow is a certificate that is served for the names of a mail domain: what of
// it can be read for a thousand domains at once.
type ServedRow struct {
	Domain      mail.Name
	Fingerprint string // SHA-256 of the certificate itself, in hex
	Source      mail.SSLName
	Expire      time.Time
	Names       []mail.Name // that it is shown for
}

// ServedRows are the certificates of all domains that have one on, by name.
func (tx *Tx) ServedRows(ctx context.Context) (all []ServedRow, err error) {
	// CROSS JOIN has SQLite begin with the domains; the indexes hold all that is asked for.
	err = tx.rows(ctx, `SELECT d.name, d.secure_alias, c.fingerprint, c.source, c.expire, c.lacks
		FROM domain d INDEXED BY domain_served CROSS JOIN certificate c INDEXED BY certificate_served ON c.name = d.name
		WHERE d.secure = 1 ORDER BY d.name`, nil, func(r *sql.Rows) error {
		var row ServedRow
		var name, names, lacks string
		var expire int64
		if err := r.Scan(&name, &names, &row.Fingerprint, &row.Source, &expire, &lacks); err != nil {
			return err
		}
		row.Domain, row.Names, row.Expire = mail.StoredName(name), storedNames(names), instant(expire)
		if lacks != "" {
			row.Names = Without(row.Names, storedNames(lacks))
		}
		all = append(all, row)
		return nil
	})
	return all, err
}

// Without are the names that are not among those that lack.
func Without(names, lacks []mail.Name) []mail.Name {
	return slices.DeleteFunc(slices.Clone(names), func(n mail.Name) bool { return slices.Contains(lacks, n) })
}

// Fingerprint is that of the certificate of a name, as Certificate takes it; empty
// where there is none.
func (tx *Tx) Fingerprint(ctx context.Context, name string) (f string, err error) {
	_, err = tx.row(ctx, `SELECT fingerprint FROM certificate INDEXED BY certificate_served WHERE name = ?`, []any{name}, &f)
	return f, err
}

// Chains calls each for every certificate, by name; the chain is its caller's until each returns.
func (tx *Tx) Chains(ctx context.Context, each func(name string, chain []byte)) error {
	return tx.rows(ctx, `SELECT name, chain FROM certificate ORDER BY name`, nil, func(r *sql.Rows) error {
		var name string
		var chain sql.RawBytes
		err := r.Scan(&name, &chain)
		if err == nil {
			each(name, chain)
		}
		return err
	})
}

// Certificates calls each for every certificate, with its key, by name.
func (tx *Tx) Certificates(ctx context.Context, each func(CertificateRow) error) error {
	return tx.rows(ctx, `SELECT `+certificateColumns+` FROM certificate ORDER BY name`, nil, func(r *sql.Rows) error {
		c, err := scanCertificate(r.Scan)
		if err != nil {
			return err
		}
		return each(c)
	})
}

// DomainsWithoutCertificate are the domains that are to have one and have none, by
// name, those behind after, at most most.
func (tx *Tx) DomainsWithoutCertificate(ctx context.Context, after mail.Name, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT name FROM domain d INDEXED BY domain_served WHERE secure = 1 AND name > ?
		AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.name = d.name) ORDER BY name LIMIT ?`, after.String(), most)
}

// Unproven are the domains whose certificates were not seen served yet since they
// took the place of another.
func (tx *Tx) Unproven(ctx context.Context) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT d.name FROM domain d INDEXED BY domain_served CROSS JOIN certificate c ON c.name = d.name WHERE d.secure = 1 AND c.before_chain > ''`)
}

// A PanelCertificate is a certificate that an owner has in the panel, with the domains
// that are to show it.
type PanelCertificate struct {
	Owner   string
	Name    mail.SSLName
	Domains []mail.Name
}

// PanelCertificates are those that domains are to show, by owner and name.
func (tx *Tx) PanelCertificates(ctx context.Context) (cs []PanelCertificate, err error) {
	err = tx.rows(ctx, `SELECT owner, ssl_name, name FROM domain WHERE secure = 1 AND ssl_name NOT IN ('selfsigned', 'letsencrypt')
		ORDER BY owner, ssl_name, name`, nil, func(r *sql.Rows) error {
		var c PanelCertificate
		var name string
		if err := r.Scan(&c.Owner, &c.Name, &name); err != nil {
			return err
		}
		if last := len(cs) - 1; last < 0 || cs[last].Owner != c.Owner || cs[last].Name != c.Name {
			cs = append(cs, c)
		}
		cs[len(cs)-1].Domains = append(cs[len(cs)-1].Domains, mail.StoredName(name))
		return nil
	})
	return cs, err
}

// mostCandidates is how many certificates are read to find one that can be used again.
const mostCandidates = 16

// Reusable are certificates of an authority that may cover name and are not to be
// renewed yet: of other domains of an owner than n, and of n as it was before it was
// deleted.
func (tx *Tx) Reusable(ctx context.Context, n mail.Name, owner string, name mail.Name) (cs []CertificateRow, err error) {
	err = tx.rows(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE name IN (SELECT name FROM domain
			WHERE owner = ?1 AND name <> ?2 AND secure = 1 AND instr(' ' || secure_alias || ' ', ' ' || ?3 || ' '))
		AND source = 'letsencrypt' AND renew > ?4 AND expire > ?4 ORDER BY expire DESC, name LIMIT ?5`,
		[]any{owner, n.String(), name.String(), tx.Now.UnixMilli(), mostCandidates}, func(r *sql.Rows) error {
			c, err := scanCertificate(r.Scan)
			cs = append(cs, c)
			return err
		})
	if err != nil {
		return nil, err
	}
	var ids []int64
	if err := tx.rows(ctx, `SELECT id FROM deleted WHERE domain = ? AND kind = ? AND owner = ? AND until > ? ORDER BY id DESC LIMIT ?`,
		[]any{n.String(), kindDomain, owner, tx.Now.UnixMilli(), mostCandidates}, func(r *sql.Rows) error {
			ids = append(ids, 0)
			return r.Scan(&ids[len(ids)-1])
		}); err != nil {
		return nil, err
	}
	for _, id := range ids {
		d, found, err := tx.Deleted(ctx, id)
		if err != nil {
			return nil, err
		}
		if c := d.Certificate; found && c != nil && c.Source == mail.LetsEncrypt && c.Renew.After(tx.Now) && c.Expire.After(tx.Now) {
			cs = append(cs, *c)
		}
	}
	return cs, nil
}

// OwnerOver is the owner of the longest mail domain that is n or above it; empty where
// there is none.
func (tx *Tx) OwnerOver(ctx context.Context, n mail.Name) (owner string, err error) {
	for _, p := range append([]mail.Name{n}, n.Parents()...) {
		found, err := tx.row(ctx, `SELECT owner FROM domain WHERE name = ?`, []any{p.String()}, &owner)
		if found || err != nil {
			return owner, err
		}
	}
	return "", nil
}
