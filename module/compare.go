package module

import (
	"context"
	"path"
	"strings"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A difference is a file that differed, and the name it is about: empty for those of
// the server as a whole. Of a mailbox it is the directory.
type difference struct {
	name        string
	box         mail.Address // zero: a file
	certificate string       // that the file is of; empty: of none that mail domains have
	finding     files.Finding
}

// compare finds the files that differ, without a lock: changes go on meanwhile.
func (m *Module) compare(ctx context.Context) ([]difference, error) {
	var differ []difference
	keys := map[string]bool{} // that stand, and may be of nobody
	note := func(name string, fs []files.File) error {
		for _, f := range fs {
			delete(keys, f.Path)
			finding, is, err := m.tree.Compare(f)
			if err != nil {
				return err
			}
			if is {
				differ = append(differ, difference{name: name, finding: finding})
			}
		}
		return nil
	}
	extra := map[string]bool{}
	if err := m.tree.DomainNames(func(n string) error { extra[n] = true; return ctx.Err() }); err != nil {
		return nil, err
	}
	if err := m.tree.KeyNames(func(n string) error { keys[n] = true; return ctx.Err() }); err != nil {
		return nil, err
	}
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		whole, err := m.wholeFiles(ctx, tx)
		if err != nil {
			return err
		}
		served, err := m.compareCertificates(ctx, tx)
		differ = append(differ, served...)
		if err != nil {
			return err
		}
		if err := note("", whole); err != nil {
			return err
		}
		return tx.Domains(ctx, func(d mail.Domain) error {
			s, err := side(ctx, tx, d)
			if err != nil {
				return err
			}
			fs, err := m.tree.Layout().Files(s)
			if err != nil {
				return err
			}
			delete(extra, d.Name.String())
			for _, b := range s.Boxes {
				if finding, is := m.tree.BoxDrift(b.Address()); is {
					differ = append(differ, difference{name: d.Name.String(), box: b.Address(), finding: finding})
				}
			}
			return note(d.Name.String(), fs)
		})
	})
	if err != nil {
		return nil, err
	}
	for n := range extra {
		if err := note(n, m.tree.NoFiles(n)); err != nil {
			return nil, err
		}
	}
	for p := range keys {
		finding, is, err := m.tree.Compare(files.File{Path: p})
		if err != nil {
			return nil, err
		}
		if is && finding.Drift != files.FileForeign { // what others keep there is theirs
			differ = append(differ, difference{name: keyOf(p), finding: finding})
		}
	}
	return differ, nil
}

// keyOf is the domain in the path of a key.
func keyOf(p string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(path.Base(p), ".private"), "_")
	return name
}

// side is a domain with all that its files say.
func side(ctx context.Context, tx *store.Tx, d mail.Domain) (files.Side, error) {
	s := files.Side{Domain: &d}
	var err error
	if d.Mailboxes > 0 {
		if s.Boxes, err = tx.MailboxesOf(ctx, d.Name); err != nil {
			return s, err
		}
	}
	if s.Listed, err = tx.ListedOf(ctx, d.Name); err != nil {
		return s, err
	}
	s.Keys, err = tx.KeysOf(ctx, d.Name)
	return s, err
}

// wholeFiles are the files that are about no one domain.
func (m *Module) wholeFiles(ctx context.Context, tx *store.Tx) ([]files.File, error) {
	ips, err := tx.SourceIPs(ctx)
	if err != nil {
		return nil, err
	}
	f, err := m.tree.Layout().DomainIPsFile(ips)
	if err != nil {
		return nil, err
	}
	own, err := m.ownFiles(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.ServedRows(ctx)
	if err != nil {
		return nil, err
	}
	lists, err := listFiles(m.tree.Layout(), blocks(rows))
	return append(append(own, lists...), f), err
}
