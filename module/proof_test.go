package module

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/lab"
)

// A shop is a world whose files a real Exim and a real Dovecot obey, and which asks
// them what they show. Its domain a.example has a certificate of its own, which is
// seen served.
type shop struct {
	*world
	x *lab.Exim
}

const shopName = "mail.a.example"

func newShop(t *testing.T) *shop {
	t.Helper()
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	w := emptyWorld(t, root)
	for _, l := range []string{files.Debian.SSL(), files.Debian.Certs()} { // the lab's own
		for _, ext := range []string{"crt", "key"} {
			if err := os.Remove(filepath.Join(root, l, "default."+ext)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Prepare(t.Context(), mail.StoredName("mx.host.example")); err != nil {
		t.Fatal(err)
	}
	reconcile(t, w)
	add(t, w, as("admin"), "a.example")
	change(t, w, as("admin"), "a.example", edit("secure", "on"))
	s := &shop{w, lab.Start(t, root, lab.Options{Dovecot: true})}
	w.AskServers(s.servers(t))
	s.reload(t)
	if s.prove(t); s.row(t).Before.Name != "" {
		t.Fatal("the first certificate has one before it")
	}
	return s
}

func (s *shop) servers(t *testing.T) []files.Server {
	t.Helper()
	a := s.x.Services()
	servers, err := files.ParseServers(fmt.Sprintf("smtp=%s submissions=%s submission=%s imap=%s imaps=%s pop3=%s pop3s=%s",
		s.x.Addr(), a.Submissions, a.Submission, a.IMAP, a.IMAPS, a.POP3, a.POP3S))
	if err != nil {
		t.Fatal(err)
	}
	return servers
}

// reload has Dovecot read what changed, and returns when it shows it.
func (s *shop) reload(t *testing.T) {
	t.Helper()
	if err := s.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	is := s.row(t)
	s.waitFor(t, fingerprintOf(&is), files.ServiceIMAP, files.ServiceIMAPS, files.ServicePOP3, files.ServicePOP3S)
}

// waitFor waits until services show a certificate for the domain's name.
func (s *shop) waitFor(t *testing.T, fingerprint string, services ...files.Service) {
	t.Helper()
	var a files.Asker
	for _, server := range s.servers(t) {
		for _, service := range services {
			if server.Service == service {
				a.Servers = append(a.Servers, server)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		wrong := ""
		for _, sh := range a.Ask(ctx, mail.StoredName(shopName)) {
			if sh.Err != nil || hex.EncodeToString(sh.Fingerprint[:]) != fingerprint {
				wrong = fmt.Sprintf("%s: %v, %v", sh.Server, sh.Names, sh.Err)
			}
		}
		if wrong == "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(wrong)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// prove looks until nothing is to be looked for.
func (w *world) prove(t *testing.T) {
	t.Helper()
	for i := 0; i == 0 || w.Proving(); i++ {
		if i > 100 {
			t.Fatal("it looks without end")
		}
		if err := w.LookServed(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
	}
}

// another makes a new certificate the domain's, which nobody vouches for, and returns its
// fingerprint.
func (w *world) another(t *testing.T) string {
	t.Helper()
	c, err := mail.SelfSign([]mail.Name{mail.StoredName(shopName)}, w.tick(), w.tick().Add(selfSignedLasts))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.install(t.Context(), itself, "emaildomain.ssl.renew", mail.StoredName("a.example"), c, mail.SelfSigned, acme.Renewal{}); err != nil {
		t.Fatal(err)
	}
	r := w.row(t)
	if string(r.Chain) != string(c.Chain) {
		t.Fatal("the certificate was not taken")
	}
	return fingerprintOf(&r)
}

// row is the certificate of a.example.
func (w *world) row(t *testing.T) (c store.CertificateRow) {
	t.Helper()
	err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		c, _, err = tx.Certificate(ctx, "a.example")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// found is what was found of the name, and the note of its domain.
func (w *world) found(t *testing.T) (v mail.Verdict, seen []store.Seen, note string) {
	t.Helper()
	err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		d, _, err := tx.Domain(ctx, mail.StoredName("a.example"))
		if err != nil {
			return err
		}
		note = d.Note
		fs, err := tx.FindingsOf(ctx, d.Name)
		for _, f := range fs {
			if f.Why == mail.ForTLS && f.Name == shopName {
				v, seen = f.Verdict, f.Seen
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, seen, note
}

// checkFound wants something to be found, and lists to note it where it is wrong.
func (w *world) checkFound(t *testing.T, state mail.State, text string) (mail.Verdict, []store.Seen) {
	t.Helper()
	v, seen, note := w.found(t)
	if v.State != state || v.Text != text || (note == "ssl") != (state == mail.Wrong) {
		t.Errorf("found %s, %s, %v, noted %q; want %s, %s; seen %v", v.State, v.Text, v.Args, note, state, text, seen)
	}
	for _, name := range mail.CheckTexts[v.Text] {
		if v.Args[name] == "" {
			t.Errorf("%s lacks what fills __%s__: %v", v.Text, name, v.Args)
		}
	}
	return v, seen
}

func TestCertificateThatIsSeenServedIsThereToStay(t *testing.T) {
	s := newShop(t)
	s.checkFound(t, mail.Right, mail.CheckTLSUntrusted)
	s.another(t)
	if s.row(t).Before.Name == "" {
		t.Fatal("nothing is kept to go back to")
	}
	s.reload(t)
	s.prove(t)
	if s.row(t).Before.Name != "" {
		t.Error("what was served before is kept still")
	}
	if _, seen := s.checkFound(t, mail.Right, mail.CheckTLSUntrusted); len(seen) != 7 || !strings.Contains(strings.Join(seen[0].Values, " "), shopName) {
		t.Errorf("%v", seen)
	}
	change(t, s.world, as("admin"), "a.example", edit("secure", "off"))
	if err := s.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.prove(t)
	if v, _, _ := s.found(t); v.Text != "" {
		t.Errorf("of a domain without a certificate: %v", v)
	}
}

// A key that Exim cannot read is found out by nobody but who tries. The letters go on
// as before, and nothing is tried again by itself.
func TestCertificateThatCannotBeServedGivesWayToTheOneBefore(t *testing.T) {
	s := newShop(t)
	addBox(t, s.world, as("admin"), "box@a.example")
	before := s.row(t)
	refused := s.another(t)
	s.reload(t)
	s.blind(t)
	for range 3 {
		s.prove(t)
		if is := s.row(t); string(is.Chain) != string(before.Chain) || string(is.Key) != string(before.Key) || is.Source != before.Source || is.Before.Name != "" {
			t.Fatalf("served is %s, kept %q; refused was %s", fingerprintOf(&is), is.Before.Name, refused)
		}
		v, seen := s.checkFound(t, mail.Wrong, mail.CheckTLSBack)
		if len(seen) != 7 || !strings.Contains(v.Args["ports"], "smtp "+s.x.Addr()) || strings.Contains(v.Args["ports"], "imap") {
			t.Errorf("%v, %v", v, seen)
		}
		s.reload(t)
	}
	s.waitFor(t, fingerprintOf(&before), files.ServiceSMTP, files.ServiceSubmission, files.ServiceSubmissions)
	stranger := lab.Client{Addr: s.x.Addr(), TLS: &tls.Config{ServerName: shopName, InsecureSkipVerify: true}}
	if r, err := stranger.Send(t.Context(), "you@sender.example", []string{"box@a.example"}, "Subject: hello\n\nhello\n"); err != nil || !r.OK() {
		t.Errorf("a letter by TLS: %v, %v", r, err)
	}
	if log := s.log.String(); strings.Count(log, "the one before was put back") != 1 || strings.Contains(log, "PRIVATE") {
		t.Error(log)
	}
	// The next one is served as any.
	s.another(t)
	s.reload(t)
	s.prove(t)
	s.checkFound(t, mail.Right, mail.CheckTLSUntrusted)
	if s.row(t).Before.Name != "" {
		t.Error("what was served before is kept still")
	}
}

// What Dovecot does not read, though it was told as far as anybody knows, is not kept
// beside what Exim shows.
func TestCertificateThatDovecotNeverReadGivesWayToTheOneBefore(t *testing.T) {
	s := newShop(t)
	before := s.row(t)
	s.another(t)
	is, err := s.toShow(t.Context())
	if err == nil {
		err = s.noteApplied(t.Context(), is.hash)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Module.prove(t.Context(), []mail.Name{mail.StoredName("a.example")}); err != nil {
		t.Fatal(err)
	}
	s.prove(t)
	if is := s.row(t); string(is.Chain) != string(before.Chain) {
		t.Error("the new one stays")
	}
	if v, _ := s.checkFound(t, mail.Wrong, mail.CheckTLSBack); strings.Contains(v.Args["ports"], "smtp") || !strings.Contains(v.Args["ports"], "imaps") {
		t.Error(v)
	}
}

// What Dovecot was not told of yet is no fault of the certificate, however often it is
// looked for; it is judged once Dovecot knows.
func TestCertificateThatDovecotWasNotToldOfStays(t *testing.T) {
	s := newShop(t)
	s.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no road leads there") }
	s.set(t, "resolvers", "192.0.2.53")
	conf := filepath.Join(t.TempDir(), "dovecot.conf")
	s.CheckDovecotConf(conf)
	if err := os.WriteFile(conf, []byte("no such setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	is := s.another(t)
	if err := s.ApplyCertificates(t.Context()); err == nil {
		t.Fatal("a configuration that cannot be read is taken")
	}
	look := func() {
		t.Helper()
		s.prove(t)
		if row := s.row(t); fingerprintOf(&row) != is || row.Before.Name == "" {
			t.Fatal("it was put back, or cannot be any more")
		}
		s.checkFound(t, mail.Wrong, mail.CheckTLSOther)
	}
	for range 2 {
		if _, err := s.CheckDomain(t.Context(), as("admin"), "a.example"); err != nil {
			t.Fatal(err)
		}
		look()
	}
	s.pass(restsFor)
	look()
	s.Module = s.begun(t)
	s.CheckDovecotConf(conf)
	look()
	if err := os.WriteFile(conf, []byte("protocols = imap\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload(t)
	s.prove(t)
	s.checkFound(t, mail.Right, mail.CheckTLSUntrusted)
	if row := s.row(t); fingerprintOf(&row) != is || row.Before.Name != "" {
		t.Error("it is not there to stay")
	}
}

// begun is another process's module, which asks the same servers.
func (w *world) begun(t *testing.T) *Module {
	t.Helper()
	m := New(w.db, w.Module.tree, w.people.panel(), zerolog.New(w.log))
	m.proofs.asker = w.proofs.asker
	return m
}

// A server that shows something which the module never wrote would do so with the
// certificate before as well: it is told, and nothing is put back.
func TestCertificateOfSomebodyElseIsTold(t *testing.T) {
	s := newShop(t)
	is := s.another(t)
	s.reload(t)
	other, err := mail.SelfSign([]mail.Name{mail.StoredName("else.example")}, s.tick(), s.tick().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other.Name = "a.example"
	for _, f := range files.Debian.CertificateFiles(other)[:2] { // Exim's, as a backup of another day may bring them back
		if err := os.WriteFile(filepath.Join(s.dir, f.Path), f.Body, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	s.prove(t)
	if row := s.row(t); fingerprintOf(&row) != is || row.Before.Name == "" {
		t.Error("it was put back, or cannot be any more")
	}
	if v, _ := s.checkFound(t, mail.Wrong, mail.CheckTLSOther); v.Args["found"] != "else.example" || strings.Contains(v.Args["ports"], "imap") {
		t.Error(v)
	}
	// Who sees to it is told that it is well, at the next check.
	reconcile(t, s.world)
	s.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no road leads there") }
	s.set(t, "resolvers", "192.0.2.53")
	r, err := s.CheckDomain(t.Context(), as("admin"), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range r.Findings {
		if f.Why == mail.ForTLS {
			n++
		}
	}
	s.prove(t)
	if s.row(t).Before.Name != "" || n != 1 {
		t.Errorf("%d findings", n)
	}
	if v, _, note := s.found(t); v.State != mail.Right || note == "ssl" {
		t.Errorf("%v, noted %q", v, note)
	}
}

// Where nobody can be asked nothing is known; a day later it is left at that.
func TestCertificateThatNobodyCanBeAskedAboutIsKeptAfterADay(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("admin"), "a.example")
	change(t, w, as("admin"), "a.example", edit("secure", "on"))
	w.AskServers([]files.Server{{Service: files.ServiceIMAPS, Addr: "127.0.0.1:993"}, {Service: files.ServiceSMTP, Addr: "127.0.0.1:25"}})
	refusing := true
	w.proofs.asker.Dial = func(context.Context, string, string) (net.Conn, error) {
		if refusing {
			return nil, syscall.ECONNREFUSED
		}
		return nil, errors.New("no road leads there")
	}
	is := w.another(t)
	if err := w.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.prove(t)
	first, _ := w.checkFound(t, mail.Unknown, mail.CheckTLSNobody)
	refusing = false
	w.pass(restsFor)
	w.prove(t) // the same process
	w.checkFound(t, mail.Unknown, mail.CheckTLSSilent)
	w.pass(22 * time.Hour)
	// Another process does not forget since when.
	w.Module = w.begun(t)
	w.prove(t)
	if v, _ := w.checkFound(t, mail.Unknown, mail.CheckTLSSilent); v.Args["since"] != first.Args["since"] {
		t.Errorf("%v, first %v", v, first)
	}
	if w.row(t).Before.Name == "" {
		t.Error("given up too early")
	}
	w.pass(2 * time.Hour)
	w.prove(t)
	if r := w.row(t); r.Before.Name != "" || fingerprintOf(&r) != is {
		t.Error("it is not left at the new one")
	}
}

// Without servers to ask nobody is asked, and nothing is kept waiting.
func TestNobodyIsAskedWhereNoServersAreNamed(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("admin"), "a.example")
	change(t, w, as("admin"), "a.example", edit("secure", "on"))
	w.proofs.asker.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		t.Errorf("%s is asked", addr)
		return nil, errors.New("no road leads there")
	}
	w.another(t)
	if err := w.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.prove(t)
	if v, _, _ := w.found(t); v.Text != "" || w.row(t).Before.Name != "" {
		t.Errorf("%v", v)
	}
}

// The server's own is asked for without a name.
func TestServersOwnCertificateIsProvedToo(t *testing.T) {
	s := newShop(t)
	own := mail.StoredName(mail.ServerCertificate)
	c, err := mail.SelfSign([]mail.Name{mail.StoredName("mx.host.example")}, s.tick(), s.tick().Add(selfSignedLasts))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.install(t.Context(), itself, "emaildomain.ssl.renew", own, c, mail.SelfSigned, acme.Renewal{}); err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(c.Chain)
	leaf, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		sh := files.Asker{Servers: s.servers(t)}.Ask(t.Context(), mail.Name{})
		if sh[4].Err == nil && sh[6].Err == nil && sh[4].Expire.Equal(leaf.NotAfter) && sh[6].Expire.Equal(leaf.NotAfter) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", sh)
		}
	}
	s.prove(t)
	var row *store.CertificateRow
	err = s.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		row, err = certificateOf(ctx, tx, mail.ServerCertificate)
		return err
	})
	if err != nil || row.Before.Name != "" || string(row.Chain) != string(c.Chain) {
		t.Errorf("%v", err)
	}
	if f := s.ownFound(t); f.Verdict.State != mail.Right || f.Name != "" || len(f.Seen) == 0 {
		t.Errorf("%+v", f)
	}
	// What somebody else put in its place is told, until it is right again.
	key, err := os.ReadFile(filepath.Join(s.dir, files.Debian.SSL(), "a.example.key"))
	if err != nil {
		t.Fatal(err)
	}
	crt, err := os.ReadFile(filepath.Join(s.dir, files.Debian.SSL(), "a.example.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for ext, body := range map[string][]byte{"key": key, "crt": crt} {
		if err := os.WriteFile(filepath.Join(s.dir, files.Debian.SSL(), "default."+ext), body, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Module.prove(t.Context(), []mail.Name{own}); err != nil {
		t.Fatal(err)
	}
	s.prove(t)
	if f := s.ownFound(t); f.Verdict.Text != mail.CheckTLSOther || !strings.Contains(f.Verdict.Args["ports"], "smtp") || strings.Contains(f.Verdict.Args["ports"], "imap") {
		t.Errorf("%+v", f)
	}
	for _, begun := range []bool{false, true} { // also by a process that begins then
		reconcile(t, s.world)
		if begun {
			s.proofs.todo, s.proofs.recalled = nil, false
		} else {
			s.pass(restsFor)
		}
		if s.prove(t); s.ownFound(t).Verdict.State != mail.Right {
			t.Errorf("begun anew: %v: %+v", begun, s.ownFound(t))
		}
		err := s.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			f := s.ownFound(t)
			f.Verdict = mail.Say(mail.Wrong, mail.CheckTLSNone, "ports", "smtp")
			return tx.PutFindingsFor(ctx, own, mail.ForTLS, []store.Finding{f})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ownFound is what was found of the server's own certificate, as its form has it.
func (s *shop) ownFound(t *testing.T) store.Finding {
	t.Helper()
	is, err := s.ServerSSL(t.Context(), as("admin"))
	if err != nil || len(is.Findings) != 1 {
		t.Fatal(is.Findings, err)
	}
	return is.Findings[0]
}

// blind takes Exim the key that it was just given.
func (s *shop) blind(t *testing.T) {
	t.Helper()
	if err := os.Chmod(filepath.Join(s.dir, files.Debian.SSL(), "a.example.key"), 0); err != nil {
		t.Fatal(err)
	}
}

// One that an authority vouches for is trusted; and one that could not be served is
// ordered again after some days, for authorities count.
func TestCertificateOfAnAuthorityThatGaveWayIsOrderedLater(t *testing.T) {
	s := newShop(t)
	n, a := mail.StoredName("a.example"), newNotary(t)
	s.proofs.asker.Roots = x509.NewCertPool()
	s.proofs.asker.Roots.AddCert(a.cert)
	change(t, s.world, as("admin"), "a.example", edit("ssl_name", "letsencrypt"))
	issue := func() {
		t.Helper()
		now := s.tick()
		if err := s.install(t.Context(), itself, "emaildomain.ssl.issue", n, a.vouch(t, now.Add(60*24*time.Hour), shopName), mail.LetsEncrypt, acme.Renewal{At: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		s.reload(t)
	}
	order := func() (o store.OrderRow, found bool) {
		t.Helper()
		err := s.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			o, found, err = tx.Order(ctx, "a.example")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return o, found
	}
	issue()
	s.blind(t)
	s.prove(t)
	v, _ := s.checkFound(t, mail.Wrong, mail.CheckTLSBack)
	if o, found := order(); !found || o.Due.Sub(s.tick()) < 47*time.Hour || s.row(t).Source != mail.SelfSigned {
		t.Errorf("the order: %v, %+v; %v", found, o, v)
	}
	s.reload(t)
	s.prove(t)
	issue() // two days later, with Exim mended
	s.prove(t)
	s.checkFound(t, mail.Right, mail.CheckTLSServed)
	if _, found := order(); found {
		t.Error("what was ordered is ordered still")
	}
	// The next one of the authority gives way to one of the authority.
	good := s.row(t)
	issue()
	s.blind(t)
	s.prove(t)
	s.checkFound(t, mail.Wrong, mail.CheckTLSBack)
	if is := s.row(t); string(is.Chain) != string(good.Chain) || is.Source != mail.LetsEncrypt || is.Renew.Sub(s.tick()) < 47*time.Hour {
		t.Errorf("%s, from %s, to be renewed %s", fingerprintOf(&is), is.Source, is.Renew)
	}
	if o, found := order(); found {
		t.Errorf("%+v", o)
	}
}

// One that the owner has in the panel is looked at each day, and yet not tried again
// until it is another.
func TestCertificateOfThePanelThatGaveWayIsNotTriedAgain(t *testing.T) {
	s := newShop(t)
	have, a := s.ownCertificates(), newNotary(t)
	until := s.tick().Add(60 * 24 * time.Hour)
	have.put("admin", "bought", a.vouch(t, until, shopName))
	before := s.row(t)
	change(t, s.world, as("admin"), "a.example", edit("ssl_name", "bought"))
	s.reload(t)
	s.blind(t)
	s.prove(t)
	s.reload(t)
	for range 3 {
		s.pass(25 * time.Hour)
		if err := s.FollowCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.prove(t)
		if is := s.row(t); string(is.Chain) != string(before.Chain) {
			t.Fatal("it is tried again")
		}
		s.checkFound(t, mail.Wrong, mail.CheckTLSBack)
	}
	have.put("admin", "bought", a.vouch(t, until.Add(time.Hour), shopName))
	s.pass(25 * time.Hour)
	if err := s.FollowCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reload(t)
	s.prove(t)
	if is := s.row(t); is.Source != "bought" {
		t.Error("another one is not taken")
	}
	s.checkFound(t, mail.Right, mail.CheckTLSUntrusted)
}
