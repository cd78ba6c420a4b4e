package core

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// A storedCertificate is a certificate that a user has in the panel.
type storedCertificate struct {
	owner, name string
	chain       string // PEM, as parsePair writes it
	key         string // PEM; it leaves the core for modules only
	notAfter    time.Time
}

// id is what calls name the certificate by: owners may call theirs alike.
func (s *storedCertificate) id() string { return s.owner + "/" + s.name }

// certificate serves core.certificate.
func (c *conn) certificate(ctx context.Context, req *jsonrpc2.Request) {
	var q wire.CertificateQuery
	if err := params(req, &q); err != nil {
		c.reply(ctx, req, nil, invalidParams(err))
		return
	}
	var found *storedCertificate
	err := c.module.core.db.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		found, err = findCertificate(ctx, tx, q.Owner, q.Name)
		return err
	})
	switch {
	case err != nil:
		c.module.log.Error().Err(err).Msg("certificate not read")
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"})
	case found == nil:
		missing := fail(typeMissed, "name", "nocert")
		missing.Value = cut(q.Name)
		failure := &jsonrpc2.Error{Code: codeMissed, Message: missing.Text("en")}
		failure.SetError(missing.data("en"))
		c.reply(ctx, req, nil, failure)
	default:
		c.reply(ctx, req, wire.Certificate{ChainPEM: found.chain, KeyPEM: found.key}, nil)
	}
}

// certificates serves core.certificates.
func (c *conn) certificates(ctx context.Context, req *jsonrpc2.Request) {
	var q wire.CertificatesQuery
	if err := params(req, &q); err != nil {
		c.reply(ctx, req, nil, invalidParams(err))
		return
	}
	found, err := c.module.core.db.chainsOf(ctx, q.Owner, q.After, wire.MaxCertificates)
	if err != nil {
		c.module.log.Error().Err(err).Msg("certificates not read")
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"})
		return
	}
	listed := []wire.ListedCertificate{}
	for _, s := range found {
		hosts, _ := s.about()
		listed = append(listed, wire.ListedCertificate{
			Name: s.name, Names: hosts[:min(len(hosts), wire.MaxCertificateNames)], Expire: s.notAfter.Format(time.RFC3339),
		})
	}
	c.reply(ctx, req, listed, nil)
}

// about says for which hosts the certificate is, and who issued it.
func (s *storedCertificate) about() (hosts []string, issuer string) {
	if b, _ := pem.Decode([]byte(s.chain)); b != nil {
		if x, err := x509.ParseCertificate(b.Bytes); err == nil { // it was parsed before it was stored
			return x.DNSNames, x.Issuer.String()
		}
	}
	return []string{}, ""
}

// findCertificate returns the certificate, nil when there is none.
func findCertificate(ctx context.Context, tx *sql.Tx, owner, name string) (*storedCertificate, error) {
	s := &storedCertificate{owner: owner, name: name}
	var notAfter int64
	err := tx.QueryRowContext(ctx, `SELECT chain, key, not_after FROM certificate WHERE owner = ? AND name = ?`, owner, name).Scan(&s.chain, &s.key, &notAfter)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	s.notAfter = time.Unix(notAfter, 0).UTC()
	return s, nil
}

// chains returns all certificates without their keys, by owner and name.
func (db *database) chains(ctx context.Context) ([]*storedCertificate, error) {
	return db.readChains(ctx, `SELECT owner, name, chain, not_after FROM certificate ORDER BY owner, name`)
}

// chainsOf returns a user's certificates whose names come after a name, at most most.
func (db *database) chainsOf(ctx context.Context, owner, after string, most int) ([]*storedCertificate, error) {
	return db.readChains(ctx, `SELECT owner, name, chain, not_after FROM certificate WHERE owner = ? AND name > ? ORDER BY name LIMIT ?`, owner, after, most)
}

func (db *database) readChains(ctx context.Context, query string, args ...any) ([]*storedCertificate, error) {
	rows, err := db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	defer rows.Close()
	var all []*storedCertificate
	for rows.Next() {
		s := &storedCertificate{}
		var notAfter int64
		if err := rows.Scan(&s.owner, &s.name, &s.chain, &notAfter); err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		s.notAfter = time.Unix(notAfter, 0).UTC()
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return all, nil
}

func countCertificates(ctx context.Context, tx *sql.Tx, owner string) (n int, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM certificate WHERE owner = ?`, owner).Scan(&n); err != nil {
		return 0, fmt.Errorf("count certificates: %w", err)
	}
	return n, nil
}

func putCertificate(ctx context.Context, tx *sql.Tx, s *storedCertificate) error {
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO certificate (owner, name, chain, key, not_after) VALUES (?, ?, ?, ?, ?)`,
		s.owner, s.name, s.chain, s.key, s.notAfter.Unix()); err != nil {
		return fmt.Errorf("store certificate: %w", err)
	}
	return nil
}

// deleteCertificate says whether there was one.
func deleteCertificate(ctx context.Context, tx *sql.Tx, owner, name string) (bool, error) {
	r, err := tx.ExecContext(ctx, `DELETE FROM certificate WHERE owner = ? AND name = ?`, owner, name)
	if err != nil {
		return false, fmt.Errorf("delete certificate: %w", err)
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

func deleteCertificatesOf(ctx context.Context, tx *sql.Tx, owner string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM certificate WHERE owner = ?`, owner); err != nil {
		return fmt.Errorf("delete certificates of user %s: %w", owner, err)
	}
	return nil
}
