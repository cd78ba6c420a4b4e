package files

import (
	"path"

	"maildomain/module/mail"
)

// SecretFile is the secret that Exim signs rewritten senders with (SRS); no file for
// none.
func (l Layout) SecretFile(srs string) (File, error) {
	p := path.Join(l.Exim, "maildomain.secret")
	if srs == "" {
		return File{Path: p}, nil
	}
	t := newLines()
	t.set("srs", srs)
	return t.file(l, p)
}

// CertificateFiles are a certificate and its key for Exim and for Dovecot, the key
// before the certificate of each; no files for none. What stands before the first
// line of PEM is a comment (RFC 7468 section 2). Who renews certificates by other means
// may copy them here without it: where the database names one, the files are ours.
func (l Layout) CertificateFiles(c mail.Certificate) []File {
	if c.Name == "" {
		return nil
	}
	text := func(pem []byte) []byte { return append([]byte(header), pem...) }
	exim, dovecot := path.Join(l.SSL(), c.Name), path.Join(l.Certs(), c.Name)
	return []File{
		{Path: exim + ".key", Body: text(c.Key), Mode: 0o640, Group: l.EximGroup, Bare: true},
		{Path: exim + ".crt", Body: text(c.Chain), Mode: 0o644, Group: l.EximGroup, Bare: true},
		{Path: dovecot + ".key", Body: text(c.Key), Mode: 0o600, Bare: true},
		{Path: dovecot + ".crt", Body: text(c.Chain), Mode: 0o644, Bare: true},
	}
}
