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
	"math/big"
	"os"
	"path/filepath"
	"time"

	"maildomain/module/files"
)

const hostname = "mail.lab.test"

// WriteCertificate writes a self-signed default certificate for host below root,
// for Exim and for Dovecot, in place of the module's.
func WriteCertificate(root, host string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	_, exim, err := ids(files.Debian.EximUser)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		body       []byte
		mode       os.FileMode
		gid        int
	}{
		{filepath.Join(files.Debian.SSL(), "default.crt"), "CERTIFICATE", der, 0o644, 0},
		{filepath.Join(files.Debian.SSL(), "default.key"), "PRIVATE KEY", private, 0o640, exim},
		{filepath.Join(files.Debian.Certs(), "default.crt"), "CERTIFICATE", der, 0o644, 0},
		{filepath.Join(files.Debian.Certs(), "default.key"), "PRIVATE KEY", private, 0o600, 0},
	} {
		name := filepath.Join(root, f.name)
		if err := errors.Join(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.body}), f.mode), os.Chown(name, 0, f.gid)); err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
	}
	return nil
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
