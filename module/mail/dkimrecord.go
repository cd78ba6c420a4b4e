package mail

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A DKIMRecord is the public half of a selector as DNS has it (RFC 6376 section 3.6.1).
type DKIMRecord struct {
	Algorithm DKIMAlgorithm // k=; other words than the two known are kept
	Key       []byte        // p=: SubjectPublicKeyInfo for RSA, 32 bytes for Ed25519; empty: revoked
	Hashes    []string      // h=; empty: all
	Services  []string      // s=; empty: all, as "*"
	Testing   bool          // t=y: receivers are to act as if nothing were signed
	Strict    bool          // t=s: no subdomains in i=
	Notes     string        // n=
}

// ParseDKIMRecord reads the joined strings of a TXT record.
func ParseDKIMRecord(s string) (DKIMRecord, error) {
	tags, err := parseTags(s)
	if err != nil {
		return DKIMRecord{}, fmt.Errorf("read a DKIM record: %w", err)
	}
	r := DKIMRecord{Algorithm: DKIMRSA}
	hasKey := false
	for i, t := range tags {
		switch t.name {
		case "v":
			if i != 0 || t.value != "DKIM1" {
				return DKIMRecord{}, errors.New("read a DKIM record: v= is not DKIM1, or not the first tag")
			}
		case "k":
			if r.Algorithm = DKIMAlgorithm(t.value); t.value == "" {
				return DKIMRecord{}, errors.New("read a DKIM record: k= is empty")
			}
		case "h":
			r.Hashes = colonList(t.value)
		case "s":
			r.Services = colonList(t.value)
		case "t":
			flags := colonList(t.value)
			r.Testing, r.Strict = slices.Contains(flags, "y"), slices.Contains(flags, "s")
		case "n":
			r.Notes = t.value
		case "p":
			hasKey = true
			if r.Key, err = base64.StdEncoding.DecodeString(noSpace(t.value)); err != nil {
				return DKIMRecord{}, errors.New("read a DKIM record: p= is not base64")
			}
		}
	}
	if !hasKey {
		return DKIMRecord{}, errors.New("read a DKIM record: there is no p=")
	}
	return r, nil
}

// String is the record in one line, as ParseDKIMRecord reads it and as
// opendkim-genkey orders its tags.
func (r DKIMRecord) String() string {
	s := "v=DKIM1"
	if r.Notes != "" {
		s += "; n=" + r.Notes
	}
	if len(r.Hashes) > 0 {
		s += "; h=" + strings.Join(r.Hashes, ":")
	}
	if r.Algorithm != "" {
		s += "; k=" + string(r.Algorithm)
	}
	switch {
	case r.Testing && r.Strict:
		s += "; t=y:s"
	case r.Testing:
		s += "; t=y"
	case r.Strict:
		s += "; t=s"
	}
	if len(r.Services) > 0 {
		s += "; s=" + strings.Join(r.Services, ":")
	}
	return s + "; p=" + base64.StdEncoding.EncodeToString(r.Key)
}

// Revoked says that the record takes its key back (RFC 6376 section 3.6.1, p=).
func (r DKIMRecord) Revoked() bool { return len(r.Key) == 0 }

// Bits is the length of the key; 0 where it cannot be read.
func (r DKIMRecord) Bits() int {
	switch k := r.publicKey().(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case ed25519.PublicKey:
		return 256
	}
	return 0
}

// SameKey says that both records verify the same signatures. An RSA key is the
// same whether bare or in a SubjectPublicKeyInfo: both are met (errata 3017).
func (r DKIMRecord) SameKey(q DKIMRecord) bool {
	if r.Algorithm != q.Algorithm {
		return false
	}
	a, b := r.publicKey(), q.publicKey()
	if k, ok := a.(*rsa.PublicKey); ok {
		other, ok := b.(*rsa.PublicKey)
		return ok && k.Equal(other)
	}
	return bytes.Equal(r.Key, q.Key)
}

// publicKey is nil where the bytes are no key of the algorithm.
func (r DKIMRecord) publicKey() any {
	switch r.Algorithm {
	case DKIMRSA:
		if k, err := x509.ParsePKIXPublicKey(r.Key); err == nil {
			if k, ok := k.(*rsa.PublicKey); ok {
				return k
			}
			return nil
		}
		if k, err := x509.ParsePKCS1PublicKey(r.Key); err == nil {
			return k
		}
	case DKIMEd25519:
		if len(r.Key) == ed25519.PublicKeySize {
			return ed25519.PublicKey(r.Key)
		}
	}
	return nil
}

// Takes says that the record lets mail be signed with SHA-256.
func (r DKIMRecord) Takes() bool {
	hash := len(r.Hashes) == 0 || slices.Contains(r.Hashes, "sha256")
	service := len(r.Services) == 0 || slices.Contains(r.Services, "email") || slices.Contains(r.Services, "*")
	return hash && service
}

// DKIMName is where the key record of a selector stands (RFC 6376 section 3.6.2.1).
func DKIMName(s Selector, d Name) string { return s.s + "._domainkey." + d.ascii }
