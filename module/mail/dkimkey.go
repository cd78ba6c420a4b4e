package mail

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// A DKIMAlgorithm is the k= of a key record (RFC 6376 section 3.6.1, RFC 8463 section 4).
type DKIMAlgorithm string

// The algorithms that verifiers know.
const (
	DKIMRSA     DKIMAlgorithm = "rsa"
	DKIMEd25519 DKIMAlgorithm = "ed25519"
)

// RSA keys outside of these bits are not verified by everyone (RFC 8301 section 3.2).
const (
	fewestRSABits = 1024
	mostRSABits   = 4096
)

// A DKIMKey signs letters: the secret half of a selector. It prints as its
// algorithm and length, never as itself. The zero DKIMKey is none.
type DKIMKey struct{ *keyText }

// A keyText is a key as it is written down. What letters are signed with is Exim's: here
// nobody computes with it, and to parse an RSA key takes longer than to read a domain.
// It is behind a pointer, so that nothing that holds a key prints it.
type keyText struct {
	private string // PEM, PKCS #8
	record  DKIMRecord
	bits    int
}

// What is wrong with a key that somebody brings.
var (
	ErrNoKey     = errors.New("no private key in PEM")
	ErrKeyKind   = errors.New("neither an RSA nor an Ed25519 key")
	ErrKeyLength = fmt.Errorf("an RSA key of less than %d or more than %d bits", fewestRSABits, mostRSABits)
)

// NewRSAKey makes a key of 1024 or 2048 bits. It is slow: some 50 ms for 2048.
func NewRSAKey(bits int) (DKIMKey, error) {
	if bits != 1024 && bits != 2048 {
		return DKIMKey{}, fmt.Errorf("make an RSA key of %d bits: %w", bits, ErrKeyLength)
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("make an RSA key of %d bits: %w", bits, err)
	}
	return written(k)
}

// NewEd25519Key makes a key for a second signature beside RSA (RFC 8463).
func NewEd25519Key() (DKIMKey, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	return written(k)
}

// mostPEM bounds what ParseDKIMKey looks at; an RSA key of 4096 bits has 3,300 bytes.
const mostPEM = 64 << 10

// ParseDKIMKey reads the first private key in text: PKCS #1 ("RSA PRIVATE KEY",
// RFC 8017) or PKCS #8 ("PRIVATE KEY", RFC 5208), unencrypted, as
// opendkim-genkey and openssl write them. The error is, or wraps, ErrNoKey,
// ErrKeyKind or ErrKeyLength, and never holds a part of the key.
func ParseDKIMKey(text []byte) (DKIMKey, error) {
	if len(text) > mostPEM {
		return DKIMKey{}, ErrNoKey
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return DKIMKey{}, ErrNoKey
		}
		text = rest
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return DKIMKey{}, ErrNoKey // its own words may quote the key
			}
			return keyOf(k)
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" { // encrypted (RFC 1421 section 4.6.1.3)
				return DKIMKey{}, ErrNoKey
			}
			k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return DKIMKey{}, ErrNoKey
			}
			return keyOf(k)
		case "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY":
			return DKIMKey{}, ErrKeyKind
		}
	}
}

func keyOf(k any) (DKIMKey, error) {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < fewestRSABits || n > mostRSABits {
			return DKIMKey{}, ErrKeyLength
		}
		return written(k)
	case ed25519.PrivateKey:
		return written(k)
	}
	return DKIMKey{}, ErrKeyKind
}

// written is an RSA or an Ed25519 key written down.
func written(k any) (DKIMKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("write a private key: %w", err)
	}
	t := &keyText{private: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		// SubjectPublicKeyInfo, as RFC 6376 errata 3017 and all signers have it.
		public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			return DKIMKey{}, fmt.Errorf("write a public key: %w", err)
		}
		t.record, t.bits = recordOf(DKIMRSA, public), k.N.BitLen()
	case ed25519.PrivateKey:
		t.record, t.bits = recordOf(DKIMEd25519, k.Public().(ed25519.PublicKey)), 256 // the bare 32 bytes (RFC 8463 section 4)
	}
	return DKIMKey{t}, nil
}

// recordOf is a key record for mail only, SHA-256 only.
func recordOf(a DKIMAlgorithm, public []byte) DKIMRecord {
	return DKIMRecord{Algorithm: a, Key: public, Hashes: []string{"sha256"}, Services: []string{"email"}}
}

// StoredDKIMKey is a key of which PEM and Record were written down. The private half is
// taken as it stands.
func StoredDKIMKey(private, record string) (DKIMKey, error) {
	r, err := ParseDKIMRecord(record)
	if err != nil {
		return DKIMKey{}, err
	}
	bits := r.Bits()
	if bits == 0 || private == "" {
		return DKIMKey{}, ErrNoKey
	}
	return DKIMKey{&keyText{private, r, bits}}, nil
}

// IsZero says that k is no key.
func (k DKIMKey) IsZero() bool { return k.keyText == nil }

// Algorithm is the k= of its record; empty for the zero key.
func (k DKIMKey) Algorithm() DKIMAlgorithm {
	if k.IsZero() {
		return ""
	}
	return k.record.Algorithm
}

// Bits is the length of the key: 1024 to 4096 for RSA, 256 for Ed25519.
func (k DKIMKey) Bits() int {
	if k.IsZero() {
		return 0
	}
	return k.bits
}

// PEM is the key in PKCS #8, which Exim, opendkim and openssl read.
func (k DKIMKey) PEM() ([]byte, error) {
	if k.IsZero() {
		return nil, ErrNoKey
	}
	return []byte(k.private), nil
}

// Record is the key record that the world verifies k's signatures with: for mail
// only, SHA-256 only. For the zero key it is a revoked one.
func (k DKIMKey) Record() DKIMRecord {
	if k.IsZero() {
		return recordOf("", nil)
	}
	return k.record
}

// String is "rsa 2048" or "ed25519 256": a log line never holds a secret.
func (k DKIMKey) String() string {
	if k.IsZero() {
		return "no key"
	}
	return fmt.Sprintf("%s %d", k.Algorithm(), k.Bits())
}

// GoString is String, for %#v.
func (k DKIMKey) GoString() string { return "mail.DKIMKey(" + k.String() + ")" }

// MarshalText refuses: a private key leaves as PEM, asked for by name.
func (k DKIMKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a private key is not written in passing")
}

// GenkeyText is the file SELECTOR.txt that `opendkim-genkey -r -d DOMAIN -s SELECTOR`
// (2.11 of Debian 12) writes beside a key of this record, byte for byte.
func (r DKIMRecord) GenkeyText(s Selector, d Name) string {
	// It cuts after 250 characters, and opens one more string when nothing is left.
	p := base64.StdEncoding.EncodeToString(r.Key)
	text := s.s + "._domainkey\tIN\tTXT\t( \"v=DKIM1; h=sha256; k=" + string(r.Algorithm) + "; s=email; \"\n\t  \"p="
	for len(p) >= 250 {
		text += p[:250] + "\"\n\t  \""
		p = p[250:]
	}
	return text + p + "\" )  ; ----- DKIM key " + s.s + " for " + d.ascii + "\n"
}
