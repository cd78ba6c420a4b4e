package mail

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// ServerCertificate is the name of the certificate that is served where no other
// one fits.
const ServerCertificate = "default"

// A Certificate is a chain with its key.
type Certificate struct {
	Name   string // what files are called after it
	Chain  []byte // PEM, the certificate itself first
	Key    []byte // PEM; never shown
	Expire time.Time
}

// SelfSign makes a certificate for names that nobody vouches for: ECDSA over P-256,
// valid from a day before now, for clocks that go wrong.
func SelfSign(names []Name, now, until time.Time) (Certificate, error) {
	key, err := NewKey()
	if err != nil {
		return Certificate{}, err
	}
	return SelfSignWith(key, names, now, until)
}

// SelfSignWith is SelfSign with a key that there is already, in PEM.
func SelfSignWith(keyPEM []byte, names []Name, now, until time.Time) (Certificate, error) {
	key, err := ParseKey(keyPEM)
	if err != nil {
		return Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Certificate{}, fmt.Errorf("draw a serial number: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName(names)},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		t.DNSNames = append(t.DNSNames, n.String())
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return Certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return Certificate{Chain: chain, Key: keyPEM, Expire: until}, nil
}

// commonName is the first name that fits: it may have 64 characters (RFC 5280,
// appendix A.1).
func commonName(names []Name) string {
	for _, n := range names {
		if len(n.String()) <= 64 {
			return n.String()
		}
	}
	return ""
}
