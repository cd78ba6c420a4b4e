package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"maildomain/module/files"
)

const hostname = "mail.lab.test"

// selfSigned is a certificate for host with its key, as PEM.
func selfSigned(host string) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &k.PublicKey, k)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

// WriteCertificate writes a self-signed default certificate for host below root,
// for Exim and for Dovecot, in place of the module's.
func WriteCertificate(root, host string) error {
	cert, key, err := selfSigned(host)
	if err != nil {
		return err
	}
	_, exim, err := ids(files.Debian.EximUser)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		body []byte
		mode os.FileMode
		gid  int
	}{
		{filepath.Join(files.Debian.SSL(), "default.crt"), cert, 0o644, 0},
		{filepath.Join(files.Debian.SSL(), "default.key"), key, 0o640, exim},
		{filepath.Join(files.Debian.Certs(), "default.crt"), cert, 0o644, 0},
		{filepath.Join(files.Debian.Certs(), "default.key"), key, 0o600, 0},
	} {
		name := filepath.Join(root, f.name)
		if err := errors.Join(os.WriteFile(name, f.body, f.mode), os.Chown(name, 0, f.gid)); err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
	}
	return nil
}

// standIn is the directory of certificates for a root in which the module has
// written none yet: Dovecot does not start without, as Exim does. Empty: there is one.
func (d *Dovecot) standIn() (string, error) {
	if _, err := os.Stat(filepath.Join(d.exim.opts.Root, files.Debian.Certs(), "default.crt")); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	cert, key, err := selfSigned(d.exim.opts.Hostname)
	if err != nil {
		return "", err
	}
	dir := d.dir("certs")
	if err := errors.Join(makeDir(dir, 0o755, 0, 0),
		os.WriteFile(filepath.Join(dir, "default.crt"), cert, 0o600),
		os.WriteFile(filepath.Join(dir, "default.key"), key, 0o600)); err != nil {
		return "", fmt.Errorf("write certificate: %w", err)
	}
	return dir, nil
}

// TLS trusts the root's default certificate and nothing else.
func (x *Exim) TLS() (*tls.Config, error) {
	text, err := os.ReadFile(filepath.Join(x.opts.Root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the default certificate is no PEM file")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: cert.Subject.CommonName}
	c.RootCAs.AddCert(cert)
	return c, nil
}
