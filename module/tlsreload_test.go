package module

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/lab"
)

// A listener is the socket that Dovecot is told by, which counts reloads, and how often
// all sessions were ended.
type listener struct {
	reloads atomic.Int64
	ended   atomic.Int64
	answer  atomic.Pointer[string]
	during  atomic.Pointer[func()]
}

// shortWorld is a world in a directory whose sockets have names that are short enough,
// with a Dovecot that listens.
func shortWorld(t testing.TB) (*world, *listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := emptyWorld(t, dir)
	if err := w.EditSettings(context.Background(), as("admin"), mail.SettingsEdit{DNS: ptr(string(mail.DNSByHand))}); err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(context.Background(), mail.StoredName("mx.host.example")); err != nil {
		t.Fatal(err)
	}
	reconcile(t, w)
	return w, listenAt(t, dir)
}

func listenAt(t testing.TB, dir string) *listener {
	t.Helper()
	run := filepath.Join(dir, files.Debian.DovecotRun)
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(run, "doveadm-server"))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	l.says("+\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.serve(c)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return l
}

func (l *listener) says(answer string) { l.answer.Store(&answer) }

func (l *listener) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	lines := bufio.NewScanner(c)
	if !lines.Scan() {
		return
	}
	_, _ = c.Write([]byte("VERSION\tdoveadm-client\t1\t2\n+\n"))
	for lines.Scan() {
		if lines.Text() == "\t\treload" {
			l.reloads.Add(1)
			if f := l.during.Swap(nil); f != nil {
				(*f)()
			}
		}
		if strings.HasPrefix(lines.Text(), "\t\tkick\t") {
			l.ended.Add(1)
		}
		_, _ = c.Write([]byte(*l.answer.Load()))
	}
}

// seconds goes on for that long, with the job run each second, and nothing else.
func (w *world) seconds(t testing.TB, n int) {
	t.Helper()
	for range n { // each look at the clock is a second
		if err := w.ReloadCertificates(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) certificateFiles(t testing.TB) (names []string) {
	t.Helper()
	err := w.Module.tree.CertificateNames(func(p string) error {
		names = append(names, strings.TrimPrefix(p, "etc/"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

var ownFilesOnly = []string{"dovecot/certs/default.crt", "dovecot/certs/default.key", "exim4/ssl/default.crt", "exim4/ssl/default.key"}

// Each reload sends away who is about to log in: many changes share one.
func TestManyChangesShareAReload(t *testing.T) {
	w, dovecot := shortWorld(t)
	w.seconds(t, 20)
	if n := dovecot.reloads.Load(); n != 1 {
		t.Fatalf("%d reloads at first", n)
	}
	const domains, edits = 30, 300
	w.stand()
	name := func(i int) string { return fmt.Sprintf("d%d.example", i%domains) }
	for _, c := range []struct {
		n  int
		do func(i int)
	}{
		{domains, func(i int) { addSecure(t, w, as("user1"), name(i)) }},
		{edits, func(i int) {
			change(t, w, as("user1"), name(i), edit("secure_alias", fmt.Sprintf("imap%d.%s", i, name(i))))
		}},
		{domains, func(i int) { group(t, w.DeleteDomains, as("user1"), name(i)) }},
	} {
		before := dovecot.reloads.Load()
		for i := range c.n { // as quick as they can be, ten seconds for all
			c.do(i)
			if err := w.ReloadCertificates(t.Context()); err != nil {
				t.Fatal(err)
			}
			if (i+1)%(c.n/10) == 0 {
				w.pass(time.Second)
			}
		}
		w.pass(3 * time.Second)
		if err := w.ReloadCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := dovecot.reloads.Load() - before; n < 1 || n > 2 { // after ten seconds, and after the last
			t.Errorf("%d reloads for %d edits", n, c.n)
		}
	}
	before := dovecot.reloads.Load()
	if w.Reloading() {
		t.Error("and one is still wanted")
	}
	for range 100 {
		if err := w.ReloadCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
	}
	if n := dovecot.reloads.Load() - before; n > 0 {
		t.Errorf("%d reloads though nothing changed", n)
	}
}

// The files of a certificate go when Dovecot has read the list that names it no more.
func TestFilesOfACertificateGoAfterTheReload(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	w.seconds(t, 20)
	stands := w.certificateFiles(t)
	if len(stands) != 8 {
		t.Fatalf("%q", stands)
	}
	group(t, w.DeleteDomains, as("user1"), "a.example")
	if got := w.certificateFiles(t); !slices.Equal(got, stands) {
		t.Errorf("gone with the change: %q", got)
	}
	dovecot.says("-BUSY\n")
	var told []string
	for range 400 {
		if err := w.ReloadCertificates(t.Context()); err != nil {
			told = append(told, err.Error())
		}
		checkSettled(t, w) // and reconcile leaves them alone
	}
	if got := w.certificateFiles(t); !slices.Equal(got, stands) {
		t.Errorf("gone though Dovecot did not read the list: %q", got)
	}
	if len(told) != 1 || !strings.Contains(told[0], "BUSY") {
		t.Errorf("told %d times: %q", len(told), told)
	}
	if h, err := w.Health(t.Context()); err != nil || h.OK || h.Queues["reload"] != 1 || !w.Reloading() {
		t.Errorf("%+v, %v", h, err)
	}
	if n := dovecot.reloads.Load(); n < 3 || n > 40 {
		t.Errorf("tried %d times", n)
	}
	dovecot.says("+\n")
	w.pass(reloadSeldom)
	w.seconds(t, 3)
	if got := w.certificateFiles(t); !slices.Equal(got, ownFilesOnly) {
		t.Errorf("left: %q", got)
	}
	if h, err := w.Health(t.Context()); err != nil || !h.OK || w.Reloading() {
		t.Errorf("%+v, %v", h, err)
	}
	checkFollows(t, w)
}

// again is another process over what w left, started.
func (w *world) again(t testing.TB) []string {
	t.Helper()
	w.Module = New(w.db, w.Module.tree, w.people.panel(), zerolog.New(w.log))
	repairs, err := w.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return said(repairs)
}

func TestReloadThatACrashPreventedIsMadeUpFor(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	group(t, w.DeleteDomains, as("user1"), "a.example")
	addSecure(t, w, as("user1"), "b.example") // published, and here it ends
	w.again(t)
	w.seconds(t, 20)
	if n := dovecot.reloads.Load() - before; n != 1 {
		t.Errorf("%d reloads", n)
	}
	if got := w.certificateFiles(t); len(got) != 8 || !strings.Contains(got[0], "b.example") {
		t.Errorf("%q", got)
	}
	w.again(t)
	w.seconds(t, 20)
	if n := dovecot.reloads.Load() - before; n != 1 {
		t.Errorf("%d reloads though nothing changed", n)
	}
	checkFollows(t, w)
}

// What was committed and not published is put in place at the next start, and only then
// is Dovecot told: it would stop all log-ins for a file that is missing.
func TestDovecotIsNotToldOfWhatIsNotInPlace(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	addSecure(t, w, as("user1"), "b.example")
	for _, p := range w.certificateFiles(t) { // as if it had ended before the first rename
		if strings.Contains(p, "/b.example.") {
			if err := os.Remove(filepath.Join(w.dir, "etc", p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.unpublished.Store(false)
	failed := false
	for range 20 {
		failed = w.ReloadCertificates(t.Context()) != nil || failed
	}
	if n := dovecot.reloads.Load() - before; n != 0 || !failed || !w.Unpublished() {
		t.Errorf("%d reloads; told: %v; reconcile is wanted: %v", n, failed, w.Unpublished())
	}
	if got := w.again(t); len(got) != 4 {
		t.Errorf("%q", got)
	}
	w.seconds(t, 20)
	if n := dovecot.reloads.Load() - before; n != 1 {
		t.Errorf("%d reloads", n)
	}
	checkFollows(t, w)
}

// A change while Dovecot is told may have been read half: it is told again.
func TestChangeDuringAReloadIsToldAgain(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	addSecure(t, w, as("user1"), "b.example")
	changed := make(chan error, 1)
	f := func() {
		go func() {
			_, err := w.EditDomain(context.Background(), as("user1"), "a.example", edit("secure_alias", "imap.a.example"))
			changed <- err
		}()
		time.Sleep(20 * time.Millisecond) // it waits for us, and not for long
	}
	dovecot.during.Store(&f)
	for dovecot.reloads.Load() == before {
		w.seconds(t, 1)
	}
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	w.seconds(t, 20)
	if n := dovecot.reloads.Load() - before; n != 2 {
		t.Errorf("%d reloads", n)
	}
	checkFollows(t, w)
}

// Who vouches for a certificate is in the file and in no fingerprint.
func TestOtherChainOfTheSameCertificateIsRead(t *testing.T) {
	w, dovecot := shortWorld(t)
	n := newNotary(t)
	panel := w.ownCertificates()
	c := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mail.a.example")
	panel.put("user1", "mine", c)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "mine")
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	// The same signed by an authority that is itself signed: its certificate goes along.
	above := newNotary(t)
	c.Chain = append(c.Chain, above.crossSign(t, n)...)
	panel.put("user1", "mine", c)
	w.Forget("certificates")
	if err := w.FollowCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.seconds(t, 20)
	if got := dovecot.reloads.Load() - before; got != 1 {
		t.Errorf("%d reloads", got)
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Certs(), "a.example.crt")); err != nil || strings.Count(string(b), "BEGIN CERT") != 2 {
		t.Errorf("%s, %v", b, err)
	}
	checkFollows(t, w)
}

func TestOtherChainOfTheServersOwnCertificateIsRead(t *testing.T) {
	w, dovecot := shortWorld(t)
	n := newNotary(t)
	c := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mx.host.example")
	chains := []string{string(c.Chain), string(append(c.Chain, newNotary(t).crossSign(t, n)...))}
	for i, chain := range chains {
		w.seconds(t, 20)
		before := dovecot.reloads.Load()
		if err := w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: &chain, Key: ptr(string(c.Key))}); err != nil {
			t.Fatal(err)
		}
		w.seconds(t, 20)
		if got := dovecot.reloads.Load() - before; got != 1 {
			t.Errorf("%d reloads", got)
		}
		if b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Certs(), "default.crt")); err != nil || strings.Count(string(b), "BEGIN CERT") != i+1 {
			t.Errorf("%s, %v", b, err)
		}
	}
	checkFollows(t, w)
}

// Others may have been there: a file that reconcile puts right may have been read as it
// was.
func TestRepairedCertificateIsReadAnew(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	addSecure(t, w, as("user1"), "b.example")
	w.seconds(t, 20)
	before := dovecot.reloads.Load()
	all := w.tree(t, "etc")
	crt := filepath.Join(w.dir, files.Debian.Certs(), "a.example.crt")
	if err := os.WriteFile(crt, []byte("# maildomain 1: garbled"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.dir, files.Debian.SSL(), "b.example.key")); err != nil {
		t.Fatal(err)
	}
	if got := reconcile(t, w); !slices.Equal(got, []string{"etc/dovecot/certs/a.example.crt: edited, written", "ssl/b.example.key: missing, written"}) {
		t.Errorf("%q", got)
	}
	w.seconds(t, 20)
	if n := dovecot.reloads.Load() - before; n != 1 {
		t.Errorf("%d reloads", n)
	}
	if got := w.tree(t, "etc"); !equalTrees(all, got) {
		t.Error("other bytes than before")
	}
	// Everything.
	for _, d := range []string{files.Debian.SSL(), files.Debian.Certs()} {
		if err := os.RemoveAll(filepath.Join(w.dir, d)); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, w)
	if got := w.tree(t, "etc"); !equalTrees(all, got) {
		t.Error("other bytes than before")
	}
	checkSettled(t, w)
	w.seconds(t, 20)
	checkFollows(t, w)
}

// Who renews certificates by other means may copy them over ours, without our first
// line. Nobody else's wait for that, and it is mended.
func TestCertificateThatSomebodyElseCopiedIsMendedAndHoldsNobodyUp(t *testing.T) {
	w, dovecot := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	addSecure(t, w, as("user1"), "b.example")
	w.seconds(t, 20)
	right := w.tree(t, "etc")
	crt, key, err := w.plainPEM(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{
		files.Debian.Certs() + "/b.example.crt", files.Debian.SSL() + "/b.example.key", files.Debian.Certs() + "/default.crt", files.Debian.SSL() + "/default.key",
	} {
		before := dovecot.reloads.Load()
		body := crt
		if strings.HasSuffix(p, "key") {
			body = key
		}
		if err := os.WriteFile(filepath.Join(w.dir, p), body, 0o640); err != nil {
			t.Fatal(err)
		}
		fresh := w.another(t)
		var told []string
		for range 10 {
			if err := w.ReloadCertificates(t.Context()); err != nil {
				told = append(told, err.Error())
			}
		}
		if len(told) != 1 || !strings.Contains(told[0], p) || !w.Unpublished() {
			t.Fatalf("told %q, reconcile is wanted: %v", told, w.Unpublished())
		}
		if got := reconcile(t, w); len(got) != 1 || !strings.Contains(got[0], path.Base(p)+": edited, written") {
			t.Errorf("%q", got)
		}
		w.seconds(t, 20)
		if n := dovecot.reloads.Load() - before; n != 1 || w.Reloading() {
			t.Errorf("%s: %d reloads", p, n)
		}
		if b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Certs(), "a.example.crt")); err != nil || string(b) == right["etc/dovecot/certs/a.example.crt"] {
			t.Errorf("%v: %s is not served", err, fresh)
		}
		checkFollows(t, w)
		checkSettled(t, w)
	}
	// A renewal writes over it by itself, and it is noted.
	p := filepath.Join(w.dir, files.Debian.Certs(), "a.example.crt")
	if err := os.WriteFile(p, crt, 0o644); err != nil {
		t.Fatal(err)
	}
	w.another(t)
	w.seconds(t, 20)
	if w.Reloading() {
		t.Error("dovecot was not told")
	}
	checkFollows(t, w)
	checkSettled(t, w)
}

// plainPEM is a certificate as other programs write it.
func (w *world) plainPEM(t *testing.T) (crt, key []byte, err error) {
	c, err := mail.SelfSign(names("mail.b.example"), w.tick(), w.tick().Add(99*24*time.Hour))
	return c.Chain, c.Key, err
}

// What stood in the place of a certificate before we ever wrote one is somebody's.
func TestCertificateFromBeforeUsIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	w := emptyWorld(t, dir)
	crt, _, err := w.plainPEM(t)
	if err != nil {
		t.Fatal(err)
	}
	theirs := []string{filepath.Join(dir, files.Debian.SSL(), "default.crt"), filepath.Join(dir, files.Debian.Certs(), "a.example.crt")}
	for _, p := range theirs {
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, crt, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Prepare(t.Context(), mail.StoredName("mx.host.example")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := reconcile(t, w); !slices.Contains(got, "ssl/default.crt: foreign, left alone") {
			t.Errorf("%q", got)
		}
		if err := w.ApplyCertificates(t.Context()); err == nil {
			t.Error("dovecot is told")
		}
	}
	_, err = w.AddDomain(t.Context(), as("user1"), secureOn("a.example"))
	checkError(t, "a domain", err, mail.Unavailable, "files", "unavailable_foreign")
	n := newNotary(t)
	c := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mx.host.example")
	err = w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("given"), Certificate: ptr(string(c.Chain)), Key: ptr(string(c.Key))})
	checkError(t, "the server's own", err, mail.Unavailable, "files", "unavailable_foreign")
	for _, p := range theirs {
		if b, err := os.ReadFile(p); err != nil || string(b) != string(crt) {
			t.Errorf("%s: %v", p, err)
		}
	}
	// Once it is out of the way, all is as it is to be.
	for _, p := range theirs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, w)
	if err := w.ApplyCertificates(t.Context()); err != nil {
		t.Error(err)
	}
	checkSettled(t, w)
}

func equalTrees(a, b map[string]string) bool {
	return slices.Equal(sortedKeys(a), sortedKeys(b)) && !slices.ContainsFunc(sortedKeys(a), func(p string) bool { return a[p] != b[p] })
}

// A file that somebody else keeps there is left alone; ours of a domain that is gone is not.
func TestStaleFilesOfCertificatesAreRemoved(t *testing.T) {
	w, _ := shortWorld(t)
	addSecure(t, w, as("user1"), "a.example")
	w.seconds(t, 20)
	b, err := os.ReadFile(filepath.Join(w.dir, files.Debian.Certs(), "a.example.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for p, body := range map[string][]byte{"old.example.crt": b, "theirs.crt": []byte("-----BEGIN CERTIFICATE-----\n"), "notes.txt": []byte("x")} {
		if err := os.WriteFile(filepath.Join(w.dir, files.Debian.Certs(), p), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := reconcile(t, w); !slices.Equal(got, []string{"etc/dovecot/certs/old.example.crt: stale, removed"}) {
		t.Errorf("%q", got)
	}
	if got := len(w.certificateFiles(t)); got != 9 {
		t.Errorf("%d files", got)
	}
}

func TestMoreCertificatesThanDovecotCarriesAreRefused(t *testing.T) {
	w := handWorld(t)
	c, err := mail.SelfSign(names("mail.x.example"), w.tick(), w.tick().Add(99*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	err = w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range files.MostCertificates {
			d := mail.NewDomain(mail.StoredName(fmt.Sprintf("d%d.example", i)), "user1")
			d.Secure = true
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
			chain, err := mail.SelfSignWith(c.Key, d.SecureAlias, tx.Now, tx.Now.Add(selfSignedLasts))
			if err != nil {
				return err
			}
			chain.Name = d.Name.String()
			if err := tx.PutCertificate(ctx, store.CertificateRow{Certificate: chain, Source: mail.SelfSigned}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.AddDomain(t.Context(), as("user1"), secureOn("more.example"))
	checkError(t, "one more", err, mail.Limit, "certificates", "limit_certificates")
	if w.certificate(t, "more.example") != nil {
		t.Error("and yet there is one")
	}
	add(t, w, as("user1"), "more.example") // without one there is room
	change(t, w, as("user1"), "d7.example", edit("secure_alias", "imap.d7.example"))
	change(t, w, as("user1"), "d7.example", edit("secure", "off"))
	change(t, w, as("user1"), "more.example", edit("secure", "on"))
}

// manySecure makes so many domains, each with a certificate, as rows alone.
func manySecure(t *testing.T, w *world, n int) {
	t.Helper()
	err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			d := mail.NewDomain(mail.StoredName(fmt.Sprintf("d%d.example", i)), "user1")
			d.Secure = true
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
			c, err := selfSigned(nil, d.SecureAlias, tx.Now)
			if err != nil {
				return err
			}
			c.Name = d.Name.String()
			if err := tx.PutCertificate(ctx, store.CertificateRow{Certificate: c, Source: mail.SelfSigned}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Hundreds of files that are missing are not each looked up among all.
func TestManyCertificatesAreBroughtBackInOneGo(t *testing.T) {
	w := handWorld(t)
	const many = 100
	manySecure(t, w, many)
	if got := reconcile(t, w); len(got) != 4*many+many+2 { // certificates, settings, the two lists
		t.Errorf("%d repairs", len(got))
	}
	checkSettled(t, w)
	checkFollows(t, w)
}

// A reload with a configuration that Dovecot cannot read is answered with success and
// stops all log-ins: it is not asked for.
func TestDovecotIsNotToldWhileItsConfigurationIsWrong(t *testing.T) {
	lab.NeedDovecot(t)
	w, dovecot := shortWorld(t)
	conf := filepath.Join(w.dir, "dovecot.conf")
	w.CheckDovecotConf(conf)
	if err := os.WriteFile(conf, []byte("no such setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addSecure(t, w, as("user1"), "a.example")
	group(t, w.DeleteDomains, as("user1"), "a.example")
	stands := w.certificateFiles(t)
	var told []error
	for range 100 {
		if err := w.ReloadCertificates(t.Context()); err != nil {
			told = append(told, err)
		}
	}
	if len(told) != 1 || dovecot.reloads.Load() != 0 || !slices.Equal(w.certificateFiles(t), stands) {
		t.Errorf("%d reloads, %v", dovecot.reloads.Load(), told)
	}
	if h, err := w.Health(t.Context()); err != nil || h.OK {
		t.Errorf("%+v, %v", h, err)
	}
	if err := os.WriteFile(conf, []byte("protocols = imap\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.pass(reloadSeldom)
	w.seconds(t, 3)
	if got := w.certificateFiles(t); dovecot.reloads.Load() != 1 || !slices.Equal(got, ownFilesOnly) {
		t.Errorf("%d reloads, left %q", dovecot.reloads.Load(), got)
	}
	if h, err := w.Health(t.Context()); err != nil || !h.OK {
		t.Errorf("%+v, %v", h, err)
	}
}
