package module

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// Names of the settings that the module gives itself. No form shows them.
const (
	srsSecret = "secret_srs"
)

// Prepare makes what the servers need once and the database is to keep: the secret
// that rewritten senders are signed with, and a certificate of the mail server itself.
// What it made is in the files after the next Reconcile.
func (m *Module) Prepare(ctx context.Context, host mail.Name) error {
	made := false
	err := m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		kept, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		if kept[srsSecret] == "" {
			made = true
			if err := tx.Set(ctx, srsSecret, rand.Text()); err != nil {
				return err
			}
		}
		_, found, err := tx.Certificate(ctx, mail.ServerCertificate)
		if err != nil || found {
			return err
		}
		c, err := mail.SelfSign([]mail.Name{host}, tx.Now, tx.Now.Add(serverCertificateLasts))
		if err != nil {
			return err
		}
		made, c.Name = true, mail.ServerCertificate
		return tx.PutCertificate(ctx, store.CertificateRow{Certificate: c, Source: mail.SelfSigned})
	})
	if err != nil {
		return fmt.Errorf("make the server's own secrets: %w", err)
	}
	if made {
		m.unpublished.Store(true)
	}
	return nil
}

// serverCertificateLasts is how long the certificate serves that nobody asked for:
// it is there so that connections are encrypted at all.
const serverCertificateLasts = 10 * 365 * 24 * time.Hour

// ownFiles are the files of the server itself.
func (m *Module) ownFiles(ctx context.Context, tx *store.Tx) ([]files.File, error) {
	l := m.tree.Layout()
	kept, err := tx.Settings(ctx)
	if err != nil {
		return nil, err
	}
	f, err := l.SecretFile(kept[srsSecret])
	if err != nil {
		return nil, err
	}
	c, _, err := tx.Certificate(ctx, mail.ServerCertificate)
	if err != nil {
		return nil, err
	}
	own := serverFiles(l, c.Certificate, kept)
	filters, err := m.filtersFile(ctx, tx)
	if err != nil {
		return nil, err
	}
	listed, err := tx.ListedOf(ctx, mail.Name{})
	if err != nil {
		return nil, err
	}
	return append(own, f, filters, l.ListFile(mail.Name{}, listed), l.JunkFile()), nil
}

// serverFiles are those of the server's own certificate, by the settings that are kept.
// Before Dovecot was told for the first time somebody else's may stand in their places.
func serverFiles(l files.Layout, c mail.Certificate, kept map[string]string) []files.File {
	fs := l.CertificateFiles(c)
	for i := range fs {
		fs[i].Bare = kept[tlsPlaced] != ""
	}
	return fs
}
