package files_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// What is served is exactly the pair that was published; a renewal is seen by Exim
// at once, and by Dovecot after its reload, without anybody being sent away.
func TestRenewedCertificateIsServedAfterAReload(t *testing.T) {
	x, root, list := three(t)
	tree := openTree(t, root)
	session, err := x.IMAP(limited(t), "post@a.example", lab.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	const renewals = 3
	stop := probe(t, x, "a.example", fingerprint(t, list[1].Chain), renewals)
	for i := range renewals {
		list[0] = served(t, "mail.a.example", "imap.a.example")
		putCertificates(t, root, list...)
		if _, err := tree.ReloadDovecot(limited(t)); err != nil {
			t.Fatal(err)
		}
		for _, p := range tlsPorts(x) {
			waitShown(t, p, "imap.a.example", fingerprint(t, list[0].Chain))
		}
		if err := session.Noop().Wait(); err != nil {
			t.Fatalf("renewal %d: a session was ended: %v", i, err)
		}
	}
	stop()
	noPanic(t, x)
	faults, err := x.Dovecot.Faults()
	if rest := withoutStartsIn(strings.Join(faults, "\n")); err != nil || rest != "" {
		t.Errorf("Dovecot's faults: %q, %v", rest, err)
	}
}

// First what names it, then the reload, then its files: whoever is asked for another
// name shows its certificate all the time, and who begins to log in when the reload is
// through is let in.
func TestRemovalOfACertificateHarmsNobody(t *testing.T) {
	x, root, list := three(t)
	tree := openTree(t, root)
	session, err := x.IMAP(limited(t), "post@a.example", lab.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	stop := probe(t, x, "a.example", fingerprint(t, list[1].Chain), 1)
	through, rest := logsInAllTheTime(t, x, "post@a.example")
	publish(t, root, lists(t, list[1:]...)...)
	if _, err := tree.ReloadDovecot(limited(t)); err != nil {
		t.Fatal(err)
	}
	def, err := os.ReadFile(filepath.Join(root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tlsPorts(x) {
		waitShown(t, p, "mail.a.example", fingerprint(t, def))
	}
	if !logsInSoon(t, x, "post@a.example") {
		t.Error("nobody can log in afterwards")
	}
	through()
	publish(t, root, files.Debian.WithoutCertificate("mail.a.example")...)
	for range 3 {
		if !logsInSoon(t, x, "post@a.example") {
			t.Error("nobody can log in without the files")
		}
	}
	rest()
	stop()
	if err := session.Noop().Wait(); err != nil {
		t.Errorf("a session was ended: %v", err)
	}
	left := 0
	if err := tree.CertificateNames(func(p string) error {
		if left++; strings.Contains(p, "mail.a.example") {
			t.Error(p)
		}
		return nil
	}); err != nil || left != 12 {
		t.Errorf("%d files are left, %v", left, err)
	}
	noPanic(t, x)
	if log, err := x.Dovecot.Log(); err != nil || strings.Contains(log, "Panic") || strings.Contains(withoutStartsIn(log), "Fatal") {
		t.Errorf("%v:\n%s", err, log)
	}
}

// withoutStartsIn is Dovecot's log without what a log-in process says that starts in
// the moment of a reload, while the sockets are made anew: it does not get at its
// configuration, ends, and nobody was connected to it.
func withoutStartsIn(log string) string {
	var rest strings.Builder
	for l := range strings.Lines(log) {
		if !strings.Contains(l, "-login: Fatal: Error reading configuration: ") && !(strings.Contains(l, "-login): child ") && strings.Contains(l, "returned error 89 (Fatal failure)")) {
			rest.WriteString(l)
		}
	}
	return rest.String()
}

// Dovecot by itself ends every session six seconds after a reload; who reads his mail
// is none of a certificate's business. Who is to be sent away still can be.
func TestSessionsOutliveAReload(t *testing.T) {
	x, root, list := three(t)
	tree := openTree(t, root)
	session, err := imapclient.DialTLS(x.Services().IMAPS, &imapclient.Options{TLSConfig: &tls.Config{ServerName: "a.example", InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if err := session.Login("post@a.example", lab.Secret).Wait(); err != nil {
		t.Fatal(err)
	}
	list[0] = served(t, "mail.a.example", "imap.a.example")
	putCertificates(t, root, list...)
	if _, err := tree.ReloadDovecot(limited(t)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(7 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) { // Dovecot's own clock
		if err := session.Noop().Wait(); err != nil {
			t.Fatalf("the session was ended: %v", err)
		}
	}
	for _, p := range tlsPorts(x) {
		waitShown(t, p, "imap.a.example", fingerprint(t, list[0].Chain))
	}
	if err := tree.EndSessions(limited(t), []string{"*@a.example"}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); session.Noop().Wait() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a session of before the reload cannot be ended")
		}
	}
}

func TestReloadOfADovecotThatDoesNotRunIsNone(t *testing.T) {
	root := t.TempDir()
	tree := openTree(t, root)
	if _, err := tree.ReloadDovecot(limited(t)); err != nil {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(root, files.Debian.DovecotRun), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReloadDovecot(limited(t)); err != nil {
		t.Error(err)
	}
}

// Dovecot is away for a moment while it reloads, and is not taken for one that does
// not run.
func TestReloadsInARowAreAllHeard(t *testing.T) {
	x, root, list := three(t)
	tree := openTree(t, root)
	for range 10 {
		list[0] = served(t, "mail.a.example", "imap.a.example")
		putCertificates(t, root, list...)
		if _, err := tree.ReloadDovecot(limited(t)); err != nil {
			t.Fatal(err)
		}
		if err := tree.EndSessions(limited(t), []string{"nobody@a.example"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range tlsPorts(x) {
		waitShown(t, p, "imap.a.example", fingerprint(t, list[0].Chain))
	}
	log, err := x.Dovecot.Log()
	if n := strings.Count(log, "SIGHUP received"); err != nil || n < 1 {
		t.Errorf("%d reloads are in the log, %v", n, err)
	}
}

// logsInAllTheTime logs in over and over until it is stopped. At the moment of a reload
// Dovecot forgets who is about to log in; who begins when it is through is let in, and
// no password may be called wrong.
func logsInAllTheTime(t *testing.T, x *lab.Exim, login string) (through, stop func()) {
	done := make(chan struct{})
	var over atomic.Bool
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := over.Load()
				c, err := x.IMAP(limited(t), login, lab.Secret)
				switch {
				case err == nil:
					_ = c.Close()
				case before, strings.Contains(err.Error(), "AUTHENTICATIONFAILED"):
					t.Errorf("%s: %v", login, err)
					return
				default:
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	return func() { over.Store(true) }, func() { close(done); all.Wait() }
}

// logsInSoon says that somebody can log in by IMAP and POP3 once a reload is through.
func logsInSoon(t *testing.T, x *lab.Exim, login string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		c, err := x.IMAP(ctx, login, lab.Secret)
		if err == nil {
			_ = c.Close()
			_, err = x.POP3(ctx, login, lab.Secret)
		}
		if err == nil {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
