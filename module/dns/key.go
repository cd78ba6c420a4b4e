package dns

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A Key is a secret shared with a name server (TSIG, RFC 8945). It prints as its
// name. The zero Key signs nothing: the server then knows us by our address.
type Key struct {
	name      string
	algorithm string
	secret    string
}

// Algorithms are those that a key may have, the default first.
var Algorithms = []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224"}

// fewestSecretBytes is short for RFC 8945, and still what tsig-keygen of old gave.
const fewestSecretBytes = 16

// ParseKey reads a key as BIND's key block has it; an empty algorithm is the
// default one. The error never holds a part of the secret.
func ParseKey(name, algorithm, secret string) (Key, error) {
	if algorithm == "" {
		algorithm = Algorithms[0]
	}
	algorithm = strings.ToLower(strings.TrimSuffix(algorithm, "."))
	known := false
	for _, a := range Algorithms {
		known = known || a == algorithm
	}
	if !known {
		return Key{}, fmt.Errorf("read a TSIG key: the algorithm is none of %s", strings.Join(Algorithms, ", "))
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, ok := dns.IsDomainName(name); !ok || name == "" || wireName(name) != name+"." {
		return Key{}, errors.New("read a TSIG key: its name is no domain name")
	}
	b, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(b) < fewestSecretBytes {
		return Key{}, fmt.Errorf("read a TSIG key: the secret is not base64 of %d bytes or more", fewestSecretBytes)
	}
	return Key{name + ".", algorithm + ".", secret}, nil
}

// IsZero says that k signs nothing.
func (k Key) IsZero() bool { return k == Key{} }

// String is the key's name.
func (k Key) String() string { return plainName(k.name) }

// GoString is String, for %#v.
func (k Key) GoString() string { return "dns.Key(" + k.String() + ")" }
