package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

func domainOf(t testing.TB, w *world, name string) mail.Domain {
	t.Helper()
	n, err := mail.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	var d mail.Domain
	err = w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		var found bool
		d, found, err = tx.Domain(ctx, n)
		if err == nil && !found {
			err = errors.New("there is none")
		}
		return err
	})
	if err != nil {
		t.Fatalf("domain %s: %v", name, err)
	}
	return d
}

// history are the changes of an object, oldest first.
func history(t testing.TB, w *world, object string) (changes []store.Change) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.History(ctx, object, 1000, func(_ time.Time, c store.Change) error {
			changes = append(changes, c)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(changes)
	return changes
}

func revision(t testing.TB, w *world) int64 {
	t.Helper()
	h, err := w.Health(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h.Revision
}

// standing is every file below Exim's directory, the stage left out, by its path:
// mode and content.
func standing(t rapid.TB, w *world) map[string]string {
	t.Helper()
	got := map[string]string{}
	top := filepath.Join(w.dir, files.Debian.Exim)
	err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "maildomain.stage":
			left, err := os.ReadDir(p)
			if err != nil || len(left) > 0 {
				t.Errorf("left in the stage: %v, %v", left, err)
			}
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		i, err := e.Info()
		if err != nil {
			return err
		}
		text := i.Mode().String() + " "
		if i.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += string(b)
		}
		rel, err := filepath.Rel(top, p)
		got[rel] = text
		return err
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return got
}

// checkFollows holds the files against the database, without the code that does so
// in the module.
func checkFollows(t rapid.TB, w *world) {
	t.Helper()
	want := map[string]string{}
	put := func(f files.File, err error) error {
		if err == nil {
			mode := "-rw-r----- "
			if f.Mode == 0o644 {
				mode = "-rw-r--r-- "
			}
			want[strings.TrimPrefix(f.Path, files.Debian.Exim+"/")] = mode + string(f.Body)
		}
		return err
	}
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		ips, err := tx.SourceIPs(ctx)
		if err != nil {
			return err
		}
		if err := put(files.Debian.DomainIPsFile(ips)); err != nil {
			return err
		}
		if err := put(files.Debian.FiltersFile(mail.DefaultFilters())); err != nil {
			return err
		}
		if err := putServed(ctx, tx, put); err != nil {
			return err
		}
		return tx.Domains(ctx, func(d mail.Domain) error { return put(files.Debian.DomainFile(d)) })
	})
	if err != nil {
		t.Fatalf("read the database: %v", err)
	}
	if err := w.ApplyCertificates(context.Background()); err != nil { // which removes what is served no more
		t.Errorf("have Dovecot read its certificates: %v", err)
	}
	got := standing(t, w)
	delete(got, "maildomain.ready")
	delete(got, "maildomain.secret")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files do not follow the database (-want +got):\n%s", diff)
	}
}

// putServed puts what Exim is to have of certificates: the map of names, and the files
// of each certificate, called after the first domain that shows it. Of two that are
// both for a name one is chosen as in mail.ServeOnce.
func putServed(ctx context.Context, tx *store.Tx, put func(files.File, error) error) error {
	var all []mail.ServedCertificate
	err := tx.Domains(ctx, func(d mail.Domain) error {
		if !d.Secure {
			return nil
		}
		c, found, err := tx.Certificate(ctx, d.Name.String())
		if err != nil || !found {
			return errors.Join(err, fmt.Errorf("certificate of %s: %v", d.Name, found))
		}
		i := slices.IndexFunc(all, func(o mail.ServedCertificate) bool { return string(o.Chain) == string(c.Chain) })
		if i < 0 {
			i = len(all)
			all = append(all, mail.ServedCertificate{Certificate: c.Certificate, Vouched: c.Source != mail.SelfSigned})
		}
		chain, err := mail.ParseChain(c.Chain)
		if err != nil {
			return err
		}
		for _, n := range d.SecureAlias { // one of an authority may be for some of them while another is ordered
			if chain.Covers(n) {
				all[i].Names = append(all[i].Names, n)
			} else if c.Source != mail.LetsEncrypt {
				return fmt.Errorf("%s is shown one that is not for it", n)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	all = mail.ServeOnce(all)
	own, _, err := tx.Certificate(ctx, mail.ServerCertificate)
	if err != nil {
		return err
	}
	for _, c := range append(all, mail.ServedCertificate{Certificate: own.Certificate}) {
		for _, f := range files.Debian.CertificateFiles(c.Certificate) {
			if strings.HasPrefix(f.Path, files.Debian.Exim) {
				if err := put(f, nil); err != nil {
					return err
				}
			}
		}
	}
	return put(files.Debian.SNIFile(all))
}

// reconcile is Reconcile where it has to succeed, and its findings as one reads them.
func reconcile(t testing.TB, w *world) []string {
	t.Helper()
	repairs, err := w.Reconcile(context.Background())
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	return said(repairs)
}

func said(repairs []Repair) []string {
	var s []string
	for _, r := range repairs {
		s = append(s, strings.TrimPrefix(r.Path, files.Debian.Exim+"/")+": "+r.Said())
	}
	slices.Sort(s)
	return s
}

func isReady(t testing.TB, w *world) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(w.dir, files.Debian.Ready()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func stateOf(t testing.TB, w *world) (s store.State) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = tx.State(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
