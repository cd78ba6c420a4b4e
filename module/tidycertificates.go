package module

import (
	"context"
	"fmt"
	"path"
	"slices"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// tidiedAtATime is how many files are removed while the database is locked.
const tidiedAtATime = 64

func (m *Module) tidiedOnce() bool {
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	return m.reloads.tidied
}

// tidyCertificates removes the files of certificates that are served no more, unless
// Dovecot is to be told of something.
func (m *Module) tidyCertificates(ctx context.Context, wanted bool) error {
	if !wanted {
		return nil
	}
	stale, err := m.staleCertificates(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(stale, tidiedAtATime) {
		err := m.db.Alone(ctx, func(ctx context.Context, tx *store.Tx) error {
			s, applied, err := m.servedState(ctx, tx)
			if err != nil || !applied {
				return err
			}
			names := blockNames(s.blocks)
			for _, p := range part {
				if names[certificateIn(p)] {
					continue
				}
				finding, is, err := m.tree.Compare(files.File{Path: p})
				if err == nil && is && finding.Drift == files.FileStale {
					err = m.tree.Put(files.File{Path: p})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove certificates that are served no more: %w", err)
		}
	}
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	m.reloads.tidied = true
	return nil
}

// staleCertificates are the files of certificates that stand and that nothing names.
func (m *Module) staleCertificates(ctx context.Context) (stale []string, err error) {
	var names map[string]bool
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.ServedRows(ctx)
		names = blockNames(blocks(rows))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = m.tree.CertificateNames(func(p string) error {
		if n := certificateIn(p); !names[n] && n != mail.ServerCertificate {
			stale = append(stale, p)
		}
		return nil
	})
	slices.Sort(stale) // the certificate before its key
	return stale, err
}

// certificateIn is what the file of a certificate is called after.
func certificateIn(p string) string {
	b := path.Base(p)
	return b[:len(b)-len(path.Ext(b))]
}
