package files_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

func TestCertificateIsChosenByTheNameAskedFor(t *testing.T) {
	x, root, list := three(t)
	def, err := os.ReadFile(filepath.Join(root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		t.Fatal(err)
	}
	other := fingerprint(t, def)
	var all sync.WaitGroup
	for _, p := range tlsPorts(x) {
		all.Go(func() {
			for sni, want := range map[string][32]byte{
				"mail.a.example": fingerprint(t, list[0].Chain), "imap.a.example": fingerprint(t, list[0].Chain),
				"MAIL.A.Example": fingerprint(t, list[0].Chain), "a.example": fingerprint(t, list[1].Chain),
				"h0.c.example": fingerprint(t, list[2].Chain), list[2].Names[99].String(): fingerprint(t, list[2].Chain),
				"": other, "unknown.example": other, "xa.example": other, "smtp.mail.a.example": other, "example": other,
			} {
				if got, err := p.shown(limited(t), sni); err != nil || got != want {
					t.Errorf("port %s asked for %q: another certificate, or %v", p.name, sni, err)
				}
			}
		})
	}
	all.Wait()
	noFault(t, x)
}

// Clients may send any bytes. A handshake may fail; the servers may not.
func TestHostileNamesGetTheDefaultOrNothing(t *testing.T) {
	x, root, list := three(t)
	def, err := os.ReadFile(filepath.Join(root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		t.Fatal(err)
	}
	hostile := []string{
		"../../etc/passwd", strings.Repeat("a", 255), strings.Repeat("a.", 127) + "a", `a.example"`, "a.example'", "a.example\n", "a.example\x00",
		"${run{/bin/false}}", "a.example: a.example", "*", "*.a.example", "sni", "default", "ssl/sni", " a.example", "bücher.example", "\xff\xfe", "a.example#",
		"$tls_in_sni", "a.example}{", "|/bin/false", ":", "@", "!",
	}
	var all sync.WaitGroup
	for _, p := range tlsPorts(x) {
		all.Go(func() {
			for _, sni := range hostile {
				if got, err := p.shown(limited(t), sni); err == nil && got != fingerprint(t, def) {
					t.Errorf("port %s asked for %q: a certificate of another name", p.name, sni)
				}
			}
			if got, err := p.shown(limited(t), "a.example"); err != nil || got != fingerprint(t, list[1].Chain) {
				t.Errorf("port %s afterwards: %v", p.name, err)
			}
		})
	}
	all.Wait()
	if !logsIn(t, x, "post@a.example", lab.Secret) {
		t.Error("nobody can log in afterwards")
	}
	noPanic(t, x)
	if log, err := x.Dovecot.Log(); err != nil || strings.Contains(log, "Panic") || strings.Contains(log, "Fatal") {
		t.Errorf("%v:\n%s", err, log)
	}
}

// What another client makes of it than Go's.
func TestOpenSSLIsShownTheSame(t *testing.T) {
	lab.Need(t, "openssl")
	x, root, list := three(t)
	def, err := os.ReadFile(filepath.Join(root, files.Debian.Certs(), "default.crt"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, p := range tlsPorts(x) {
		all.Go(func() {
			for sni, want := range map[string][]byte{"": def, "IMAP.a.example": list[0].Chain, "../../etc/passwd": def} {
				got, err := p.openssl(limited(t), sni)
				if sni == "../../etc/passwd" && err != nil { // refused
					continue
				}
				if err != nil || got != fingerprint(t, want) {
					t.Errorf("port %s asked for %q: another certificate, or %v", p.name, sni, err)
				}
			}
		})
	}
	all.Wait()
}

// A renewal with the key of before is one rename for each server: whoever connects
// meanwhile is shown the one or the other. With another key Exim may see the new key
// with the old certificate for some milliseconds, and break the handshake off.
func TestRenewalWithTheSameKeyBreaksNoHandshake(t *testing.T) {
	x, root, list := three(t)
	first := list[0]
	second := first
	second.Chain = signAgain(t, first.Certificate)
	one, other := fingerprint(t, first.Chain), fingerprint(t, second.Chain)
	done, handshakes := make(chan struct{}), 0
	var all sync.WaitGroup
	all.Go(func() {
		p := tlsPorts(x)[2]
		for ; ; handshakes++ {
			select {
			case <-done:
				return
			default:
			}
			if got, err := p.shown(limited(t), "imap.a.example"); err != nil || got != one && got != other {
				t.Errorf("handshake %d: neither certificate, or %v", handshakes, err)
				return
			}
		}
	})
	for i := range 100 {
		list[0] = []mail.ServedCertificate{second, first}[i%2]
		putCertificates(t, root, list...)
	}
	close(done)
	all.Wait()
	if handshakes < 10 {
		t.Errorf("only %d handshakes meanwhile", handshakes)
	}
}

// A garbled certificate is its own names' trouble alone.
func TestGarbledCertificateHarmsItsOwnNamesAlone(t *testing.T) {
	x, root, list := three(t)
	for _, name := range []string{filepath.Join(files.Debian.SSL(), "mail.a.example.crt"), filepath.Join(files.Debian.Certs(), "mail.a.example.crt")} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("garbled"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openTree(t, root).ReloadDovecot(limited(t)); err != nil {
		t.Fatal(err)
	}
	for _, p := range tlsPorts(x) {
		waitShown(t, p, "a.example", fingerprint(t, list[1].Chain))
	}
	if !logsInSoon(t, x, "post@a.example") {
		t.Error("nobody can log in")
	}
}

// doveconf -n alone, and a reload, call a configuration fine that stops all log-ins.
func TestCheckSeesACertificateThatIsMissing(t *testing.T) {
	lab.NeedDovecot(t)
	root := t.TempDir()
	tree := openTree(t, root)
	c := served(t, "a.example")
	conf, crt, keyFile := filepath.Join(root, "dovecot.conf"), filepath.Join(root, "a.crt"), filepath.Join(root, "a.key")
	text := fmt.Sprintf("protocols = imap\nlocal_name a.example {\n  ssl_cert = <%s\n  ssl_key = <%s\n}\n", crt, keyFile)
	for name, body := range map[string][]byte{conf: []byte(text), crt: c.Chain, keyFile: c.Key} {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.CheckDovecot(limited(t), conf); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(crt); err != nil {
		t.Fatal(err)
	}
	err := tree.CheckDovecot(limited(t), conf)
	if e, is := errors.AsType[*mail.Error](err); !is || e.Kind != mail.Unavailable || !strings.Contains(e.Cause.Error(), "89") || !strings.Contains(e.Cause.Error(), crt) {
		t.Errorf("%v, %+v", err, e)
	}
	if strings.Contains(fmt.Sprint(err), "PRIVATE") {
		t.Error("the key is in the error")
	}
	if err := os.WriteFile(conf, []byte("no such setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tree.CheckDovecot(limited(t), conf); err == nil {
		t.Error("a broken configuration is called fine")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tree.CheckDovecot(ended, conf); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
