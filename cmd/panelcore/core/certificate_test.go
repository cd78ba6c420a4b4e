package core_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
)

// An issued is a certificate made for a test.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  string // of the certificate alone
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate for host that holds from..until; by signs it, nil: itself.
func issue(t testing.TB, by *issued, key crypto.Signer, from, until time.Time, host string, change ...func(*x509.Certificate)) *issued {
	t.Helper()
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: from, NotAfter: until, BasicConstraintsValid: true, IsCA: by == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if host != "" {
		x.DNSNames = []string{host}
	}
	for _, f := range change {
		f(x)
	}
	parent, signer := x, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key, block("CERTIFICATE", der)}
}

func block(typ string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}

func keyPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

// secret is a part of a private key in PEM that stands nowhere else.
func secret(key string) string { return strings.Split(key, "\n")[1] }

func save(t testing.TB, p *paneltest.Panel, user string, pairs ...string) string {
	t.Helper()
	return p.As(t, user, "sslcert.edit", append(pairs, "sok", "ok")...)
}

func handedOut(t testing.TB, p *paneltest.Panel, owner, name string) (w wire.Certificate, failure string) {
	t.Helper()
	result, failure := asModule(t, p, wire.CoreCertificate, wire.CertificateQuery{Owner: owner, Name: name})
	if failure == "" {
		if err := json.Unmarshal([]byte(result), &w); err != nil {
			t.Fatal(err, result)
		}
	}
	return w, failure
}

func TestModulesGetTheCertificateOfAUser(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	now := p.Clock.Now()
	root := issue(t, nil, newKey(t), now.Add(-time.Hour), now.AddDate(1, 0, 0), "ca.example")
	leaf := issue(t, root, newKey(t), now.Add(-time.Hour), now.AddDate(0, 3, 0), "mail.example.com")
	key := keyPEM(t, leaf.key)
	if got := save(t, p, "user1", "name", "own", "certificate", "a comment\n"+leaf.pem+root.pem, "key", key); got != "OK\n" {
		t.Fatal(got)
	}
	w, failure := handedOut(t, p, "user1", "own")
	if failure != "" || w.ChainPEM != leaf.pem+root.pem {
		t.Errorf("%s %s", failure, w.ChainPEM)
	}
	if pair, err := tls.X509KeyPair([]byte(w.ChainPEM), []byte(w.KeyPEM)); err != nil || len(pair.Certificate) != 2 {
		t.Error("no server can use it:", err)
	}
	for _, q := range [][2]string{{"user1", "Own"}, {"user2", "own"}, {"", "own"}, {"user1", ""}, {"user1", "own' OR '1'='1"}, {"user1/own", ""}, {"nosuch", "own"}} {
		if _, failure := handedOut(t, p, q[0], q[1]); !strings.Contains(failure, "-32002") {
			t.Errorf("%q: %s", q, failure)
		}
	}
	if _, failure := asModule(t, p, wire.CoreCertificate, []int{1}); !strings.Contains(failure, "-32602") {
		t.Errorf("wrong parameters: %s", failure)
	}

	// Renewed with the key that is there; then with another.
	again := issue(t, root, leaf.key, now.Add(-time.Hour), now.AddDate(0, 6, 0), "mail.example.com")
	if got := save(t, p, "user1", "elid", "own", "certificate", again.pem, "key", ""); got != "OK\n" {
		t.Error(got)
	}
	if w, _ := handedOut(t, p, "user1", "own"); w.ChainPEM != again.pem || !strings.Contains(w.KeyPEM, secret(key)) {
		t.Errorf("after the renewal: %s", w.ChainPEM)
	}
	other := issue(t, root, newKey(t), now.Add(-time.Hour), now.AddDate(0, 6, 0), "mail.example.com")
	if got := save(t, p, "user1", "elid", "own", "certificate", other.pem); !strings.HasPrefix(got, "ERROR value(key): ") {
		t.Error("another certificate with the old key:", got)
	}
	if w, _ := handedOut(t, p, "user1", "own"); w.ChainPEM != again.pem {
		t.Error("what was refused changed something")
	}
	if got := save(t, p, "user1", "elid", "user1/own", "name", "renamed", "owner", "user2", "certificate", other.pem, "key", keyPEM(t, other.key)); got != "OK\n" {
		t.Error(got)
	}
	if w, _ := handedOut(t, p, "user1", "own"); w.ChainPEM != other.pem {
		t.Error("not replaced, or under another name")
	}
	if got := p.As(t, "user1", "sslcert.delete", "elid", "user1/own"); got != "OK\n" {
		t.Error(got)
	}
	if _, failure := handedOut(t, p, "user1", "own"); !strings.Contains(failure, "-32002") {
		t.Errorf("after it was deleted: %s", failure)
	}
}

func TestCertificateThatCannotServeIsRefused(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	now := p.Clock.Now()
	from, until := now.Add(-time.Hour), now.AddDate(0, 3, 0)
	root := issue(t, nil, newKey(t), from, until, "ca.example")
	good := issue(t, root, newKey(t), from, until, "mail.example.com")
	key := keyPEM(t, good.key)
	ec, err := x509.MarshalECPrivateKey(good.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(k crypto.Signer) string { return issue(t, root, k, from, until, "mail.example.com").pem }
	client := issue(t, root, good.key, from, until, "mail.example.com", func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	for _, c := range []struct{ name, certificate, key, want string }{
		{"none", "", key, "value(certificate)"},
		{"no key", good.pem, "", "value(key)"},
		{"no PEM", "hello", key, "value(certificate)"},
		{"broken", strings.Replace(good.pem, "\nMII", "\nMIX", 1), key, "value(certificate)"},
		{"the key in its place", key, key, "value(certificate)"},
		{"with a key in it", good.pem + key, key, "value(certificate)"},
		{"expired", issue(t, root, good.key, from, now, "mail.example.com").pem, key, "value(certificate)"},
		{"not yet", issue(t, root, good.key, now.Add(time.Second), until, "mail.example.com").pem, key, "value(certificate)"},
		{"of no host", issue(t, root, good.key, from, until, "").pem, key, "value(certificate)"},
		{"of a client", client.pem, key, "value(certificate)"},
		{"issuer first", root.pem + good.pem, key, "value(certificate)"},
		{"of another issuer", good.pem + issue(t, nil, newKey(t), from, until, "ca.example").pem, key, "value(certificate)"},
		{"too many", strings.Repeat(root.pem, 11), key, "value(certificate)"},
		{"too long", good.pem + strings.Repeat("\n", 64<<10), key, "value(certificate)"},
		{"another's key", good.pem, keyPEM(t, newKey(t)), "value(key)"},
		{"two keys", good.pem, key + key, "value(key)"},
		{"certificate as key", good.pem, good.pem, "value(key)"},
		{"encrypted", good.pem, block("ENCRYPTED PRIVATE KEY", []byte("x")), "value(key)"},
		{"broken key", good.pem, block("PRIVATE KEY", []byte("x")), "value(key)"},
		{"key too long", good.pem, key + strings.Repeat("\n", 16<<10), "value(key)"},
		{"small", with(small), keyPEM(t, small), "value(key)"},
		{"kind of key", with(ed), keyPEM(t, ed), "value(key)"},
		{"as openssl writes it", good.pem, block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + block("EC PRIVATE KEY", ec), ""},
	} {
		got := save(t, p, "user1", "name", "x", "certificate", c.certificate, "key", c.key)
		if c.want == "" && got != "OK\n" || !strings.HasPrefix(strings.TrimPrefix(got, "ERROR "), c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	for _, name := range []string{"", "x", "X", "a b", "a,b", "a/b", "../a", "selfsigned", "letsencrypt", "-a", ".a", strings.Repeat("a", 64), "ä"} {
		want := "ERROR value(name)"
		if name == "x" {
			want = "ERROR exists(name)"
		}
		if got := save(t, p, "user1", "name", name, "certificate", good.pem, "key", key); !strings.HasPrefix(got, want) {
			t.Errorf("name %q: %s", name, got)
		}
	}
}

func TestCertificatesAreSeenInTheCircle(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	now := p.Clock.Now()
	x := issue(t, nil, newKey(t), now.Add(-time.Hour), now.AddDate(0, 1, 0), "mail.example.com")
	pair := []string{"certificate", x.pem, "key", keyPEM(t, x.key)}
	for _, c := range []struct{ user, owner, want string }{
		{"user1", "", "OK"}, {"user1", "user1", "ERROR exists(name)"}, {"user1", "user2", "ERROR value(owner)"}, {"user1", "nosuch", "ERROR value(owner)"},
		{"reseller1", "user2", "OK"}, {"reseller1", "user3", "ERROR value(owner)"}, {"reseller1", "admin", "ERROR value(owner)"}, {"reseller1", "nosuch", "ERROR value(owner)"},
		{"reseller1", "", "OK"}, {"admin", "user3", "OK"}, {"admin", "", "OK"}, {"admin", "nosuch", "ERROR value(owner)"},
	} {
		if got := save(t, p, c.user, append(pair, "name", "c", "owner", c.owner)...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s for %q: %s", c.user, c.owner, got)
		}
	}
	for user, want := range map[string]string{
		"user1": "user1/c", "user2": "user2/c", "reseller1": "reseller1/c user1/c user2/c", "admin": "admin/c reseller1/c user1/c user2/c user3/c",
	} {
		var ids []string
		for line := range strings.Lines(p.As(t, user, "sslcert")) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			ids = append(ids, id)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s sees %s", user, got)
		}
	}
	for _, c := range []struct{ user, elid string }{{"user1", "user2/c"}, {"reseller1", "user3/c"}, {"reseller1", "admin/c"}, {"user2", "nosuch"}, {"user2", "nosuch/c"}} {
		for _, got := range []string{
			p.As(t, c.user, "sslcert.edit", "elid", c.elid), save(t, p, c.user, append(pair, "elid", c.elid)...), p.As(t, c.user, "sslcert.delete", "elid", c.elid),
		} {
			if !strings.HasPrefix(got, "ERROR missed(elid)") {
				t.Errorf("%s and %s: %s", c.user, c.elid, got)
			}
		}
	}
	if got := p.As(t, "admin", "sslcert", "p_cnt", "1"); !strings.HasPrefix(got, `id=admin/c name=c owner=admin hosts=mail.example.com issuer=CN=mail.example.com not_after=2030-02-01T00:00:00Z state=valid`) {
		t.Error(got)
	}
	p.Clock.Advance(20 * 24 * time.Hour)
	if got := p.As(t, "user1", "sslcert"); !strings.Contains(got, "state=ending") {
		t.Error(got)
	}
	p.Clock.Advance(20 * 24 * time.Hour)
	if got := p.As(t, "user1", "sslcert"); !strings.Contains(got, "state=expired") {
		t.Error(got)
	}
	if got := p.As(t, "reseller1", "sslcert.delete", "elid", "c, user1/c, user3/c"); !strings.HasPrefix(got, "ERROR missed(elid): user3/c: ") {
		t.Error(got)
	}
	// The next user of a name does not find the certificates of the last.
	for _, pairs := range [][]string{{"user.delete", "elid", "user3"}, {"user.edit", "name", "user3", "passwd", paneltest.Password, "sok", "ok"}} {
		if got := p.As(t, "admin", pairs[0], pairs[1:]...); got != "OK\n" {
			t.Fatal(got)
		}
	}
	if got := p.As(t, "admin", "sslcert"); strings.Count(got, "\n") != 2 || strings.Contains(got, "user3") {
		t.Error(got)
	}
}

func TestCertificatesOfAUserAreBounded(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	db, err := sql.Open("sqlite", filepath.Join(p.Data, "panelcore.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 999)
		INSERT INTO certificate SELECT 'user1', 'c' || i, '', '', 0 FROM n`); err != nil {
		t.Fatal(err)
	}
	now := p.Clock.Now()
	x := issue(t, nil, newKey(t), now.Add(-time.Hour), now.AddDate(0, 1, 0), "mail.example.com")
	pair := []string{"certificate", x.pem, "key", keyPEM(t, x.key)}
	for _, c := range []struct {
		user string
		pair []string
		want string
	}{
		{"user1", []string{"name", "last"}, "OK"}, {"user1", []string{"name", "more"}, "ERROR value(owner)"},
		{"user1", []string{"elid", "last"}, "OK"}, {"user2", []string{"name", "first"}, "OK"},
	} {
		if got := save(t, p, c.user, append(c.pair, pair...)...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %s", c.user, c.pair, got)
		}
	}
}

// TestPrivateKeyStaysInThePanel: it stands in no log, answer, echo or page, whichever
// field it was put into, and in no file but the database, which is root's.
func TestPrivateKeyStaysInThePanel(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	now := p.Clock.Now()
	x := issue(t, nil, newKey(t), now.Add(-time.Hour), now.AddDate(0, 1, 0), "mail.example.com")
	key := keyPEM(t, x.key)
	answers := ""
	for _, out := range []string{"xml", "json", "sjson", "text"} {
		call := func(pairs ...string) {
			answers += p.Call(t, append(pairs, "out", out, "authinfo", "user1:"+paneltest.Password, "metadata", "on")...)
		}
		call("func", "sslcert.edit", "name", "x-"+out, "certificate", x.pem, "key", key, "sok", "ok")
		call("func", "sslcert.edit", "name", "x-"+out, "certificate", x.pem, "key", key, "sok", "ok")
		call("func", "sslcert.edit", "name", "x-"+out, "certificate", x.pem, "key", key)
		call("func", "sslcert.edit", "name", "y", "certificate", key, "key", x.pem, "sok", "ok")
		call("func", "sslcert.edit", "name", "y", "certificate", x.pem+key, "key", key+key, "sok", "ok")
		call("func", "sslcert.edit", "elid", "x-"+out, "sv_field", "key", "key", key)
		call("func", "sslcert.edit", "elid", "x-"+out)
		call("func", "sslcert")
	}
	if !strings.Contains(answers, "-----BEGIN CERTIFICATE-----") {
		t.Error("the form does not show the certificate")
	}
	p.Stop(t)
	for where, text := range map[string]string{"an answer": answers, "the log": p.Log.String(), "the toy's notes": strings.Join(p.Notes(t), "\n")} {
		for _, s := range []string{secret(key), url.QueryEscape(secret(key)), "PRIVATE"} {
			if strings.Contains(text, s) {
				t.Errorf("%s has %s in it", where, s)
			}
		}
	}
	err := filepath.WalkDir(p.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if has := strings.Contains(string(b), secret(key)); has != strings.HasPrefix(d.Name(), "panelcore.db") {
			t.Errorf("%s has the key: %v", d.Name(), has)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestModuleIsStartedForAnotherCertificate: it serves the old one, also when nobody
// calls it.
func TestModuleIsStartedForAnotherCertificate(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	now := p.Clock.Now()
	x := issue(t, nil, newKey(t), now.Add(-time.Hour), now.AddDate(0, 1, 0), "mail.example.com")
	told := func(n int) {
		t.Helper()
		paneltest.Eventually(t, "the module is told", func() bool { return p.Count(t, `module.invalidate {"what":"certificates"}`) >= n })
	}
	if got := save(t, p, "user1", "name", "x", "certificate", x.pem, "key", keyPEM(t, x.key)); got != "OK\n" {
		t.Fatal(got)
	}
	told(1) // at the connection, to a module that nobody had called
	if got := save(t, p, "user1", "elid", "x"); got != "OK\n" {
		t.Fatal(got)
	}
	told(2)
	if got := p.As(t, "user1", "sslcert.delete", "elid", "nosuch"); !strings.HasPrefix(got, "ERROR missed") {
		t.Error(got)
	}
	if got := p.As(t, "user1", "sslcert.delete", "elid", "x"); got != "OK\n" {
		t.Error(got)
	}
	told(3)
	if n := p.Count(t, `{"what":"certificates"}`); n != 3 {
		t.Errorf("told %d times", n)
	}
	if n := p.Count(t, "start"); n != 1 {
		t.Errorf("started %d times", n)
	}
}

// TestModulesLearnWhichCertificatesAUserHas: in parts that fit into a message, and
// never a key.
func TestModulesLearnWhichCertificatesAUserHas(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	now := p.Clock.Now()
	key := newKey(t)
	x := issue(t, nil, key, now.Add(-time.Hour), now.AddDate(0, 1, 0), "mail.example.com", func(c *x509.Certificate) {
		for i := range 20 {
			c.DNSNames = append(c.DNSNames, string(rune('a'+i))+".example.com")
		}
	})
	for _, name := range []string{"two", "one", "three"} {
		if got := save(t, p, "user1", "name", name, "certificate", x.pem, "key", keyPEM(t, key)); got != "OK\n" {
			t.Fatal(got)
		}
	}
	listed := func(q any) (ws []wire.ListedCertificate, failure string) {
		t.Helper()
		result, failure := asModule(t, p, wire.CoreCertificates, q)
		if strings.Contains(result, "PRIVATE") || strings.Contains(result, "BEGIN") {
			t.Errorf("the list has PEM in it: %s", result)
		}
		if failure == "" {
			if err := json.Unmarshal([]byte(result), &ws); err != nil {
				t.Fatal(err, result)
			}
		}
		return ws, failure
	}
	ws, failure := listed(wire.CertificatesQuery{Owner: "user1"})
	if failure != "" || len(ws) != 3 || ws[0].Name != "one" || ws[1].Name != "three" || ws[2].Name != "two" {
		t.Fatal(ws, failure)
	}
	if w := ws[0]; w.Expire != x.cert.NotAfter.UTC().Format(time.RFC3339) || len(w.Names) != wire.MaxCertificateNames || w.Names[0] != "mail.example.com" {
		t.Errorf("%+v", w)
	}
	if ws, failure = listed(wire.CertificatesQuery{Owner: "user1", After: "one"}); failure != "" || len(ws) != 2 || ws[0].Name != "three" {
		t.Error(ws, failure)
	}
	for _, q := range []wire.CertificatesQuery{{Owner: "user2"}, {}, {Owner: "nosuch"}, {Owner: "user1' OR '1'='1"}, {Owner: "user1", After: "zzz"}} {
		if ws, failure := listed(q); failure != "" || len(ws) != 0 || ws == nil {
			t.Errorf("%+v: %v %s", q, ws, failure)
		}
	}
	if _, failure := listed([]int{1}); !strings.Contains(failure, "-32602") {
		t.Errorf("wrong parameters: %s", failure)
	}
}
