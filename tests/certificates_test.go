package tests

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	_ "modernc.org/sqlite"

	"maildomain/cmd/panelcore/core"
	"maildomain/module/files"
	"maildomain/tests/authority"
	"maildomain/tests/nameserver"
	"maildomain/tests/world"
)

// host is where names of these tests lead: an address of loopback that nobody else uses,
// so that its port 80 is free.
const host = "127.0.0.77"

// mailZone serves the zone of a domain whose mail name leads to host. Its name server is
// not at port 53, so that resolvers are asked.
func mailZone(t *testing.T) *nameserver.Server {
	t.Helper()
	return nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{
		{Name: "example", Records: "@ NS ns\nns A 127.0.0.1\n"},
		{Name: "a.example", Records: "@ NS ns.example.\nmail A " + host + "\n"},
	}})
}

// front is a web server at port 80 of host: proofs come from a directory, else from the
// panel.
func front(t *testing.T, panel, dir string) {
	t.Helper()
	l, err := net.Listen("tcp", host+":80")
	if err != nil {
		t.Fatalf("as root, with port 80 of %s free: %v", host, err)
	}
	to, err := url.Parse(panel)
	if err != nil {
		t.Fatal(err)
	}
	to.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path))); err == nil {
			_, _ = w.Write(b)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		_ = s.Serve(l) // ends with Close
		close(done)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

// soon fails the test unless f is true within a minute.
func soon(t *testing.T, w *world.World, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s\n%s", what, w.Log("maildomain"))
		}
	}
}

// shown is the certificate that Exim shows for mail.a.example; nil: none.
func shown(t *testing.T, w *world.World) *x509.Certificate {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.Root, "etc/exim4/ssl/*.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // it has just become another
		}
		block, _ := pem.Decode(b)
		if block == nil {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && len(c.DNSNames) == 1 && c.DNSNames[0] == "mail.a.example" {
			return c
		}
	}
	return nil
}

// inDatabase runs a statement on the module's database, or reads its one number.
func inDatabase(t *testing.T, w *world.World, text string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Root, files.Debian.State, "maildomain.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if strings.HasPrefix(text, "SELECT") {
		err = db.QueryRow(text).Scan(&n)
	} else {
		_, err = db.Exec(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// renewOnce runs maildomain renew.
func renewOnce(t *testing.T, w *world.World, env string) string {
	t.Helper()
	out, err := runRenew(t.Context(), w, env)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func runRenew(ctx context.Context, w *world.World, env string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.Program("maildomain"), "renew", "--root", w.Root)
	cmd.Env = []string{env}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A certificate is ordered with nothing but the program and the panel: the panel's web
// server shows the proof. Later the module is not running, and neither is the panel: the
// timer's command renews it, with the proof in the web server's directory.
func TestCertificateIsOrderedAndRenewed(t *testing.T) {
	bind := mailZone(t)
	resolver := nameserver.Start(t, nameserver.Options{Forward: bind.Addr()})
	ca := authority.Start(t, authority.Options{Resolver: resolver.Addr(), HTTP: 80})
	trust := "SSL_CERT_FILE=" + ca.RootFile(t)
	w := world.Start(t, world.Options{Module: []string{"--idle", "1s"}, Env: []string{trust}})
	web := t.TempDir()
	front(t, w.URL, web)
	w.Must(t, "admin", "param.edit", "server_ips", host, "mail_host", "mx.example.net", "sok", "ok")
	w.Must(t, "admin", "mailparam", "dns", "none", "resolvers", bind.Addr().String(), "acme_directory", ca.URL(), "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "secure", "on", "ssl_name", "letsencrypt", "sok", "ok")
	first := shown(t, w)
	if first == nil || first.Issuer.String() != first.Subject.String() {
		t.Fatalf("nothing is shown meanwhile: %v", first)
	}
	soon(t, w, "a certificate of the authority", func() bool {
		c := shown(t, w)
		return c != nil && strings.Contains(c.Issuer.CommonName, "Pebble")
	})
	second := shown(t, w)
	if n := ca.Asked("order-plz"); n != 1 {
		t.Errorf("%d orders", n)
	}
	for _, log := range []string{"core", "maildomain"} {
		if strings.Contains(w.Log(log), "PRIVATE KEY") {
			t.Errorf("a key stands in the log of %s", log)
		}
	}
	if out := renewOnce(t, w, trust); out != "" && !strings.Contains(out, "the module is running") && !strings.Contains(out, "goes on with it") {
		t.Error(out)
	}

	w.Must(t, "admin", "mailparam", "acme_webroot", web, "sok", "ok")
	soon(t, w, "the end of the idle module", func() bool { return w.ModulePID() == 0 })
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	inDatabase(t, w, `UPDATE certificate SET renew = 1 WHERE source = 'letsencrypt'`)
	out := renewOnce(t, w, trust)
	c := shown(t, w)
	if c == nil || c.SerialNumber.Cmp(second.SerialNumber) == 0 || !strings.Contains(c.Issuer.CommonName, "Pebble") {
		t.Fatalf("not renewed\n%s", out)
	}
	if n := ca.Asked("order-plz"); n != 2 {
		t.Errorf("%d orders", n)
	}
	if left, err := os.ReadDir(web); err != nil || len(left) > 0 {
		t.Errorf("left in the web server's directory: %v, %v", left, err)
	}
	asked := ca.Asked("dir")
	if out := renewOnce(t, w, trust); out != "" || ca.Asked("dir") != asked {
		t.Errorf("and again: %s", out)
	}
}

// Who is to serve does not wait for an order that takes long: renew makes way.
func TestRenewMakesWayForWhoServes(t *testing.T) {
	bind := mailZone(t)
	ca := authority.Start(t, authority.Options{Resolver: bind.Addr(), HTTP: 80})
	trust := "SSL_CERT_FILE=" + ca.RootFile(t)
	w := world.Start(t, world.Options{Module: []string{"--idle", "1s"}})
	w.Must(t, "admin", "param.edit", "server_ips", host, "mail_host", "mx.example.net", "sok", "ok")
	w.Must(t, "admin", "mailparam", "dns", "none", "resolvers", bind.Addr().String(), "sok", "ok")
	soon(t, w, "the end of the idle module", func() bool { return w.ModulePID() == 0 })
	hangs := make(chan struct{}, 8)
	ca.Stand(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		hangs <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	inDatabase(t, w, `INSERT INTO setting (name, value) VALUES ('acme_directory', '`+ca.URL()+`')`)
	inDatabase(t, w, `INSERT INTO ssl_order (domain, names, directory, url, key, challenge, step, failures, since, due, kind, text, args, detail) VALUES ('default', 'mail.a.example', '', '', '', '', '', 0, 1, 1, '', '', 'null', '')`)
	said := make(chan string, 1)
	var renewing sync.WaitGroup
	t.Cleanup(renewing.Wait)
	renewing.Go(func() {
		out, err := runRenew(t.Context(), w, trust)
		if err != nil {
			out += err.Error()
		}
		said <- out
	})
	select {
	case <-hangs:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was ordered")
	}
	w.Must(t, "user1", "emaildomain.edit", "name", "b.example", "sok", "ok")
	select {
	case out := <-said:
		if !strings.Contains(out, "goes on with it") {
			t.Error(out)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("renew goes on")
	}
}

// An idle module has ended; the core calls it when something is due, and it is done.
func TestIdleModuleIsCalledWhenSomethingIsDue(t *testing.T) {
	w := world.Start(t, world.Options{Module: []string{"--idle", "1s"}})
	w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "sok", "ok")
	w.Must(t, "user1", "emaildomain.delete", "elid", "a.example", "sok", "ok")
	deleted := func() int { return inDatabase(t, w, `SELECT count(*) FROM deleted`) }
	if deleted() != 1 {
		t.Fatal("nothing is kept")
	}
	soon(t, w, "the end of the idle module", func() bool { return w.ModulePID() == 0 })
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	inDatabase(t, w, `UPDATE deleted SET until = 1`) // the module's week is over; the core's clock is ours
	var ahead atomic.Int64
	c, err := core.Open(t.Context(), core.Options{
		Data: w.Data, Log: zerolog.Nop(), WakePause: 10 * time.Millisecond,
		Now:      func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Launcher: []string{w.Program("panelcore"), "exec-module"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ahead.Store(int64(7*24*time.Hour - 10*time.Minute))
	time.Sleep(500 * time.Millisecond) // 50 looks
	if deleted() != 1 {
		t.Fatal("the module was called too early")
	}
	ahead.Store(int64(7 * 24 * time.Hour))
	soon(t, w, "the removal of what was deleted", func() bool { return deleted() == 0 })
}
