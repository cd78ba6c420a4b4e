package module

import (
	"context"
	"fmt"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// certificatesStand makes sure that every file which Dovecot's list names is there, as
// the database has it: one that is missing stops every log-in, and the reload is
// answered with success. What differs reconcile puts right.
func (m *Module) certificatesStand(ctx context.Context) error {
	wrong, err := m.certificateDrift(ctx, m.db.View)
	if err == nil && len(wrong) > 0 { // a change on its way, or more
		wrong, err = m.certificateDrift(ctx, m.db.Alone)
	}
	if err != nil || len(wrong) == 0 {
		return err
	}
	m.unpublished.Store(true)
	return fmt.Errorf("%d files of certificates are not in place, /%s is %s", len(wrong), wrong[0].Path, wrong[0].Drift)
}

// certificateDrift are the files that Dovecot's list names, and the list, where they differ.
func (m *Module) certificateDrift(ctx context.Context, read func(context.Context, func(context.Context, *store.Tx) error) error) (wrong []files.Finding, err error) {
	l := m.tree.Layout()
	err = read(ctx, func(ctx context.Context, tx *store.Tx) error {
		wrong = nil
		rows, err := tx.ServedRows(ctx)
		if err != nil {
			return err
		}
		bs := blocks(rows)
		lists, err := listFiles(l, bs)
		if err != nil {
			return err
		}
		kept, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		names := blockNames(bs)
		all := lists
		err = tx.Certificates(ctx, func(c store.CertificateRow) error {
			switch {
			case c.Name == mail.ServerCertificate:
				all = append(all, serverFiles(l, c.Certificate, kept)...)
			case names[c.Name]:
				all = append(all, l.CertificateFiles(c.Certificate)...)
			}
			return nil
		})
		for _, f := range all {
			if err != nil {
				return err
			}
			var is bool
			var finding files.Finding
			if finding, is, err = m.tree.Compare(f); is {
				wrong = append(wrong, finding)
			}
		}
		return err
	})
	return wrong, err
}

// listFiles are the two lists of what is served.
func listFiles(l files.Layout, bs []block) ([]files.File, error) {
	sni, err := l.SNIFile(certificates(bs))
	if err != nil {
		return nil, err
	}
	conf, err := l.CertsConfFile(certificates(bs))
	return []files.File{sni, conf}, err
}

// blockNames are what files of certificates are called after.
func blockNames(bs []block) map[string]bool {
	names := map[string]bool{}
	for _, b := range bs {
		names[b.Name] = true
	}
	return names
}
