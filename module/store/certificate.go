package store

import (
	"context"
	"time"

	"maildomain/module/mail"
)

// Certificate is the certificate of that name; false where there is none.
func (tx *Tx) Certificate(ctx context.Context, name string) (c mail.Certificate, found bool, err error) {
	var chain, key string
	var expire int64
	found, err = tx.row(ctx, `SELECT chain, key, expire FROM certificate WHERE name = ?`, []any{name}, &chain, &key, &expire)
	if found {
		c = mail.Certificate{Name: name, Chain: []byte(chain), Key: []byte(key), Expire: time.UnixMilli(expire).UTC()}
	}
	return c, found, err
}

// PutCertificate keeps a certificate under its name.
func (tx *Tx) PutCertificate(ctx context.Context, c mail.Certificate) error {
	_, err := tx.exec(ctx, `INSERT INTO certificate (name, chain, key, expire) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET chain = excluded.chain, key = excluded.key, expire = excluded.expire`,
		c.Name, string(c.Chain), string(c.Key), c.Expire.UnixMilli())
	return err
}
