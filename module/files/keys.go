package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"maildomain/module/mail"
)

// KeyFiles are the DKIM keys of a domain: one file each for Exim, DOMAIN_SELECTOR.private
// (no domain and no selector has an underscore: no name is another domain's), so that
// another selector and its key come into use together; and the RSA key that
// signs, or else the next one, once more as the opendkim tools know it, DOMAIN.private
// and DOMAIN.txt.
func (l Layout) KeyFiles(n mail.Name, keys []mail.SigningKey) ([]File, error) {
	var fs []File
	var shown *mail.SigningKey
	for i, k := range keys {
		pem, err := k.Key.PEM()
		if err != nil {
			return nil, fmt.Errorf("render key %s of %s: %w", k.Selector, n, err)
		}
		fs = append(fs, File{
			Path: path.Join(l.SSL(), n.String()+"_"+k.Selector.String()+".private"),
			Body: append([]byte(header), pem...), Mode: 0o640, Group: l.EximGroup,
		})
		if k.Key.Algorithm() == mail.DKIMRSA && (shown == nil || k.State == mail.KeySigning || shown.State == mail.KeyOld) {
			shown = &keys[i]
		}
	}
	if shown == nil {
		return fs, nil
	}
	pem, err := shown.Key.PEM()
	if err != nil {
		return nil, fmt.Errorf("render key %s of %s: %w", shown.Selector, n, err)
	}
	return append(fs,
		File{Path: path.Join(l.SSL(), n.String()+".private"), Body: pem, Mode: 0o640, Group: l.EximGroup, Bare: true},
		File{Path: path.Join(l.SSL(), n.String()+".txt"), Body: []byte(shown.Key.Record().GenkeyText(shown.Selector, n)), Mode: 0o644, Group: l.EximGroup, Bare: true},
	), nil
}

// signing are the selectors that letters are signed with.
func signing(keys []mail.SigningKey) []string {
	var ss []string
	for _, k := range keys {
		if k.State == mail.KeySigning {
			ss = append(ss, k.Selector.String())
		}
	}
	return ss
}

// KeyNames calls each with the path of every file of a key that stands.
func (t *Tree) KeyNames(each func(path string) error) error {
	err := t.names(t.layout.SSL(), func(n string) error {
		if !strings.HasSuffix(n, ".private") {
			return nil
		}
		return each(path.Join(t.layout.SSL(), n))
	})
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	return nil
}

// ResolvConf is the system's list of name servers, as resolv.conf(5) has it; an empty
// one, which means the server's own, where there is none.
func (t *Tree) ResolvConf() (io.ReadCloser, error) {
	f, err := t.root.Open("etc/resolv.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the system's name servers: %w", err)
	}
	return f, nil
}
