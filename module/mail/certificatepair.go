package mail

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// ParseCertificate reads a certificate with its chain, and its private key, as an
// owner or an authority gives them, and writes them down anew: only the
// certificates and the key, in the order in which servers send them. Errors are
// about the fields "certificate" and "key", and hold nothing of the key.
func ParseCertificate(chain, key []byte, now time.Time) (Certificate, Chain, error) {
	c, err := ParseChain(chain)
	if err != nil {
		return Certificate{}, Chain{}, err
	}
	if err := checkLeaf(c.Leaf(), now); err != nil {
		return Certificate{}, Chain{}, err
	}
	k, err := ParseKey(key)
	if err != nil {
		return Certificate{}, Chain{}, err
	}
	if public, is := k.Public().(interface{ Equal(crypto.PublicKey) bool }); !is || !public.Equal(c.Leaf().PublicKey) {
		return Certificate{}, Chain{}, wrong("key", "", "value_key_other")
	}
	text, err := keyPEM(k)
	if err != nil {
		return Certificate{}, Chain{}, err
	}
	return Certificate{Chain: c.PEM(), Key: text, Expire: c.NotAfter}, c, nil
}

// NewKey makes a private key for a certificate or an account: ECDSA over P-256, PEM.
func NewKey() ([]byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return keyPEM(k)
}

// ParseKey reads a private key in PEM: PKCS #8, or what openssl writes for RSA and
// ECDSA. Errors are about the field "key" and hold nothing of it; they have no
// cause, for those of the parsers quote what they read.
func ParseKey(text []byte) (crypto.Signer, error) {
	if len(text) > maxKeyBytes {
		return nil, wrong("key", "", "value_key_pem")
	}
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, wrong("key", "", "value_key_pem")
		}
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, wrong("key", "", "value_key_password")
		case !strings.HasSuffix(b.Type, "PRIVATE KEY"): // parameters of the curve, or the certificate again
			continue
		}
		if k := signer(b); k != nil {
			return k, nil
		}
		return nil, wrong("key", "", "value_key_pem")
	}
}

func signer(b *pem.Block) crypto.Signer {
	var k any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		k, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	}
	if s, is := k.(crypto.Signer); is && err == nil {
		return s
	}
	return nil
}

func keyPEM(k crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("write a key down: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
