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
	Renew        time.Time        // when the next one is due; zero: never
	Ask          time.Time        // when the authority is asked again about that; zero: never
	Before       mail.Certificate // what was served before, until this one was seen served; its name is empty where there is nothing
	BeforeSource mail.SSLName
}

const certificateColumns = `name, chain, key, expire, source, renew, ask, before_chain, before_key, before_source`

func scanCertificate(scan func(...any) error) (c CertificateRow, err error) {
	var chain, key, beforeChain, beforeKey string
	var expire, renew, ask int64
	if err := scan(&c.Name, &chain, &key, &expire, &c.Source, &renew, &ask, &beforeChain, &beforeKey, &c.BeforeSource); err != nil {
		return c, err
	}
	c.Chain, c.Key, c.Expire = []byte(chain), []byte(key), time.UnixMilli(expire).UTC()
	c.Renew, c.Ask = instant(renew), instant(ask)
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

// PutCertificate keeps a certificate under its name.
func (tx *Tx) PutCertificate(ctx context.Context, c CertificateRow) error {
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT OR REPLACE INTO certificate (fingerprint, `+certificateColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		hex.EncodeToString(chain.Fingerprint[:]), c.Name, string(c.Chain), string(c.Key), c.Expire.UnixMilli(), string(c.Source), millis(c.Renew), millis(c.Ask),
		string(c.Before.Chain), string(c.Before.Key), string(c.BeforeSource))
	return err
}
