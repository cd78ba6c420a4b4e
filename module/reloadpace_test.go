package module

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
)

func TestPaceOfReloadsFollowsFromWhatTheyLeaveBehind(t *testing.T) {
	for certificates, want := range map[int]struct {
		pace   time.Duration
		atOnce int
	}{0: {41 * time.Second, 42}, 10: {55 * time.Second, 32}, 100: {211 * time.Second, 8}, 300: {514 * time.Second, 3}, 600: {15 * time.Minute, 3}, 1500: {15 * time.Minute, 3}} {
		if pace, n := reloadPace(certificates); pace.Truncate(time.Second) != want.pace || n != want.atOnce {
			t.Errorf("%d certificates: one reload in %s, %d at once; want %s, %d", certificates, pace, n, want.pace, want.atOnce)
		}
	}
	// However often they are asked for, what they leave behind ends sessions once an hour.
	for _, certificates := range []int{0, 10, 100, 300, 600} {
		now, set, held, ended, was := time.Unix(1e9, 0), "", 0, []time.Time(nil), 0
		for end := now.Add(10 * time.Hour); now.Before(end); now = now.Add(5 * time.Second) {
			if now.Before(pacedUntil(now, set, certificates)) {
				continue
			}
			set, was = afterPace(now, set, certificates), was+1
			var crowded bool
			if held, crowded = afterGeneration(held, certificates); crowded {
				held, ended = 0, append(ended, now)
			}
		}
		for i := 1; i < len(ended); i++ {
			if apart := ended[i].Sub(ended[i-1]); apart < paceSessions-time.Minute {
				t.Errorf("%d certificates: sessions end after %s", certificates, apart)
			}
		}
		if len(ended) < 8 {
			t.Errorf("%d certificates: %d reloads, so few that sessions end %d times in ten hours", certificates, was, len(ended))
		}
	}
	// A clock that is put back, and many that nobody paced, make nobody wait longer.
	now := time.Unix(1e9, 0)
	for _, set := range []string{afterPace(now.Add(1000*time.Hour), "", 300), "", "x"} {
		for range 100 {
			set = afterPace(now, set, 300)
		}
		if waits := pacedUntil(now, set, 300).Sub(now); waits > 515*time.Second {
			t.Errorf("it waits for %s", waits)
		}
	}
}

// crowded is a world with so many domains that serve a certificate each, whose Dovecot
// was told of them a day ago.
func crowded(t *testing.T, domains int) (*world, *listener) {
	t.Helper()
	w, dovecot := shortWorld(t)
	manySecure(t, w, domains)
	reconcile(t, w)
	if err := w.ApplyCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stand()
	w.pass(24 * time.Hour)
	return w, dovecot
}

// renewed gives a domain of a crowded world another certificate.
func (w *world) renewed(t *testing.T, i int) {
	t.Helper()
	n := mail.StoredName(fmt.Sprintf("d%d.example", i))
	was := w.certificate(t, n.String())
	c, err := selfSigned(was, chainNames(was), w.tick())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.install(t.Context(), itself, "emaildomain.ssl.renew", n, c, mail.SelfSigned, acme.Renewal{}); err != nil {
		t.Fatal(err)
	}
}

// told goes on until Dovecot was told of all, and says how long that took.
func (w *world) told(t *testing.T) (took time.Duration) {
	t.Helper()
	for ; ; took += time.Second {
		if err := w.ReloadCertificates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !w.Reloading() {
			return took
		}
		if took > time.Hour {
			t.Fatal("dovecot is not told")
		}
		w.pass(time.Second)
	}
}

// A renewal of everybody's is many installs, some seconds apart.
func TestManyInstallsMakeFewReloads(t *testing.T) {
	const domains = 300
	w, dovecot := crowded(t, domains)
	before, ended := dovecot.reloads.Load(), dovecot.ended.Load()
	for i := range domains {
		w.renewed(t, i)
		for range 4 {
			if err := w.ReloadCertificates(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Second)
		}
		if n := dovecot.reloads.Load() - before; i < paceFewest && n != int64(i+1) {
			t.Errorf("%d reloads after %d installs: the first few wait", n, i+1)
		}
	}
	pace, _ := reloadPace(domains)
	if took := w.told(t); took > pace+time.Second {
		t.Errorf("the last is told after %s", took)
	}
	if n, kicks := dovecot.reloads.Load()-before, dovecot.ended.Load()-ended; n > 6 || kicks > 1 {
		t.Errorf("%d reloads, all sessions ended %d times", n, kicks)
	}
	w.pass(time.Hour)
	w.renewed(t, 0)
	if took := w.told(t); took != reloadQuiet {
		t.Errorf("a lone change is told after %s", took)
	}
	checkFollows(t, w)
}

// What everybody is shown, what is put back, what was spoilt, and what a process that
// ended had not told does not wait for long.
func TestUrgentReloadIsNotHeldUpByThoseBefore(t *testing.T) {
	w, dovecot := crowded(t, 300)
	spend := func() {
		t.Helper()
		for range paceFewest {
			w.renewed(t, 1)
			if err := w.ApplyCertificates(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := mail.StoredName("d2.example")
	for what, do := range map[string]func() error{
		"the server's own": func() error {
			return w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("selfsigned"), Renew: true})
		},
		"one that is put back": func() error {
			w.renewed(t, 2)
			if err := w.ApplyCertificates(t.Context()); err != nil {
				return err
			}
			s, err := w.see(t.Context(), n, nil)
			if err != nil {
				return err
			}
			return w.putBack(t.Context(), s)
		},
		"one that was spoilt": func() error {
			if err := os.WriteFile(filepath.Join(w.dir, files.Debian.Certs(), "d3.example.crt"), []byte("x"), 0o644); err != nil {
				return err
			}
			_, err := w.Reconcile(t.Context())
			return err
		},
		"one of before this process": func() error {
			w.renewed(t, 4)
			w.again(t)
			return nil
		},
		"one that waits already": func() error {
			w.renewed(t, 5)
			for range 100 {
				if err := w.ReloadCertificates(t.Context()); err != nil {
					return err
				}
				w.pass(time.Second)
			}
			if !w.Reloading() {
				t.Error("an install is not held up")
			}
			return w.EditServerSSL(t.Context(), as("admin"), mail.ServerSSLEdit{SSLName: ptr("selfsigned"), Renew: true})
		},
	} {
		spend()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		before := dovecot.reloads.Load()
		took := w.told(t)
		if n := dovecot.reloads.Load() - before; n != 1 || took > reloadUrgent || took < reloadQuiet {
			t.Errorf("%s: %d reloads, after %s", what, n, took)
		}
		w.pass(24 * time.Hour)
	}
	// Who applies at once waits for nothing.
	spend()
	w.renewed(t, 6)
	before := dovecot.reloads.Load()
	if err := w.ApplyCertificates(t.Context()); err != nil || dovecot.reloads.Load() != before+1 || w.Reloading() {
		t.Errorf("%d reloads, %v", dovecot.reloads.Load()-before, err)
	}
	checkFollows(t, w)
}
