package mail

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// An issuer signs certificates in a test.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

var serials = big.NewInt(1)

// sign makes a certificate; change may make it odd. A nil issuer signs by itself.
func (by *issuer) sign(t *testing.T, key crypto.Signer, change func(*x509.Certificate), names ...string) *issuer {
	t.Helper()
	serials = new(big.Int).Add(serials, big.NewInt(1))
	c := &x509.Certificate{
		SerialNumber: serials, Subject: pkix.Name{CommonName: fmt.Sprint("certificate ", serials)}, DNSNames: names,
		NotBefore: noon.Add(-24 * time.Hour), NotAfter: noon.Add(90 * 24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, made, key}
}

func (by *issuer) authority(t *testing.T) *issuer {
	return by.sign(t, ecdsaKey(t, elliptic.P256()), func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	})
}

func (by *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: by.cert.Raw})
}

func (by *issuer) keyPEM() []byte {
	text, err := keyPEM(by.key)
	if err != nil {
		by.t.Fatal(err)
	}
	return text
}

func ecdsaKey(t *testing.T, c elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certNames(t *testing.T, ss ...string) []Name {
	t.Helper()
	var ns []Name
	for _, s := range ss {
		n, err := ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	return ns
}

func TestChainIsPutInOrderWhateverIsGiven(t *testing.T) {
	root := (*issuer)(nil).authority(t)
	upper := root.authority(t)
	lower := upper.authority(t)
	stranger := root.authority(t)
	leaf := lower.sign(t, ecdsaKey(t, elliptic.P256()), nil, "mail.a.example")
	want := bytes.Join([][]byte{leaf.pem(), lower.pem(), upper.pem()}, nil)
	for what, given := range map[string][][]byte{
		"in order":            {leaf.pem(), lower.pem(), upper.pem()},
		"backwards, the root": {root.pem(), upper.pem(), lower.pem(), leaf.pem()},
		"mixed":               {lower.pem(), stranger.pem(), leaf.pem(), upper.pem(), root.pem()},
		"twice":               {leaf.pem(), leaf.pem(), lower.pem(), upper.pem(), lower.pem()},
		"with text":           {[]byte("subject: x\n"), leaf.pem(), []byte("\nissuer\n"), lower.pem(), upper.pem(), []byte("the end")},
		"CRLF":                {bytes.ReplaceAll(leaf.pem(), []byte("\n"), []byte("\r\n")), lower.pem(), upper.pem()},
	} {
		c, chain, err := ParseCertificate(bytes.Join(given, nil), leaf.keyPEM(), noon)
		if err != nil || !bytes.Equal(c.Chain, want) || chain.SelfSigned || !c.Expire.Equal(leaf.cert.NotAfter) {
			t.Errorf("%s: %v\n%s", what, err, c.Chain)
		}
		if again, _, err := ParseCertificate(c.Chain, c.Key, noon); err != nil || !bytes.Equal(again.Chain, c.Chain) || !bytes.Equal(again.Key, c.Key) {
			t.Errorf("%s: what was written reads back otherwise: %v", what, err)
		}
	}
	// Without what vouches for it, it is taken: some clients have it.
	if c, _, err := ParseCertificate(leaf.pem(), leaf.keyPEM(), noon); err != nil || !bytes.Equal(c.Chain, leaf.pem()) {
		t.Errorf("alone: %v", err)
	}
}

func TestPairThatServersOrClientsWouldRefuseIsRefused(t *testing.T) {
	root := (*issuer)(nil).authority(t)
	key := ecdsaKey(t, elliptic.P256())
	good := root.sign(t, key, nil, "mail.a.example")
	other := root.sign(t, ecdsaKey(t, elliptic.P256()), nil, "b.example")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	odd := func(change func(*x509.Certificate), names ...string) []byte {
		return root.sign(t, key, change, names...).pem()
	}
	short := rsaKey(t, 1024)
	for what, c := range map[string]struct {
		chain, key []byte
		text       string
	}{
		"nothing":           {nil, good.keyPEM(), "value_certificate_pem"},
		"text":              {[]byte("hello"), good.keyPEM(), "value_certificate_pem"},
		"garbled":           {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), good.keyPEM(), "value_certificate_pem"},
		"a request":         {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good.cert.Raw}), good.keyPEM(), "value_certificate_pem"},
		"the key with it":   {append(good.pem(), good.keyPEM()...), good.keyPEM(), "value_certificate_key"},
		"64 KB":             {bytes.Repeat(good.pem(), 200), good.keyPEM(), "value_certificate_large"},
		"two of them":       {append(good.pem(), other.pem()...), good.keyPEM(), "value_certificate_several"},
		"an authority only": {root.authority(t).pem(), good.keyPEM(), "value_certificate_ca"},
		"expired":           {odd(func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Hour) }, "a.example"), good.keyPEM(), "value_certificate_expired"},
		"not yet":           {odd(func(c *x509.Certificate) { c.NotBefore = noon.Add(48 * time.Hour) }, "a.example"), good.keyPEM(), "value_certificate_early"},
		"no names":          {odd(func(c *x509.Certificate) { c.Subject.CommonName = "a.example" }), good.keyPEM(), "value_certificate_names"},
		"odd names":         {odd(nil, "a b.example"), good.keyPEM(), "value_certificate_names"},
		"for clients":       {odd(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "a.example"), good.keyPEM(), "value_certificate_usage"},
		"short RSA":         {root.sign(t, short, nil, "a.example").pem(), good.keyPEM(), "value_certificate_weak"},
		"Ed25519":           {root.sign(t, ed, nil, "a.example").pem(), good.keyPEM(), "value_certificate_weak"},
		"P-521":             {root.sign(t, ecdsaKey(t, elliptic.P521()), nil, "a.example").pem(), good.keyPEM(), "value_certificate_weak"},
		"another key":       {good.pem(), other.keyPEM(), "value_key_other"},
		"no key":            {good.pem(), []byte("secret"), "value_key_pem"},
		"garbled key":       {good.pem(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), "value_key_pem"},
		"locked key":        {good.pem(), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")}), "value_key_password"},
		"locked key of old": {good.pem(), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("secret")}), "value_key_password"},
		"16 KB of key":      {good.pem(), bytes.Repeat([]byte("secret"), 1<<12), "value_key_pem"},
	} {
		got, _, err := ParseCertificate(c.chain, c.key, noon)
		e, is := errors.AsType[*Error](err)
		field := strings.Split(c.text, "_")[1]
		if !is || e.Kind != Invalid || e.Field != field || e.Text != c.text || got.Key != nil {
			t.Errorf("%s: %v, want %s", what, err, c.text)
		}
		if s := fmt.Sprintf("%v %+v", err, e); strings.Contains(s, "secret") || strings.Contains(s, "PRIVATE") {
			t.Errorf("%s: the key is shown: %s", what, s)
		}
	}
}

func TestKeysOfEverySpellingAreTaken(t *testing.T) {
	r := rsaKey(t, 2048)
	e := ecdsaKey(t, elliptic.P384())
	ec, err := x509.MarshalECPrivateKey(e.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}})
	for what, c := range map[string]struct {
		key  crypto.Signer
		text []byte
	}{
		"PKCS #1": {r, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r)})},
		"SEC 1":   {e, append(parameters, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec})...)},
	} {
		got, _, err := ParseCertificate((*issuer)(nil).sign(t, c.key, nil, "a.example").pem(), c.text, noon)
		if err != nil || !bytes.HasPrefix(got.Key, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Errorf("%s: %v, %.40s", what, err, got.Key)
		}
	}
}

func TestWildcardStandsForOneLabel(t *testing.T) {
	leaf := (*issuer)(nil).sign(t, ecdsaKey(t, elliptic.P256()), nil, "A.example", "*.b.example", "*.com")
	c, err := ParseChain(leaf.pem())
	if err != nil || !c.SelfSigned {
		t.Fatal(c.SelfSigned, err)
	}
	for n, want := range map[string]bool{
		"a.example": true, "x.a.example": false, "xa.example": false, "b.example": false, "mail.b.example": true,
		"x.mail.b.example": false, "bb.example": false, "xn--bcher-kva.b.example": true, "c.example": false,
	} {
		if got := c.Covers(certNames(t, n)[0]); got != want {
			t.Errorf("%s: %v", n, got)
		}
	}
	if !c.CoversAll(certNames(t, "a.example", "imap.b.example")) || c.CoversAll(certNames(t, "a.example", "b.example")) || !c.CoversAll(nil) {
		t.Error("all of several")
	}
}

func TestOwnCertificateIsSelfSignedAndReadsBack(t *testing.T) {
	made, err := SelfSign(certNames(t, "mail.a.example", "a.example"), noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c, chain, err := ParseCertificate(made.Chain, made.Key, noon)
	if err != nil || !chain.SelfSigned || !bytes.Equal(c.Chain, made.Chain) || !bytes.Equal(c.Key, made.Key) || !chain.CoversAll(certNames(t, "a.example", "mail.a.example")) {
		t.Errorf("%v, %+v", err, chain.Names)
	}
}

func TestCertificateThatCoversTheNamesIsUsedAgain(t *testing.T) {
	root := (*issuer)(nil).authority(t)
	key := ecdsaKey(t, elliptic.P256())
	lasting := func(days int, names ...string) Certificate {
		c := root.sign(t, key, func(c *x509.Certificate) { c.NotAfter = noon.Add(time.Duration(days) * 24 * time.Hour) }, names...)
		return Certificate{Name: fmt.Sprintf("%s.%d", names[0], days), Chain: c.pem()}
	}
	own, err := SelfSign(certNames(t, "mail.a.example"), noon, noon.Add(10000*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	own.Name = "own"
	cs := []Certificate{
		own, lasting(20, "mail.a.example"), lasting(80, "mail.a.example", "imap.a.example"), lasting(60, "*.a.example"),
		lasting(90, "x.a.example"), {Name: "garbled", Chain: []byte("x")},
	}
	for names, want := range map[string]string{
		"mail.a.example": "mail.a.example.80", "mail.a.example imap.a.example": "mail.a.example.80", "pop.a.example": "*.a.example.60",
		"a.example": "", "mail.a.example pop.a.example": "*.a.example.60", "mail.b.example": "",
	} {
		c, found := Covering(cs, certNames(t, strings.Fields(names)...), noon.Add(30*24*time.Hour))
		if c.Name != want || found != (want != "") {
			t.Errorf("%s: %q, want %q", names, c.Name, want)
		}
	}
	if c, found := Covering(cs, certNames(t, "mail.a.example"), noon.Add(85*24*time.Hour)); found {
		t.Errorf("one that ends too soon: %s", c.Name)
	}
}

func TestNameIsServedOnce(t *testing.T) {
	list := func(name string, days int, names ...string) ServedCertificate {
		return ServedCertificate{Certificate: Certificate{Name: name, Expire: noon.Add(time.Duration(days) * 24 * time.Hour)}, Names: certNames(t, names...)}
	}
	in := []ServedCertificate{
		list("c.example", 90, "y.example", "b.example", "x.example"), list("b.example", 30, "b.example", "x.example"),
		list("a.example", 90, "a.example", "x.example", "a.example"), list("d.example", 10, "x.example"),
	}
	for range 3 { // in any order
		in = append(in[1:], in[0])
		var got []string
		for _, c := range ServeOnce(in) {
			got = append(got, fmt.Sprint(c.Name, c.Names))
		}
		if want := "a.example[a.example x.example] c.example[b.example y.example]"; strings.Join(got, " ") != want {
			t.Errorf("%s", got)
		}
	}
}

// Our own lasts for years, and yet gives way.
func TestCertificateThatIsVouchedForIsServedFirst(t *testing.T) {
	names := certNames(t, "mail.a.example")
	own := ServedCertificate{Certificate: Certificate{Name: "a.example", Expire: noon.Add(10 * 365 * 24 * time.Hour)}, Names: names}
	public := ServedCertificate{Certificate: Certificate{Name: "b.example", Expire: noon.Add(24 * time.Hour)}, Names: names, Vouched: true}
	for _, in := range [][]ServedCertificate{{own, public}, {public, own}} {
		if got := ServeOnce(in); len(got) != 1 || got[0].Name != "b.example" {
			t.Errorf("served is %q", got[0].Name)
		}
	}
}

// A certificate that is made anew with the key of before is one rename for servers.
func TestSelfSignedKeepsItsKey(t *testing.T) {
	names := certNames(t, "mail.a.example")
	first, err := SelfSign(names, noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	again, err := SelfSignWith(first.Key, names, noon, noon.Add(2*time.Hour))
	if err != nil || !bytes.Equal(again.Key, first.Key) || bytes.Equal(again.Chain, first.Chain) {
		t.Errorf("another key, or the same certificate: %v", err)
	}
	if _, _, err := ParseCertificate(again.Chain, again.Key, noon); err != nil {
		t.Error(err)
	}
	if _, err := SelfSignWith([]byte("no key"), names, noon, noon.Add(time.Hour)); err == nil {
		t.Error("signed with no key")
	}
}

// Whatever is read is read back the same after it was written.
func FuzzPairs(f *testing.F) {
	c, err := SelfSign([]Name{StoredName("a.example")}, noon, noon.Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Chain, c.Key)
	f.Add(append(c.Chain, c.Chain...), []byte("-----BEGIN EC PARAMETERS-----\n-----END EC PARAMETERS-----\n"))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		got, _, err := ParseCertificate(chain, key, noon)
		if err != nil {
			return
		}
		again, _, err := ParseCertificate(got.Chain, got.Key, noon)
		if err != nil || !bytes.Equal(again.Chain, got.Chain) || !bytes.Equal(again.Key, got.Key) {
			t.Fatalf("%v", err)
		}
	})
}
