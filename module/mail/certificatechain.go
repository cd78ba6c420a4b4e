package mail

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"time"
)

// A Chain is what a certificate says, and the certificates that vouch for it.
type Chain struct {
	Names       []string // that it is for: A-labels in lower case, the first label may be "*"
	Issuer      string   // who signed it, for people
	NotBefore   time.Time
	NotAfter    time.Time
	SelfSigned  bool     // nobody vouches for it but itself
	Fingerprint [32]byte // SHA-256 of the certificate itself

	certs []*x509.Certificate // the certificate first, each signed by the next
}

// What a chain may be at most: a public one has three certificates and 6 KB.
const (
	maxChainBytes = 64 << 10
	maxKeyBytes   = 16 << 10
	maxCerts      = 10
)

// Leaf is the certificate itself.
func (c Chain) Leaf() *x509.Certificate { return c.certs[0] }

// PEM is the chain as servers send it: the certificate first, the root left out,
// for clients have it or trust nothing by it (RFC 8446 section 4.4.2).
func (c Chain) PEM() []byte {
	var b bytes.Buffer
	for _, cert := range c.certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return b.Bytes()
}

// ParseChain reads certificates in PEM, in any order: the only one that signed
// none of the others comes first, and those that do not vouch for it are left
// out. Errors are about the field "certificate".
func ParseChain(text []byte) (Chain, error) {
	given, err := parseCertificates(text)
	if err != nil {
		return Chain{}, err
	}
	leaf, err := leafOf(given)
	if err != nil {
		return Chain{}, err
	}
	c := Chain{
		Issuer: issuerOf(leaf), NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
		SelfSigned: signedByItself(leaf), Fingerprint: sha256.Sum256(leaf.Raw), certs: chainOf(leaf, given),
	}
	for _, n := range leaf.DNSNames {
		if n = strings.ToLower(strings.TrimSuffix(n, ".")); !slices.Contains(c.Names, n) {
			c.Names = append(c.Names, n)
		}
	}
	return c, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxChainBytes {
		return nil, wrong("certificate", "", "value_certificate_large")
	}
	var cs []*x509.Certificate
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if strings.HasSuffix(b.Type, "PRIVATE KEY") { // it would be shown as certificates are
			return nil, wrong("certificate", "", "value_certificate_key")
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if b.Type != "CERTIFICATE" || err != nil {
			return nil, wrong("certificate", "", "value_certificate_pem")
		}
		if !slices.ContainsFunc(cs, c.Equal) {
			cs = append(cs, c)
		}
	}
	switch {
	case len(cs) == 0:
		return nil, wrong("certificate", "", "value_certificate_pem")
	case len(cs) > maxCerts:
		return nil, wrong("certificate", "", "value_certificate_large")
	}
	return cs, nil
}

// leafOf is the one certificate that signed none of the others.
func leafOf(given []*x509.Certificate) (*x509.Certificate, error) {
	var leaf *x509.Certificate
	for _, c := range given {
		signs := func(o *x509.Certificate) bool { return o != c && o.CheckSignatureFrom(c) == nil }
		if c.IsCA && (len(given) > 1 || !signedByItself(c)) || slices.ContainsFunc(given, signs) {
			continue
		}
		if leaf != nil {
			return nil, wrong("certificate", "", "value_certificate_several")
		}
		leaf = c
	}
	if leaf == nil {
		return nil, wrong("certificate", "", "value_certificate_ca")
	}
	return leaf, nil
}

// chainOf goes from the certificate up to the last that is given, without the root.
func chainOf(leaf *x509.Certificate, given []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for last := leaf; ; last = chain[len(chain)-1] {
		i := slices.IndexFunc(given, func(c *x509.Certificate) bool {
			return !slices.Contains(chain, c) && !signedByItself(c) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			return chain
		}
		chain = append(chain, given[i])
	}
}

// signedByItself looks at the signature, not only at the names. A certificate of
// a server's own need not be one that may sign (RFC 5280 section 4.2.1.9).
func signedByItself(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func issuerOf(c *x509.Certificate) string {
	if len(c.Issuer.Organization) > 0 {
		return strings.TrimSpace(c.Issuer.Organization[0] + " " + c.Issuer.CommonName)
	}
	return c.Issuer.CommonName
}

// Covers says that a client that asks for n takes the certificate: the name itself
// is in it, or a wildcard for exactly its first label (RFC 9525 section 6.3).
func (c Chain) Covers(n Name) bool {
	first, rest, _ := strings.Cut(n.String(), ".")
	return slices.Contains(c.Names, n.String()) || first != "" && slices.Contains(c.Names, "*."+rest)
}

// CoversAll says so of each.
func (c Chain) CoversAll(names []Name) bool {
	return !slices.ContainsFunc(names, func(n Name) bool { return !c.Covers(n) })
}

// checkLeaf refuses what a client or a mail server would.
func checkLeaf(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return wrong("certificate", "", "value_certificate_expired", "date", c.NotAfter.UTC().Format(time.DateOnly))
	case now.Add(24 * time.Hour).Before(c.NotBefore): // clocks go wrong by less
		return wrong("certificate", "", "value_certificate_early", "date", c.NotBefore.UTC().Format(time.DateOnly))
	case len(c.DNSNames) == 0: // a name in the subject alone counts nowhere any more (RFC 9525 section 2)
		return wrong("certificate", "", "value_certificate_names")
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return wrong("certificate", "", "value_certificate_usage")
	}
	for _, n := range c.DNSNames {
		if net.ParseIP(n) == nil && !dnsName(strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(n, ".")), "*.")) {
			return wrong("certificate", n, "value_certificate_names")
		}
	}
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
	default:
		return wrong("certificate", c.SignatureAlgorithm.String(), "value_certificate_weak")
	}
	return checkPublicKey(c.PublicKey)
}

// checkPublicKey wants a key that every client understands and that no handshake
// takes long with: RSA of 2048 to 8192 bits, or ECDSA over P-256 or P-384.
func checkPublicKey(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= 8192 {
			return nil
		}
	case *ecdsa.PublicKey:
		if name := k.Curve.Params().Name; name == "P-256" || name == "P-384" {
			return nil
		}
	}
	return wrong("certificate", "", "value_certificate_weak")
}
