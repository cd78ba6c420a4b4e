package core

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

// Bounds of what a form brings.
const (
	maxChainText = 64 << 10 // bytes
	maxKeyText   = 16 << 10
	maxChain     = 10 // certificates in a chain
	minRSA       = 2048
	maxRSA       = 8192
)

// parseChain reads the certificate that now holds, with those that issued it after
// it, and returns the certificate and all of them as PEM. Nothing of the text
// stands in its error: it may have a key in it.
func parseChain(text string, now time.Time) (leaf *x509.Certificate, chain string, err error) {
	if len(text) > maxChainText {
		return nil, "", badValue("certificate", "", "cert_long", maxChainText)
	}
	var all []*x509.Certificate
	var out strings.Builder
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return nil, "", badValue("certificate", "", "cert_pem")
		}
		x, err := x509.ParseCertificate(b.Bytes)
		if err != nil || tooLarge(x) {
			return nil, "", badValue("certificate", "", "cert_pem")
		}
		all = append(all, x)
		if err := pem.Encode(&out, &pem.Block{Type: b.Type, Bytes: b.Bytes}); err != nil {
			return nil, "", err
		}
	}
	if len(all) == 0 || len(all) > maxChain {
		return nil, "", badValue("certificate", "", "cert_pem")
	}
	for i, x := range all[1:] {
		if all[i].CheckSignatureFrom(x) != nil {
			return nil, "", badValue("certificate", "", "cert_order")
		}
	}
	leaf = all[0]
	switch {
	case now.Before(leaf.NotBefore):
		return nil, "", badValue("certificate", "", "cert_early")
	case !now.Before(leaf.NotAfter):
		return nil, "", badValue("certificate", "", "cert_expired")
	case len(leaf.DNSNames) == 0 || !forServers(leaf):
		return nil, "", badValue("certificate", "", "cert_host")
	}
	return leaf, out.String(), nil
}

// tooLarge says whether it would take long to check a signature with the key of x.
func tooLarge(x *x509.Certificate) bool {
	public, ok := x.PublicKey.(*rsa.PublicKey)
	return ok && public.N.BitLen() > maxRSA
}

// forServers says whether the certificate may prove who a server is (RFC 5280 section 4.2.1.12).
func forServers(x *x509.Certificate) bool {
	return len(x.ExtKeyUsage)+len(x.UnknownExtKeyUsage) == 0 ||
		slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// parseKey reads the private key of a certificate and returns it as PKCS #8.
// Nothing of it stands in the error.
func parseKey(text string, leaf *x509.Certificate) (string, error) {
	if len(text) > maxKeyText {
		return "", badValue("key", "", "cert_long", maxKeyText)
	}
	var key crypto.Signer
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type == "EC PARAMETERS" { // openssl writes them before the key
			continue
		}
		k := decodeKey(b)
		if k == nil || key != nil {
			return "", badValue("key", "", "cert_key")
		}
		key = k
	}
	if key == nil {
		return "", badValue("key", "", "cert_key")
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return "", badValue("key", "", "cert_match")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", badValue("key", "", "cert_key")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// decodeKey returns a key that mail and web servers can use; nil for none.
func decodeKey(b *pem.Block) crypto.Signer {
	var key any
	var err error
	switch b.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n >= minRSA && n <= maxRSA {
			return k
		}
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize >= 256 {
			return k
		}
	}
	return nil
}
