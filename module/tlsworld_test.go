package module

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
)

const shopBox = "post@a.example"

// visitors log in to a.example by IMAP and POP3 over and over, and ask every port for
// its name, until they are stopped. Who is about to log in at the moment of a reload
// is sent away once (Dovecot 2.3); everything else is a failure.
//
// let has everybody come once more after a reload. follow is how many reloads there may be
// without it, one after the other: each may send a person away once.
func (s *shop) visitors(t *testing.T, follow int) (let, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	done := make(chan struct{})
	row := s.row(t)
	want := fingerprintOf(&row)
	var all sync.WaitGroup
	var visits []*atomic.Int64
	until := func(visit func() error) {
		n := new(atomic.Int64)
		visits = append(visits, n)
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := visit(); err != nil {
					t.Errorf("visit %d: %v", n.Load(), err)
					n.Store(-1)
					return
				}
				n.Add(1)
			}
		})
	}
	patient := func(visit func() error) func() error {
		return func() (away error) {
			for range follow + 1 {
				err := visit()
				if err == nil || strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
					return err
				}
				away = errors.Join(away, fmt.Errorf("sent away: %w", err))
				time.Sleep(time.Second)
			}
			return away
		}
	}
	until(patient(func() error {
		c, err := s.x.IMAP(ctx, shopBox, "correct horse")
		if err == nil {
			err = c.Close()
		}
		return err
	}))
	until(patient(func() error {
		_, err := s.x.POP3(ctx, shopBox, "correct horse")
		return err
	}))
	asker := files.Asker{Servers: s.servers(t)}
	until(func() error {
		for _, sh := range asker.Ask(ctx, mail.StoredName(shopName)) {
			if sh.Err == nil && hex.EncodeToString(sh.Fingerprint[:]) != want {
				return fmt.Errorf("%v shows another certificate: %v", sh.Server, sh.Names)
			}
			for left := follow; sh.Err != nil; left-- { // cut off by a reload
				if left == 0 {
					return fmt.Errorf("%v shows nothing: %w", sh.Server, sh.Err)
				}
				time.Sleep(time.Second)
				sh = (&files.Asker{Servers: []files.Server{sh.Server}}).Ask(ctx, mail.StoredName(shopName))[0]
				if sh.Err == nil && hex.EncodeToString(sh.Fingerprint[:]) != want {
					return fmt.Errorf("%v shows another certificate: %v", sh.Server, sh.Names)
				}
			}
		}
		return nil
	})
	let = func() {
		for _, n := range visits { // who is on the way, and one more
			for was := n.Load(); was >= 0 && n.Load() >= 0 && n.Load() < was+2; {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	return let, func() { close(done); all.Wait() }
}

func (s *shop) checkLog(t *testing.T) {
	t.Helper()
	log, err := s.x.Dovecot.Log()
	if err != nil || strings.Contains(log, "Panic") || strings.Contains(log, "ssl_cert") {
		t.Errorf("%v:\n%s", err, log)
	}
}

// A domain with a certificate comes and goes, and those who log in elsewhere do not
// notice.
func TestDomainWithACertificateGoesAndHarmsNobody(t *testing.T) {
	s := newShop(t)
	addBox(t, s.world, as("admin"), shopBox)
	let, stop := s.visitors(t, 2)
	for i := range 3 {
		let()
		addSecure(t, s.world, as("admin"), "b.example", "secure_alias", "mail.b.example imap.b.example")
		if err := s.ApplyCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i > 0 { // else it goes while Dovecot comes to know it
			let()
		}
		group(t, s.DeleteDomains, as("admin"), "b.example")
		if err := s.ApplyCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		let()
		if left := s.certificateFiles(t); len(left) != 8 {
			t.Errorf("left: %q", left)
		}
	}
	stop()
	s.checkLog(t)
	checkSettled(t, s.world)
	own := s.certificate(t, mail.ServerCertificate)
	s.waitShown(t, "mail.b.example", fingerprintOf(own))
}

// waitShown waits until every port shows a certificate for a name.
func (s *shop) waitShown(t *testing.T, name, fingerprint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	asker := files.Asker{Servers: s.servers(t)}
	for {
		wrong := ""
		for _, sh := range asker.Ask(ctx, mail.StoredName(name)) {
			if sh.Err != nil || hex.EncodeToString(sh.Fingerprint[:]) != fingerprint {
				wrong = fmt.Sprintf("%v shows %v for %s, %v", sh.Server, sh.Names, name, sh.Err)
			}
		}
		if wrong == "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A certificate file that is missing or garbled is mended, and others do not notice.
func TestSpoiledCertificateIsMendedAndHarmsNobody(t *testing.T) {
	s := newShop(t)
	addBox(t, s.world, as("admin"), shopBox)
	addSecure(t, s.world, as("admin"), "b.example")
	if err := s.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := s.certificate(t, "b.example")
	s.waitShown(t, "mail.b.example", fingerprintOf(b))
	before := s.everything(t)
	let, stop := s.visitors(t, 1)
	garble := func(p string) error { return os.WriteFile(p, []byte("# maildomain 1: \x00 garbled\n"), 0o600) }
	for _, spoilt := range []struct {
		file string
		by   func(string) error
		read bool // and somebody has Dovecot read it
	}{
		{files.Debian.Certs() + "/b.example.crt", garble, true},
		{files.Debian.Certs() + "/b.example.key", os.Remove, false},
		{files.Debian.SSL() + "/b.example.crt", func(p string) error { return os.Truncate(p, 0) }, false},
	} {
		if err := spoilt.by(filepath.Join(s.dir, spoilt.file)); err != nil {
			t.Fatal(err)
		}
		if spoilt.read {
			let()
			if _, err := s.Module.tree.ReloadDovecot(t.Context()); err != nil {
				t.Fatal(err)
			}
			let()
		}
		if got := reconcile(t, s.world); len(got) != 1 || !strings.Contains(got[0], "written") {
			t.Errorf("%s: %q", spoilt.file, got)
		}
		if err := s.ApplyCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.waitShown(t, "mail.b.example", fingerprintOf(b))
		let()
	}
	stop()
	if got := s.everything(t); !equalTrees(sameMail(before), sameMail(got)) {
		t.Error("not byte for byte as before")
	}
	if log, err := s.x.Dovecot.Log(); err != nil || strings.Contains(log, "Panic") {
		t.Errorf("%v:\n%s", err, log)
	}
}

// sameMail is a tree without what Dovecot writes itself when somebody logs in.
func sameMail(tree map[string]string) map[string]string {
	same := map[string]string{}
	for p, text := range tree {
		if !strings.Contains(p, "/Maildir") {
			same[p] = text
		}
	}
	return same
}
