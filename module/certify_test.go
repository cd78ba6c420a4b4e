package module

import (
	"context"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A notary vouches for names.
type notary struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	n    int64
}

func newNotary(t testing.TB) *notary {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Notary " + rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(100 * 365 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &notary{key: k, cert: c, n: 1}
}

// vouch is a certificate for names that ends then.
func (n *notary) vouch(t testing.TB, until time.Time, names ...string) mail.Certificate {
	t.Helper()
	key, err := mail.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := mail.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n.n++
	leaf := &x509.Certificate{SerialNumber: big.NewInt(n.n), DNSNames: names, NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, n.cert, k.Public(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	return mail.Certificate{Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: key, Expire: until}
}

// crossSign is the certificate of another notary, signed by this one.
func (n *notary) crossSign(t testing.TB, other *notary) []byte {
	t.Helper()
	c := *other.cert
	c.SerialNumber = big.NewInt(99)
	der, err := x509.CreateCertificate(rand.Reader, &c, n.cert, other.key.Public(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// own is a certificate that its owner has in the panel.
type own struct {
	mu    sync.Mutex
	have  map[string]mail.Certificate // by owner and name, a blank between
	fault error
	asked int
}

// ownCertificates gives the world a panel that has certificates of its users.
func (w *world) ownCertificates() *own {
	o := &own{have: map[string]mail.Certificate{}}
	w.panel.Certificate = func(_ context.Context, owner, name string) ([]byte, []byte, bool, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.asked++
		c, found := o.have[owner+" "+name]
		return c.Chain, c.Key, found, o.fault
	}
	w.panel.Certificates = func(_ context.Context, owner string) (names []string, err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for k := range o.have {
			if of, name, _ := strings.Cut(k, " "); of == owner {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names, o.fault
	}
	return o
}

func (o *own) put(owner, name string, c mail.Certificate) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.have[owner+" "+name] = c
}

func (o *own) drop(owner, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.have, owner+" "+name)
}

// certificate is the certificate of a name; nil where there is none.
func (w *world) certificate(t testing.TB, name string) (c *store.CertificateRow) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = certificateOf(ctx, tx, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ordered is the order for a name; nil where there is none.
func (w *world) ordered(t testing.TB, name string) (o *store.OrderRow) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		row, found, err := tx.Order(ctx, name)
		if found {
			o = &row
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sni is what Exim is to show for a name; empty: the default.
func (w *world) sni(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.SNI()))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if of, ok := strings.CutPrefix(l, name+": "); ok {
			return strings.TrimSpace(of)
		}
	}
	return ""
}

func secureOn(name string, pairs ...string) mail.DomainEdit {
	return edit(append([]string{"name", name, "secure", "on"}, pairs...)...)
}

func addSecure(t testing.TB, w *world, by Actor, name string, pairs ...string) {
	t.Helper()
	if _, err := w.AddDomain(context.Background(), by, secureOn(name, pairs...)); err != nil {
		t.Fatalf("add %s: %v", name, err)
	}
}

func TestSecureDomainIsServedWithTheChangeThatMakesIt(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user1"), "a.example", "secure_alias", "mail.a.example a.example")
	c := w.certificate(t, "a.example")
	if c == nil || c.Source != mail.SelfSigned || !covers(c, names("mail.a.example", "a.example"), w.tick()) {
		t.Fatalf("%+v", c)
	}
	if d := domainOf(t, w, "a.example"); !d.SSLExpire.Equal(c.Expire) || d.Note != "" {
		t.Errorf("shown to end %v, note %q", d.SSLExpire, d.Note)
	}
	if w.sni(t, "mail.a.example") != "a.example" || w.sni(t, "a.example") != "a.example" {
		t.Error("exim is not told")
	}
	conf, err := os.ReadFile(filepath.Join(w.dir, files.Debian.CertsConf()))
	if err != nil || !strings.Contains(string(conf), `local_name "a.example mail.a.example"`) {
		t.Errorf("%s, %v", conf, err)
	}
	if w.ordered(t, "a.example") != nil {
		t.Error("ordered")
	}
	checkFollows(t, w)
	checkSettled(t, w)
}

func names(ss ...string) (ns []mail.Name) {
	for _, s := range ss {
		ns = append(ns, mail.StoredName(s))
	}
	return ns
}

// checkSettled wants nothing to be put right.
func checkSettled(t testing.TB, w *world) {
	t.Helper()
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("to be put right: %q", got)
	}
}

func TestSelfSignedFollowsTheNamesAndKeepsItsKey(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	first := w.certificate(t, "a.example")
	change(t, w, as("user1"), "a.example", edit("greylist", "on"))
	if again := w.certificate(t, "a.example"); again.Fingerprint != first.Fingerprint {
		t.Error("another change made another certificate")
	}
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example imap.a.example"))
	second := w.certificate(t, "a.example")
	if second.Fingerprint == first.Fingerprint || string(second.Key) != string(first.Key) || w.sni(t, "imap.a.example") != "a.example" {
		t.Error("the new name is not served, or by another key")
	}
	if second.Before.Name != "" {
		t.Error("what does not fit the names can be put back")
	}
	change(t, w, as("user1"), "a.example", edit("secure_alias", "imap.a.example"))
	if third := w.certificate(t, "a.example"); third.Fingerprint != second.Fingerprint || w.sni(t, "mail.a.example") != "" {
		t.Error("made anew though it fits, or a name too many is served")
	}
	checkFollows(t, w)
}

func TestCertificateStaysWhileItIsOffAndIsUsedAgain(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	first := w.certificate(t, "a.example")
	change(t, w, as("user1"), "a.example", edit("secure", "off"))
	if d := domainOf(t, w, "a.example"); !d.SSLExpire.IsZero() || w.sni(t, "mail.a.example") != "" {
		t.Error("still served")
	}
	checkFollows(t, w)
	change(t, w, as("user1"), "a.example", edit("secure", "on"))
	if again := w.certificate(t, "a.example"); again.Fingerprint != first.Fingerprint || w.sni(t, "mail.a.example") != "a.example" {
		t.Error("not used again")
	}
	checkFollows(t, w)
}

func TestSuspendedDomainIsServedOn(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	group(t, w.SuspendDomains, as("user1"), "a.example")
	if w.sni(t, "mail.a.example") != "a.example" {
		t.Error("not served")
	}
	checkFollows(t, w)
	group(t, w.ResumeDomains, as("user1"), "a.example")
	checkFollows(t, w)
}

// A certificate of an authority takes time: the domain is served at once, and it is said
// that another is to come.
func TestOrderWaitsWhileSomethingIsServed(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt", "secure_alias", "mail.a.example b.a.example")
	o := w.ordered(t, "a.example")
	if o == nil || !slices.Equal(o.Names, names("b.a.example", "mail.a.example")) || o.Due.After(w.tick()) {
		t.Fatalf("%+v", o)
	}
	if d := domainOf(t, w, "a.example"); d.Note != "ssl_pending" || d.SSLExpire.IsZero() {
		t.Errorf("note %q, shown to end %v", d.Note, d.SSLExpire)
	}
	stopgap := w.certificate(t, "a.example")
	renew := w.tick().Add(60 * 24 * time.Hour)
	issued := n.vouch(t, w.tick().Add(89*24*time.Hour).Truncate(time.Second), "mail.a.example", "b.a.example")
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", o2n(o), issued, mail.LetsEncrypt, acme.Renewal{At: renew}); err != nil {
		t.Fatal(err)
	}
	c := w.certificate(t, "a.example")
	if string(c.Chain) != string(issued.Chain) || !c.Renew.Equal(renew) || string(c.Before.Chain) != string(stopgap.Chain) || c.BeforeSource != mail.SelfSigned {
		t.Errorf("%v %v %v", c.Source, c.Renew, c.BeforeSource)
	}
	if d := domainOf(t, w, "a.example"); d.Note != "" || w.ordered(t, "a.example") != nil || !d.SSLExpire.Equal(issued.Expire) {
		t.Errorf("note %q", d.Note)
	}
	checkFollows(t, w)
	// It is kept while it fits, and ordered anew when it does not.
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example"))
	if w.ordered(t, "a.example") != nil || w.certificate(t, "a.example").Fingerprint != c.Fingerprint {
		t.Error("ordered though it fits")
	}
	change(t, w, as("user1"), "a.example", edit("secure_alias", "c.a.example"))
	if o := w.ordered(t, "a.example"); o == nil || w.certificate(t, "a.example").Source != mail.SelfSigned {
		t.Error("not ordered, or what is served does not fit")
	}
	checkFollows(t, w)
}

// A new name has one ordered for all; the others keep what programs trust meanwhile.
func TestCertificateStaysForItsNamesWhileOneForMoreIsOrdered(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt")
	late := w.tick().Add(89 * 24 * time.Hour).Truncate(time.Second)
	issued := n.vouch(t, late, "mail.a.example")
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("a.example"), issued, mail.LetsEncrypt, acme.Renewal{At: w.tick().Add(60 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	first := w.certificate(t, "a.example")
	stays := func(lacks ...string) {
		t.Helper()
		c := w.certificate(t, "a.example")
		if c.Fingerprint != first.Fingerprint || !slices.Equal(c.Lacks, names(lacks...)) || w.sni(t, "mail.a.example") != "a.example" {
			t.Errorf("%s for %s, without %v", c.Source, w.sni(t, "mail.a.example"), c.Lacks)
		}
		if ordered := w.ordered(t, "a.example") != nil; ordered != (len(lacks) > 0) {
			t.Errorf("ordered: %v", ordered)
		}
		for _, l := range lacks {
			if at := w.sni(t, l); at != "" {
				t.Errorf("%s is shown that of %s", l, at)
			}
		}
		checkFollows(t, w)
		checkSettled(t, w)
	}
	stays()
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example imap.a.example pop.a.example"))
	stays("imap.a.example", "pop.a.example")
	if d := domainOf(t, w, "a.example"); d.Note != "ssl_pending" || !d.SSLExpire.Equal(first.Expire) {
		t.Errorf("note %q", d.Note)
	}
	change(t, w, as("user1"), "a.example", edit("greylist", "on"))
	stays("imap.a.example", "pop.a.example")
	change(t, w, as("user1"), "a.example", edit("secure", "off"))
	change(t, w, as("user1"), "a.example", edit("secure", "on", "secure_alias", "mail.a.example pop.a.example"))
	stays("pop.a.example")
	// Whose other domain has a certificate for that name shows it.
	addSecure(t, w, as("user1"), "pop.a.example", "secure_alias", "pop.a.example")
	if at := w.sni(t, "pop.a.example"); at != "pop.a.example" {
		t.Errorf("shown is that of %q", at)
	}
	checkFollows(t, w)
	group(t, w.DeleteDomains, as("user1"), "pop.a.example")
	stays("pop.a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	restore(t, w, as("user1"), "a.example")
	stays("pop.a.example")
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example"))
	stays()
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example imap.a.example"))
	all := n.vouch(t, late, "mail.a.example", "imap.a.example")
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("a.example"), all, mail.LetsEncrypt, acme.Renewal{At: w.tick().Add(60 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if c := w.certificate(t, "a.example"); string(c.Chain) != string(all.Chain) || len(c.Lacks) > 0 || w.sni(t, "imap.a.example") != "a.example" {
		t.Errorf("%s, without %v", c.Source, c.Lacks)
	}
	checkFollows(t, w)
	// One that has ended is good for nothing.
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example imap.a.example smtp.a.example"))
	w.pass(100 * 24 * time.Hour)
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example pop.a.example"))
	if c := w.certificate(t, "a.example"); c.Source != mail.SelfSigned || len(c.Lacks) > 0 {
		t.Errorf("%s, without %v", c.Source, c.Lacks)
	}
	checkFollows(t, w)
}

func o2n(o *store.OrderRow) mail.Name { return mail.StoredName(o.Domain) }

// An order goes where the settings went meanwhile: into nothing.
func TestCertificateThatNobodyWantsAnyMoreIsNotInstalled(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt")
	late := w.tick().Add(89 * 24 * time.Hour).Truncate(time.Second)
	install := func(of string, in ...string) {
		t.Helper()
		if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName(of), n.vouch(t, late, in...), mail.LetsEncrypt, acme.Renewal{}); err != nil {
			t.Errorf("%s: %v", of, err)
		}
	}
	was := w.certificate(t, "a.example")
	install("a.example", "other.a.example")
	install("gone.example", "mail.gone.example")
	install(mail.ServerCertificate, "mx.host.example")
	change(t, w, as("user1"), "a.example", edit("ssl_name", "selfsigned"))
	install("a.example", "mail.a.example")
	change(t, w, as("user1"), "a.example", edit("secure", "off", "ssl_name", "letsencrypt"))
	install("a.example", "mail.a.example")
	if got := w.certificate(t, "a.example"); got.Fingerprint != was.Fingerprint || w.certificate(t, "gone.example") != nil {
		t.Error("installed")
	}
	checkFollows(t, w)
}

func TestCertificateOfAnotherDomainOfTheOwnerIsUsedAgain(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt", "secure_alias", "mail.a.example mail.b.a.example")
	issued := n.vouch(t, w.tick().Add(89*24*time.Hour).Truncate(time.Second), "mail.a.example", "mail.b.a.example")
	renew := acme.Renewal{At: w.tick().Add(60 * 24 * time.Hour), Ask: w.tick()}
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("a.example"), issued, mail.LetsEncrypt, renew); err != nil {
		t.Fatal(err)
	}
	addSecure(t, w, as("user1"), "b.a.example", "ssl_name", "letsencrypt")
	a, b := w.certificate(t, "a.example"), w.certificate(t, "b.a.example")
	if w.ordered(t, "b.a.example") != nil || a.Fingerprint != b.Fingerprint || !b.Renew.Equal(renew.At) {
		t.Error("ordered though there is one")
	}
	if w.sni(t, "mail.b.a.example") != "a.example" { // equal ones are one file and one block
		t.Errorf("shown is %s", w.sni(t, "mail.b.a.example"))
	}
	checkFollows(t, w)
	// What the leader of the two leaves behind, the other takes over.
	group(t, w.DeleteDomains, as("user1"), "a.example")
	if w.sni(t, "mail.b.a.example") != "b.a.example" || w.sni(t, "mail.a.example") != "" {
		t.Error("not taken over")
	}
	checkFollows(t, w)
	// And a domain that comes back under its name finds its own.
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt", "secure_alias", "mail.a.example mail.b.a.example")
	if w.ordered(t, "a.example") != nil || w.certificate(t, "a.example").Fingerprint != a.Fingerprint {
		t.Error("ordered though it was there before")
	}
	group(t, w.DeleteDomains, as("user1"), "a.example")
	addSecure(t, w, as("user2"), "z.example", "ssl_name", "letsencrypt")
	if _, err := w.AddDomain(t.Context(), as("admin"), secureOn("a.example", "owner", "user2", "ssl_name", "letsencrypt")); err != nil {
		t.Fatal(err)
	}
	if w.ordered(t, "a.example") == nil {
		t.Error("one of another owner's is used")
	}
	checkFollows(t, w)
}

// A failure that an authority has counted is not repeated by changing back and forth.
func TestChangedOrderWaitsAfterAFailure(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt")
	change(t, w, as("user1"), "a.example", edit("ssl_challenge", "dns-01"))
	first := w.ordered(t, "a.example")
	if first.Due.After(w.tick()) {
		t.Error("waits though nothing failed")
	}
	due := w.tick().Add(2 * time.Hour)
	err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		o := *first
		o.Failures, o.Kind, o.Text, o.Due = 1, "unproven", "acme_unproven", due
		return errors.Join(tx.NoteEvent(ctx, "https://authority.example/", store.OrderFailed, "a.example", o.Names), tx.PutOrder(ctx, o))
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := domainOf(t, w, "a.example"); d.Note != "ssl" {
		t.Errorf("note %q", d.Note)
	}
	change(t, w, as("user1"), "a.example", edit("ssl_challenge", "http-01"))
	if o := w.ordered(t, "a.example"); !o.Due.Equal(due) || o.Text != "acme_unproven" || o.Since.Equal(first.Since) {
		t.Errorf("%+v", o)
	}
	change(t, w, as("user1"), "a.example", edit("secure", "off"))
	change(t, w, as("user1"), "a.example", edit("secure", "on"))
	if o := w.ordered(t, "a.example"); !o.Due.After(w.tick().Add(50 * time.Minute)) {
		t.Errorf("off and on again, and due at %v", o.Due)
	}
}

func TestNameInAnotherOwnersDomainIsRefused(t *testing.T) {
	w := handWorld(t)
	add(t, w, as("user1"), "a.example")
	add(t, w, as("admin"), "sub.a.example", "xa.example")
	_, err := w.EditDomain(t.Context(), as("user1"), "a.example", edit("secure", "on", "secure_alias", "mail.a.example mail.sub.a.example"))
	checkError(t, "in another's domain", err, mail.Invalid, "secure_alias", "value_secure_alias_taken")
	if w.certificate(t, "a.example") != nil {
		t.Error("and yet there is a certificate")
	}
	change(t, w, as("user1"), "a.example", edit("secure", "on", "secure_alias", "mail.a.example xsub.a.example"))
	change(t, w, as("admin"), "a.example", edit("secure_alias", "mail.sub.a.example xa.example"))
	change(t, w, as("user1"), "a.example", edit("ssl_name", "selfsigned", "greylist", "on")) // what stands may stay
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.sub.a.example xa.example", "greylist", "off"))
	_, err = w.EditDomain(t.Context(), as("user1"), "a.example", edit("secure_alias", "mail.sub.a.example xa.example other.example"))
	checkError(t, "another one outside", err, mail.Invalid, "secure_alias", "value_secure_alias_outside")
	checkFollows(t, w)
	_, err = w.AddDomain(t.Context(), as("user3"), secureOn("c.example"))
	checkError(t, "beyond the plan", err, mail.Limit, "ssl", "limit_ssl")
}

func TestCertificateOfThePanelIsFetchedBeforeTheChange(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	panel.put("user1", "mine", n.vouch(t, until, "*.a.example"))
	panel.put("user1", "other", n.vouch(t, until, "b.example"))
	panel.put("user1", "old", n.vouch(t, w.tick().Add(-time.Hour), "*.a.example"))
	for name, text := range map[string]string{"other": "value_ssl_name_covers", "none": "value_ssl_name", "old": "value_certificate_expired"} {
		_, err := w.AddDomain(t.Context(), as("user1"), secureOn("a.example", "ssl_name", name))
		checkError(t, name, err, mail.Invalid, "ssl_name", text)
	}
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "mine")
	c := w.certificate(t, "a.example")
	if c.Source != "mine" || w.sni(t, "mail.a.example") != "a.example" || w.ordered(t, "a.example") != nil {
		t.Errorf("%v", c.Source)
	}
	asked := panel.asked
	change(t, w, as("user1"), "a.example", edit("greylist", "on"))
	group(t, w.SuspendDomains, as("user1"), "a.example")
	if panel.asked != asked {
		t.Error("asked again for what does not change")
	}
	panel.fault = errors.New("the panel is away")
	if _, err := w.EditDomain(t.Context(), as("user1"), "a.example", edit("secure_alias", "imap.a.example")); err == nil || !errors.Is(err, panel.fault) {
		t.Errorf("%v", err)
	}
	if w.sni(t, "mail.a.example") != "a.example" {
		t.Error("and yet it changed")
	}
	checkFollows(t, w)
}

func TestOwnerWhoLacksTheCertificateGetsOneOfOurs(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	panel.put("user1", "mine", n.vouch(t, until, "mail.a.example", "mail.b.example"))
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "mine")
	addSecure(t, w, as("user1"), "b.example", "ssl_name", "mine")
	done, err := w.PassDomains(t.Context(), as("admin"), []string{"a.example"}, "user2")
	all(t, done, err)
	if d := domainOf(t, w, "a.example"); d.SSLName != mail.SelfSigned || w.certificate(t, "a.example").Source != mail.SelfSigned {
		t.Errorf("%s", d.SSLName)
	}
	theirs := n.vouch(t, until, "mail.b.example")
	panel.put("user2", "mine", theirs)
	done, err = w.PassDomains(t.Context(), as("admin"), []string{"b.example"}, "user2")
	all(t, done, err)
	if d := domainOf(t, w, "b.example"); d.SSLName != "mine" || string(w.certificate(t, "b.example").Chain) != string(theirs.Chain) {
		t.Errorf("%s", d.SSLName)
	}
	checkFollows(t, w)
}

func TestCertificateOfThePanelIsFollowed(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	panel.put("user1", "mine", n.vouch(t, until, "mail.a.example"))
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "mine")
	follow := func(note string) {
		t.Helper()
		w.Forget("certificates")
		if err := w.FollowCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := domainOf(t, w, "a.example"); d.Note != note {
			t.Errorf("note %q, want %q", d.Note, note)
		}
		checkFollows(t, w)
	}
	follow("")
	next := n.vouch(t, until.Add(24*time.Hour), "mail.a.example")
	panel.put("user1", "mine", next)
	follow("")
	if c := w.certificate(t, "a.example"); string(c.Chain) != string(next.Chain) || c.Before.Name == "" {
		t.Error("the new one is not served")
	}
	panel.put("user1", "mine", n.vouch(t, until, "b.example"))
	follow("ssl")
	panel.drop("user1", "mine")
	follow("ssl")
	if c := w.certificate(t, "a.example"); string(c.Chain) != string(next.Chain) || c.Problem != problemGone {
		t.Errorf("the last one is not served on, or nothing is said: %q", c.Problem)
	}
	w.Forget("users") // is about something else
	asked := panel.asked
	if err := w.FollowCertificates(t.Context()); err != nil || panel.asked != asked {
		t.Errorf("asked in vain: %v", err)
	}
	w.pass(100 * 24 * time.Hour)
	follow("ssl") // expired by now
	if c := w.certificate(t, "a.example"); c.Source != mail.SelfSigned || c.Problem != problemGone {
		t.Errorf("%s %q", c.Source, c.Problem)
	}
	last := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mail.a.example")
	panel.put("user1", "mine", last)
	follow("")
	if c := w.certificate(t, "a.example"); string(c.Chain) != string(last.Chain) || c.Problem != "" {
		t.Errorf("%s %q", c.Source, c.Problem)
	}
	panel.fault = errors.New("the panel is away")
	w.Forget("certificates")
	if err := w.FollowCertificates(t.Context()); !errors.Is(err, panel.fault) {
		t.Error(err)
	}
	panel.fault = nil
	asked = panel.asked
	if err := w.FollowCertificates(t.Context()); err != nil || panel.asked != asked {
		t.Errorf("asked again at once: %v", err)
	}
	w.pass(2 * doubtRest)
	if err := w.FollowCertificates(t.Context()); err != nil || panel.asked == asked {
		t.Errorf("never asked again: %v", err)
	}
}

// A database from before there were certificates has domains that are to have one.
func TestDomainsThatLackACertificateGetOne(t *testing.T) {
	w := handWorld(t)
	for name, source := range map[string]string{"a.example": "selfsigned", "b.example": "letsencrypt", "c.example": "mine"} {
		err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			d := mail.NewDomain(mail.StoredName(name), "user1")
			d.Secure, d.SSLName = true, mail.SSLName(source)
			return tx.InsertDomain(ctx, &d)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, w)
	if err := w.FollowCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.ordered(t, "b.example") == nil || w.ordered(t, "a.example") != nil || w.certificate(t, "c.example").Problem != problemGone {
		t.Error("not what they want")
	}
	checkFollows(t, w)
	checkSettled(t, w)
}

func TestDeletedCertificateComesBackWithItsDomain(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	panel.put("user1", "mine", n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mail.c.example"))
	addSecure(t, w, as("user1"), "a.example")
	addSecure(t, w, as("user1"), "b.example", "ssl_name", "letsencrypt")
	addSecure(t, w, as("user1"), "c.example", "ssl_name", "mine")
	addSecure(t, w, as("user1"), "d.example")
	change(t, w, as("user1"), "d.example", edit("secure", "off"))
	issued := n.vouch(t, w.tick().Add(89*24*time.Hour).Truncate(time.Second), "mail.b.example")
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("b.example"), issued, mail.LetsEncrypt, acme.Renewal{At: w.tick().Add(1000 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	elids := []string{"a.example", "b.example", "c.example", "d.example"}
	was := map[string]string{}
	for _, e := range elids {
		was[e] = w.certificate(t, e).Fingerprint
	}
	group(t, w.DeleteDomains, as("user1"), elids...)
	for _, e := range elids {
		if w.certificate(t, e) != nil || w.ordered(t, e) != nil {
			t.Errorf("%s left something", e)
		}
	}
	checkFollows(t, w)
	panel.drop("user1", "mine") // it serves on what it had
	for i, e := range elids {
		if i == 0 {
			if _, err := w.Undo(t.Context(), as("user1"), e, lastChange(t, w, e)); err != nil {
				t.Fatal(err)
			}
		} else {
			restore(t, w, as("user1"), e)
		}
		if c := w.certificate(t, e); c == nil || c.Fingerprint != was[e] {
			t.Errorf("%s came back without its certificate", e)
		}
	}
	if w.ordered(t, "b.example") != nil || domainOf(t, w, "d.example").Secure {
		t.Error("ordered though it is there, or on though it was off")
	}
	checkFollows(t, w)
	// What has ended meanwhile is replaced.
	w.keepFor(t, "300")
	group(t, w.DeleteDomains, as("user1"), "b.example")
	w.pass(99 * 24 * time.Hour)
	restore(t, w, as("user1"), "b.example")
	if c := w.certificate(t, "b.example"); c.Source != mail.SelfSigned || w.ordered(t, "b.example") == nil {
		t.Errorf("%s", c.Source)
	}
	checkFollows(t, w)
}

func (w *world) keepFor(t testing.TB, days string) {
	t.Helper()
	if err := w.EditSettings(context.Background(), as("admin"), mail.SettingsEdit{KeepDeleted: &days}); err != nil {
		t.Fatal(err)
	}
}

func lastChange(t testing.TB, w *world, elid string) string {
	t.Helper()
	past, _, err := w.DomainHistory(context.Background(), as("admin"), HistoryQuery{Elid: elid, Limit: 1})
	if err != nil || len(past) == 0 {
		t.Fatalf("no history of %s: %v", elid, err)
	}
	return strconv.FormatInt(past[0].ID, 10)
}

// handWorld is a world whose records are entered by hand: its notes are about
// certificates alone.
func handWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	if err := w.EditSettings(context.Background(), as("admin"), mail.SettingsEdit{DNS: ptr(string(mail.DNSByHand))}); err != nil {
		t.Fatal(err)
	}
	return w
}
