package module

import (
	"context"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// compareCertificates finds the files of mail domains' certificates that differ: those
// that the lists name, and, when Dovecot has nothing to be told of, those that nothing
// names.
func (m *Module) compareCertificates(ctx context.Context, tx *store.Tx) (differ []difference, err error) {
	s, applied, err := m.servedState(ctx, tx)
	if err != nil {
		return nil, err
	}
	names := blockNames(s.blocks)
	note := func(name string, f files.File) error {
		finding, is, err := m.tree.Compare(f)
		// What others keep there under other names is theirs.
		if is && (f.Body != nil || finding.Drift != files.FileForeign) {
			differ = append(differ, difference{certificate: name, finding: finding})
		}
		return err
	}
	err = tx.Certificates(ctx, func(c store.CertificateRow) error {
		if !names[c.Name] {
			return nil
		}
		for _, f := range m.tree.Layout().CertificateFiles(c.Certificate) {
			if err := note(c.Name, f); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil || !applied {
		return differ, err
	}
	err = m.tree.CertificateNames(func(p string) error {
		if n := certificateIn(p); !names[n] && n != mail.ServerCertificate {
			return note(n, files.File{Path: p})
		}
		return ctx.Err()
	})
	return differ, err
}

// A look remembers, for one transaction, what all files that differ are held against:
// of thousands each would read it anew.
type look struct {
	whole  map[string]files.File // those that are about no one domain, by path; nil: not read
	served map[string]bool       // certificates that the lists name; nil: not read
}

func (k *look) wholeFile(ctx context.Context, m *Module, tx *store.Tx, path string) (files.File, bool, error) {
	if k.whole == nil {
		all, err := m.wholeFiles(ctx, tx)
		if err != nil {
			return files.File{}, false, err
		}
		k.whole = map[string]files.File{}
		for _, f := range all {
			k.whole[f.Path] = f
		}
	}
	f, found := k.whole[path]
	return f, found, nil
}

// certificateFile is a file of a certificate as the database has it now; without a body
// where nothing names it.
func (k *look) certificateFile(ctx context.Context, m *Module, tx *store.Tx, name, path string) (files.File, error) {
	none := files.File{Path: path}
	if k.served == nil {
		rows, err := tx.ServedRows(ctx)
		if err != nil {
			return none, err
		}
		k.served = blockNames(blocks(rows))
	}
	if !k.served[name] {
		return none, nil
	}
	c, err := certificateOf(ctx, tx, name)
	if err != nil || c == nil {
		return none, err
	}
	for _, f := range m.tree.Layout().CertificateFiles(c.Certificate) {
		if f.Path == path {
			return f, nil
		}
	}
	return none, nil
}
