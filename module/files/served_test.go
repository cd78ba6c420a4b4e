package files_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// askerOf asks the servers of the lab.
func askerOf(t testing.TB, x *lab.Exim) files.Asker {
	t.Helper()
	s := x.Services()
	ss, err := files.ParseServers("smtp=" + x.Addr() + " submissions=" + s.Submissions + " submission=" + s.Submission +
		" imap=" + s.IMAP + " imaps=" + s.IMAPS + " pop3=" + s.POP3 + " pop3s=" + s.POP3S)
	if err != nil {
		t.Fatal(err)
	}
	return files.Asker{Servers: ss}
}

// checkShown wants every service, or those that are named, to show one certificate.
func checkShown(t testing.TB, shown []files.Shown, want [32]byte, services ...files.Service) {
	t.Helper()
	for _, s := range shown {
		if len(services) > 0 && !slices.Contains(services, s.Service) {
			continue
		}
		if s.Err != nil || s.Fingerprint != want {
			t.Errorf("%s: another certificate, for %v, or %v", s.Server, s.Names, s.Err)
		}
	}
}

var ofExim = []files.Service{files.ServiceSMTP, files.ServiceSubmission, files.ServiceSubmissions}
var ofDovecot = []files.Service{files.ServiceIMAP, files.ServiceIMAPS, files.ServicePOP3, files.ServicePOP3S}

func TestAskerSeesWhatEachServiceShows(t *testing.T) {
	x, root, list := three(t)
	authority, issue := authorityFor(t)
	list[1].Chain, list[1].Key = issue(t, "a.example")
	putCertificates(t, root, list...)
	if _, err := openTree(t, root).ReloadDovecot(limited(t)); err != nil {
		t.Fatal(err)
	}
	for _, p := range tlsPorts(x) {
		waitShown(t, p, "a.example", fingerprint(t, list[1].Chain))
	}
	a := askerOf(t, x)
	a.Roots = authority

	shown := a.Ask(limited(t), mail.StoredName("imap.a.example"))
	checkShown(t, shown, fingerprint(t, list[0].Chain))
	for i, s := range shown {
		if s.Server != a.Servers[i] || !slices.Equal(s.Names, []string{"mail.a.example", "imap.a.example"}) || !strings.HasPrefix(s.TLS, "TLS 1.") ||
			s.Expire.Sub(list[0].Expire).Abs() > time.Second || s.Distrust == nil {
			t.Errorf("%+v", s)
		}
	}
	shown = a.Ask(limited(t), mail.StoredName("a.example"))
	checkShown(t, shown, fingerprint(t, list[1].Chain))
	for _, s := range shown {
		if s.Distrust != nil || s.Issuer != "People who vouch Root" {
			t.Errorf("%s: %v, by %q", s.Server, s.Distrust, s.Issuer)
		}
	}
	def, err := os.ReadFile(filepath.Join(root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []mail.Name{{}, mail.StoredName("unknown.example")} {
		checkShown(t, a.Ask(limited(t), n), fingerprint(t, def))
	}
	noFault(t, x)
	if log, err := x.Log(); err != nil || strings.Contains(log, "synchronization error") || strings.Contains(log, "unexpected disconnection") || strings.Contains(log, "syntax error") {
		t.Errorf("Exim takes the asker for a bad client: %v\n%s", err, log)
	}
}

// Each server is looked at by itself: what Exim reads anew each time, Dovecot reads
// at a reload, and in the files another certificate than either may stand by then.
func TestAskerSeesAReloadThatIsMissing(t *testing.T) {
	x, root, list := three(t)
	before := fingerprint(t, list[1].Chain)
	list[1] = served(t, "a.example")
	putCertificates(t, root, list...)
	shown := askerOf(t, x).Ask(limited(t), mail.StoredName("a.example"))
	checkShown(t, shown, fingerprint(t, list[1].Chain), ofExim...)
	checkShown(t, shown, before, ofDovecot...)
}

// A key that Exim may not read is one that it cannot serve with; it says so only to
// who tries.
func TestAskerSeesAKeyThatEximCannotRead(t *testing.T) {
	x, root, list := three(t)
	if err := os.Chmod(filepath.Join(root, files.Debian.SSL(), "a.example.key"), 0); err != nil {
		t.Fatal(err)
	}
	shown := askerOf(t, x).Ask(limited(t), mail.StoredName("a.example"))
	checkShown(t, shown, fingerprint(t, list[1].Chain), ofDovecot...)
	for _, s := range shown {
		if slices.Contains(ofExim, s.Service) && !errors.Is(s.Err, files.ErrHandshake) {
			t.Errorf("%s: %v", s.Server, s.Err)
		}
	}
	checkShown(t, askerOf(t, x).Ask(limited(t), mail.StoredName("mail.a.example")), fingerprint(t, list[0].Chain))
}

// Exim that puts everybody off says nothing against the certificate, and shows it
// where TLS comes first.
func TestAskerCannotAskWhoPutsEverybodyOff(t *testing.T) {
	x, root, list := three(t)
	if err := os.Remove(filepath.Join(root, files.Debian.Ready())); err != nil {
		t.Fatal(err)
	}
	x.Dovecot.Stop()
	shown := askerOf(t, x).Ask(limited(t), mail.StoredName("a.example"))
	checkShown(t, shown, fingerprint(t, list[1].Chain), files.ServiceSubmissions)
	for _, s := range shown {
		switch {
		case s.Service == files.ServiceSMTP || s.Service == files.ServiceSubmission:
			if s.Err == nil || errors.Is(s.Err, files.ErrHandshake) || errors.Is(s.Err, files.ErrNobodyListens) || !strings.Contains(s.Err.Error(), "421") {
				t.Errorf("%s: %v", s.Server, s.Err)
			}
		case slices.Contains(ofDovecot, s.Service) && !errors.Is(s.Err, files.ErrNobodyListens):
			t.Errorf("%s: %v", s.Server, s.Err)
		}
	}
}

// authorityFor makes somebody who vouches for certificates.
func authorityFor(t *testing.T) (roots *x509.CertPool, issue func(*testing.T, ...string) (chain, key []byte)) {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	serial := int64(0)
	sign := func(c, by *x509.Certificate, k *ecdsa.PrivateKey, byKey *ecdsa.PrivateKey) *x509.Certificate {
		serial++
		c.SerialNumber, c.NotBefore, c.NotAfter, c.BasicConstraintsValid = big.NewInt(serial), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, c, by, k.Public(), byKey)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	root := &x509.Certificate{Subject: pkix.Name{Organization: []string{"People who vouch"}, CommonName: "Root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey := newKey()
	root = sign(root, root, rootKey, rootKey)
	roots = x509.NewCertPool()
	roots.AddCert(root)
	return roots, func(t *testing.T, names ...string) (chain, key []byte) {
		t.Helper()
		k := newKey()
		leaf := sign(&x509.Certificate{DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, root, k, rootKey)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
}
