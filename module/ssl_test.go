package module

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
)

func TestFormShowsTheCertificateWithoutItsKey(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	panel.put("user1", "mine", n.vouch(t, w.tick().Add(80*24*time.Hour), "b.example"))
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt")
	issued := n.vouch(t, w.tick().Add(89*24*time.Hour).Truncate(time.Second), "mail.a.example")
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("a.example"), issued, mail.LetsEncrypt, acme.Renewal{At: w.tick().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	done, err := w.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	all(t, done, err)
	s, err := w.DomainSSL(t.Context(), as("user1"), "a.example")
	if err != nil || s.Domain.Name.String() != "a.example" || string(s.Certificate.Chain) != string(issued.Chain) || s.Order == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if len(s.Certificate.Key)+len(s.Certificate.Before.Key)+len(s.Order.Key) > 0 {
		t.Error("a key is shown")
	}
	if !slices.Equal(s.Choices, []string{"selfsigned", "letsencrypt", "mine"}) {
		t.Errorf("%q", s.Choices)
	}
	_, err = w.DomainSSL(t.Context(), as("user2"), "a.example")
	checkError(t, "another's", err, mail.NotFound, "elid", "")
	w.panel.Certificates = nil
	if s, err := w.DomainSSL(t.Context(), as("admin"), "a.example"); err != nil || len(s.Choices) != 2 {
		t.Errorf("without a panel that has any: %q, %v", s.Choices, err)
	}
}

func TestSeveralDomainsGetTheirCertificatesInOneCall(t *testing.T) {
	w := handWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	add(t, w, as("user2"), "c.example")
	e := edit("secure", "on", "ssl_name", "letsencrypt", "greylist", "on")
	done, err := w.EditSSL(t.Context(), as("user1"), []string{"a.example", "b.example", "c.example"}, e, false)
	if err != nil || len(done) != 3 || done[0].Err != nil || done[1].Err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	checkError(t, "another's", done[2].Err, mail.NotFound, "elid", "")
	for _, n := range []string{"a.example", "b.example"} {
		if d := domainOf(t, w, n); !d.Secure || d.Greylist || w.ordered(t, n) == nil {
			t.Errorf("%+v", d)
		}
	}
	if w.ordered(t, "c.example") != nil {
		t.Error("another's was changed")
	}
	checkFollows(t, w)
}

func TestRenewalByHandMakesAnotherCertificate(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	panel.put("user1", "mine", n.vouch(t, until, "mail.b.example"))
	addSecure(t, w, as("user1"), "a.example")
	addSecure(t, w, as("user1"), "b.example", "ssl_name", "mine")
	was := w.certificate(t, "a.example")
	theirs := n.vouch(t, until.Add(time.Hour), "mail.b.example")
	panel.put("user1", "mine", theirs)
	done, err := w.EditSSL(t.Context(), as("user1"), []string{"a.example"}, mail.DomainEdit{}, true)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, "one that was just made", done[0].Err, mail.Busy, "renew", "busy_ssl_signed")
	if w.certificate(t, "a.example").Fingerprint != was.Fingerprint {
		t.Error("and yet it is made anew")
	}
	w.pass(signedAgain)
	for range 2 { // the second is a repeat of the request
		done, err := w.EditSSL(t.Context(), as("user1").request("r1"), []string{"a.example", "b.example"}, mail.DomainEdit{}, true)
		all(t, done, err)
	}
	is := w.certificate(t, "a.example")
	if is.Fingerprint == was.Fingerprint || string(is.Before.Chain) != string(was.Chain) || !bytes.Equal(is.Key, was.Key) {
		t.Error("not made anew, once, with its key")
	}
	if string(w.certificate(t, "b.example").Chain) != string(theirs.Chain) {
		t.Error("not fetched anew")
	}
	// What the same call makes is new enough.
	change(t, w, as("user1"), "a.example", edit("secure", "off"))
	done, err = w.EditSSL(t.Context(), as("user1"), []string{"a.example"}, edit("secure", "on", "secure_alias", "imap.a.example"), true)
	all(t, done, err)
	if fresh := w.certificate(t, "a.example"); fresh.Fingerprint == is.Fingerprint {
		t.Error("not made anew")
	}
	add(t, w, as("user1"), "off.example")
	done, err = w.EditSSL(t.Context(), as("user1"), []string{"off.example"}, mail.DomainEdit{}, true)
	all(t, done, err)
	if w.certificate(t, "off.example") != nil {
		t.Error("made for a domain that shows none")
	}
	checkFollows(t, w)
}

func TestServersOwnCertificateIsChanged(t *testing.T) {
	w, dovecot := shortWorld(t)
	n := newNotary(t)
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	given := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mx.host.example")
	chain, key := string(given.Chain), string(given.Key)
	for _, by := range []string{"user1", "reseller1"} {
		_, err := w.ServerSSL(t.Context(), as(by))
		checkError(t, by, err, mail.Access, "level", "")
		checkError(t, by, w.EditServerSSL(t.Context(), as(by), mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: &chain, Key: &key}), mail.Access, "level", "")
	}
	other := string(n.vouch(t, w.tick().Add(time.Hour), "x.example").Key)
	for _, c := range []struct {
		name, chain, key string
		field, text      string
	}{
		{"given", chain, other, "key", "value_key_other"}, {"given", "", "", "certificate", "value_certificate_pem"}, {"given", chain, "", "key", "value_key_pem"}, {"mine", "", "", "ssl_name", "value_ssl_name"},
	} {
		checkError(t, c.name, w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: &c.name, Certificate: &c.chain, Key: &c.key}), mail.Invalid, c.field, c.text)
	}
	edit := func(name string, pairs ...string) {
		t.Helper()
		e := mail.ServerSSLEdit{SSLName: &name}
		if len(pairs) == 2 {
			e.Certificate, e.Key = &pairs[0], &pairs[1]
		}
		if err := w.EditServerSSL(t.Context(), as("admin"), e); err != nil {
			t.Fatal(err)
		}
	}
	edit("given", chain, key)
	edit("given") // as it is
	s, err := w.ServerSSL(t.Context(), as("admin"))
	if err != nil || s.Certificate.Source != mail.GivenCertificate || string(s.Certificate.Chain) != chain || len(s.Certificate.Key) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	w.seconds(t, 20)
	if got := dovecot.reloads.Load() - before; got != 1 {
		t.Errorf("%d reloads", got)
	}
	for _, p := range []string{files.Debian.SSL(), files.Debian.Certs()} {
		if b, err := os.ReadFile(filepath.Join(w.dir, p, "default.crt")); err != nil || !strings.HasSuffix(string(b), chain) {
			t.Errorf("%s: %v", p, err)
		}
	}
	edit("letsencrypt")
	if o := w.ordered(t, mail.ServerCertificate); o == nil || !slices.Equal(o.Names, names("mx.host.example")) {
		t.Fatalf("%+v", o)
	}
	issued := n.vouch(t, w.tick().Add(89*24*time.Hour).Truncate(time.Second), "mx.host.example")
	own := mail.StoredName(mail.ServerCertificate)
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", own, issued, mail.LetsEncrypt, acme.Renewal{At: w.tick().Add(50 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	c := w.certificate(t, mail.ServerCertificate)
	if string(c.Chain) != string(issued.Chain) || c.Before.Name == "" || w.ordered(t, mail.ServerCertificate) != nil {
		t.Error("not installed")
	}
	edit("letsencrypt") // as it is
	if w.ordered(t, mail.ServerCertificate) != nil {
		t.Error("ordered though it is there")
	}
	edit("selfsigned")
	if c := w.certificate(t, mail.ServerCertificate); c.Source != mail.SelfSigned || !covers(c, names("mx.host.example"), w.tick()) {
		t.Errorf("%v", c.Source)
	}
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", own, issued, mail.LetsEncrypt, acme.Renewal{}); err != nil || w.certificate(t, mail.ServerCertificate).Source != mail.SelfSigned {
		t.Errorf("an order that nobody wants any more: %v", err)
	}
	checkSettled(t, w)
	w.seconds(t, 20)
	checkFollows(t, w)
	w.people.params.MailHost = ""
	checkError(t, "no name", w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("letsencrypt")}), mail.Invalid, "ssl_name", "value_ssl_host")
}

// traces are what would show a private key: its own bytes, in what people write them in.
func traces(t testing.TB, key []byte) (all []string) {
	t.Helper()
	b, _ := pem.Decode(key)
	if b == nil {
		t.Fatal("no key")
	}
	k, err := mail.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := k.(interface{ Bytes() ([]byte, error) }).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{b.Bytes, secret} {
		all = append(all, string(raw), fmt.Sprintf("%x", raw), base64.StdEncoding.EncodeToString(raw)[:40])
	}
	return append(all, strings.Split(string(key), "\n")[1])
}

// No private key is in an answer, an error, a difference, a log, or the audit.
func TestPrivateKeysAreShownNowhere(t *testing.T) {
	w, dovecot := shortWorld(t)
	n := newNotary(t)
	panel := w.ownCertificates()
	var changes bytes.Buffer
	w.LogChanges(zerolog.New(&changes))
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	theirs, given, issued := n.vouch(t, until, "mail.b.example"), n.vouch(t, until, "mx.host.example"), n.vouch(t, until, "mail.c.example")
	panel.put("user1", "mine", theirs)
	panel.put("user1", "broken", mail.Certificate{Chain: theirs.Chain, Key: issued.Key})
	var said strings.Builder
	show := func(what any, err error) { fmt.Fprintf(&said, "%+v %#v %v\n", what, what, err) }
	preview := func(do func(by Actor) error) {
		by := as("admin")
		by.Preview = &Preview{}
		err := do(by)
		show(by.Preview.Changes(), err)
	}
	admin := as("admin")
	make := func(by Actor) error {
		for _, d := range [][]string{{"a.example", "selfsigned"}, {"b.example", "mine"}, {"c.example", "letsencrypt"}, {"d.example", "broken"}} {
			_, err := w.AddDomain(t.Context(), by, secureOn(d[0], "owner", "user1", "ssl_name", d[1]))
			show(d, err)
		}
		chain, key, wrong := string(given.Chain), string(given.Key), string(issued.Key)
		show("given", w.EditServerSSL(t.Context(), by, mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: &chain, Key: &wrong}))
		show("given", w.EditServerSSL(t.Context(), by, mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: &key, Key: &key}))
		return w.EditServerSSL(t.Context(), by, mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: &chain, Key: &key})
	}
	preview(make)
	if err := make(admin); err != nil {
		t.Fatal(err)
	}
	own := w.certificate(t, "a.example").Key
	stopgap := w.certificate(t, "c.example").Key
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("c.example"), issued, mail.LetsEncrypt, acme.Renewal{At: until}); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.certificateFiles(t) {
		if err := os.WriteFile(filepath.Join(w.dir, "etc", p), []byte("# maildomain 1: edited\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.unpublished.Store(true)
	dovecot.says("-BUSY\n")
	show("reload", w.ApplyCertificates(t.Context()))
	differ, err := w.Differences(t.Context())
	show(differ, err)
	report, err := w.Check(t.Context())
	show(report, err)
	repairs, err := w.Reconcile(t.Context())
	show(repairs, err)
	show("reload", w.ApplyCertificates(t.Context()))
	dovecot.says("+\n")
	show("reload", w.ApplyCertificates(t.Context()))
	for _, d := range []string{"a.example", "b.example", "c.example"} {
		s, err := w.DomainSSL(t.Context(), admin, d)
		show(s, err)
		past, _, err := w.DomainHistory(t.Context(), admin, HistoryQuery{Elid: d, Limit: 100})
		show(past, err)
		preview(func(by Actor) error { _, err := w.DeleteDomains(t.Context(), by, []string{d}); return err })
	}
	s, err := w.ServerSSL(t.Context(), admin)
	show(s, err)
	group(t, w.DeleteDomains, admin, "a.example", "b.example", "c.example")
	gone, _, err := w.ListDeleted(t.Context(), admin, mail.Query{Sort: "id", Limit: 100})
	show(gone, err)
	for _, g := range gone {
		preview(func(by Actor) error {
			_, err := w.RestoreDeleted(t.Context(), by, []string{fmt.Sprint(g.ID)})
			return err
		})
	}
	for _, d := range []string{"a.example", "default", "c.example", "mailparam"} {
		for _, c := range history(t, w, d) {
			text, err := json.Marshal(c)
			show(string(text)+string(c.Before)+string(c.After), err)
		}
	}
	for where, text := range map[string]string{"what was answered": said.String(), "the log": w.log.String(), "the log of changes": changes.String()} {
		if len(text) < 50 {
			t.Errorf("%s: %q", where, text)
		}
		if strings.Contains(text, "PRIVATE KEY") {
			t.Errorf("%s has a key in PEM", where)
		}
		for _, key := range [][]byte{own, stopgap, theirs.Key, given.Key, issued.Key} {
			for i, trace := range traces(t, key) {
				if strings.Contains(text, trace) {
					t.Errorf("%s shows a key (%d)", where, i)
				}
			}
		}
	}
}

// The lists of what is served name everybody's domains: others than administrators are
// shown the lines about their own.
func TestPreviewShowsNobodyElsesNames(t *testing.T) {
	w := handWorld(t)
	addSecure(t, w, as("user2"), "theirs.example", "ip", "192.0.2.1")
	addSecure(t, w, as("user2"), "xmine.example")
	for _, by := range []Actor{as("user1"), as("admin")} {
		by.Preview = &Preview{}
		if _, err := w.AddDomain(t.Context(), by, secureOn("mine.example", "ip", "192.0.2.1")); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(by.Preview.Changes())
		if !by.Preview.Changes()[0].Reload {
			t.Error("no reload is told")
		}
		if strings.Contains(text, "theirs.example") != (by.Level == mail.LevelAdmin) || strings.Contains(text, "xmine.example") != (by.Level == mail.LevelAdmin) {
			t.Errorf("%s is shown:\n%s", by.User, text)
		}
		if !strings.Contains(text, "+mail.mine.example: mine.example\n") || !strings.Contains(text, "+mine.example: 192.0.2.1\n") || !strings.Contains(text, `+local_name "mail.mine.example" {`) || !strings.Contains(text, "/etc/exim4/ssl/mine.example.crt") {
			t.Errorf("%s is not shown what would change:\n%s", by.User, text)
		}
	}
	if w.certificate(t, "mine.example") != nil {
		t.Error("and yet it was made")
	}
	checkFollows(t, w)
}

// Work on one domain leaves every byte that is about another.
func TestCertificatesOfSimilarNamesAreApart(t *testing.T) {
	similar := []string{"a.b.example", "a-b.example", "axb.example", "a.b.c.example", "xa.b.example"}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		w := handWorld(t)
		for _, n := range similar {
			addSecure(t, w, as("user1"), n)
		}
		for range 40 {
			n := similar[r.IntN(len(similar))]
			before := w.about(t, n)
			var err error
			what := []string{"names", "off", "on", "delete", "authority", "suspend", "reload", "spoil"}[r.IntN(8)]
			switch what {
			case "names":
				_, err = w.EditDomain(t.Context(), as("user1"), n, edit("secure_alias", []string{"mail.", "imap.", "mail." + n + " smtp."}[r.IntN(3)]+n))
			case "off", "on":
				_, err = w.EditDomain(t.Context(), as("user1"), n, edit("secure", what))
			case "authority":
				_, err = w.EditDomain(t.Context(), as("user1"), n, edit("ssl_name", "letsencrypt"))
			case "delete":
				_, err = w.DeleteDomains(t.Context(), as("user1"), []string{n})
				if err == nil {
					_, err = w.AddDomain(t.Context(), as("user1"), secureOn(n))
				}
			case "suspend":
				_, err = w.SuspendDomains(t.Context(), as("user1"), []string{n})
			case "reload":
				err = w.ApplyCertificates(t.Context())
			case "spoil":
				err = errors.Join(os.RemoveAll(filepath.Join(w.dir, files.Debian.SSL(), n+".crt")), os.RemoveAll(filepath.Join(w.dir, files.Debian.Certs(), n+".key")))
				reconcile(t, w)
			}
			if err != nil {
				t.Fatal(err)
			}
			if what == "reload" { // takes away what any of them left
				continue
			}
			if after := w.about(t, n); !maps.Equal(before, after) {
				t.Fatalf("work on %s: before %q, after %q", n, before, after)
			}
		}
		checkFollows(t, w)
	}
}

// about is all that files and lists say of other domains than n.
func (w *world) about(t rapid.TB, n string) map[string]string {
	others := map[string]string{}
	for _, dir := range []string{files.Debian.SSL(), files.Debian.Certs(), files.Debian.Domains()} {
		entries, err := os.ReadDir(filepath.Join(w.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".crt"), ".key")
			if name == n || name == "sni" || name == "certs.conf" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(w.dir, dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			others[filepath.Join(dir, e.Name())] = string(b)
		}
	}
	for _, list := range []string{files.Debian.SNI(), files.Debian.CertsConf()} {
		b, err := os.ReadFile(filepath.Join(w.dir, list))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" :\"\n", r) })
			ofN := slices.ContainsFunc(words, func(s string) bool {
				s = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s), ".crt"), ".key")
				return s == n || s == "mail."+n || s == "imap."+n || s == "smtp."+n
			})
			if !ofN && !strings.Contains(line, "vsz_limit") && len(words) > 1 {
				others[list] += line
			}
		}
	}
	return others
}
