package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"maildomain/module/mail"
)

// A CertificateRow is the certificate of a mail domain, or of the mail server itself.
type CertificateRow struct {
	mail.Certificate
	Source       mail.SSLName
	Fingerprint  string           // SHA-256 of the certificate itself, in hex; PutCertificate finds it out
	Renew        time.Time        // when the next one is due; zero: never. Of a self-signed one: not to be made anew before
	Ask          time.Time        // when the authority is asked again about that; zero: never
	Before       mail.Certificate // what was served before, until this one was seen served; its name is empty where there is nothing
	BeforeSource mail.SSLName
	Lacks        []mail.Name // of its domain, that it is not for while one for all is ordered: it is not shown for them
	Problem      string      // names the sentence why its source gives no other; empty: nothing is wrong
}

const certificateColumns = `name, chain, key, expire, source, fingerprint, renew, ask, before_chain, before_key, before_source, lacks, problem`

func scanCertificate(scan func(...any) error) (c CertificateRow, err error) {
	var chain, key, beforeChain, beforeKey, lacks string
	var expire, renew, ask int64
	if err := scan(&c.Name, &chain, &key, &expire, &c.Source, &c.Fingerprint, &renew, &ask, &beforeChain, &beforeKey, &c.BeforeSource, &lacks, &c.Problem); err != nil {
		return c, err
	}
	c.Chain, c.Key, c.Expire = []byte(chain), []byte(key), time.UnixMilli(expire).UTC()
	c.Renew, c.Ask, c.Lacks = instant(renew), instant(ask), storedNames(lacks)
	if beforeChain != "" {
		c.Before = mail.Certificate{Name: c.Name, Chain: []byte(beforeChain), Key: []byte(beforeKey)}
	}
	return c, nil
}

// instant is a time as a row has it; zero for 0.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// millis is the reverse of instant.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Certificate is the certificate of that name, which is a domain's or
// mail.ServerCertificate; false where there is none.
func (tx *Tx) Certificate(ctx context.Context, name string) (c CertificateRow, found bool, err error) {
	err = tx.rows(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE name = ?`, []any{name}, func(r *sql.Rows) error {
		found = true
		c, err = scanCertificate(r.Scan)
		return err
	})
	return c, found, err
}

// PutCertificate keeps a certificate under its name, in the place of one that stands.
// Its key is the one that belongs to it: what is served goes by the fingerprint.
func (tx *Tx) PutCertificate(ctx context.Context, c CertificateRow) error {
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO certificate (`+certificateColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Name, string(c.Chain), string(c.Key), c.Expire.UnixMilli(), string(c.Source), hex.EncodeToString(chain.Fingerprint[:]), millis(c.Renew), millis(c.Ask),
		string(c.Before.Chain), string(c.Before.Key), string(c.BeforeSource), mail.JoinNames(c.Lacks), c.Problem); err != nil {
		return err
	}
	return tx.RenewServed(ctx, mail.StoredName(c.Name))
}

// NoteCertificate notes why the source of a certificate gives no other, or that
// nothing is wrong any more.
func (tx *Tx) NoteCertificate(ctx context.Context, name, problem string) error {
	n, err := tx.exec(ctx, `UPDATE certificate SET problem = ? WHERE name = ? AND problem <> ?`, problem, name, problem)
	if err != nil || n == 0 {
		return err
	}
	return tx.renewNote(ctx, mail.StoredName(name))
}

// RenewServed makes what lists show of a domain's certificate what its row says: when
// it ends, and the note.
func (tx *Tx) RenewServed(ctx context.Context, n mail.Name) error {
	if _, err := tx.exec(ctx, `UPDATE domain SET ssl_expire = new.expire FROM (
		SELECT d.name, CASE WHEN d.secure THEN coalesce(c.expire, 0) ELSE 0 END AS expire FROM domain d LEFT JOIN certificate c ON c.name = d.name WHERE d.name = ?1) AS new
		WHERE domain.name = ?1 AND domain.ssl_expire <> new.expire`, n.String()); err != nil {
		return err
	}
	return tx.renewNote(ctx, n)
}
