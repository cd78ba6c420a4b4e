package files_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// conf is the default of a macro as the configuration has it.
func conf(t *testing.T, macro string) string {
	t.Helper()
	text := strings.ReplaceAll(string(files.EximConf(files.Debian)), "\\\n", "")
	m := regexp.MustCompile(`(?m)^` + macro + ` *= *(.*)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no macro %s", macro)
	}
	return m[1]
}

// Exim reads RHEL's too, and without any hook the macros have the values that the
// head of the file promises.
func TestDefaultsWithoutHooks(t *testing.T) {
	x := lab.Prepare(t, lab.NewRoot(t), lab.Options{})
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // Exim reads it as its own user
		t.Fatal(err)
	}
	name := filepath.Join(dir, "exim.conf")
	if err := os.WriteFile(name, files.EximConf(files.RHEL), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"daemon_smtp_ports = 25", "message_size_limit = 50M", "recipients_max = 150", "smtp_accept_max = 150",
		"smtp_accept_max_per_host = ${if match_ip{$sender_host_address}{+relay_from}{0}{20}}",
		"tls_certificate = ", "never_users = root", "smtp_enforce_sync", "smtputf8_advertise_hosts = ",
		"pipelining_connect_advertise_hosts = ", "keep_environment = ", "tls_advertise_hosts = *",
	} {
		option, _, _ := strings.Cut(want, " =")
		status, out, err := x.Run(limited(t), "-C", name, "-bP", option)
		if err != nil || status != 0 || !strings.HasPrefix(out, strings.TrimSuffix(want, " ")) {
			t.Errorf("%s: %d, %v, %s", want, status, err, out)
		}
	}
	for _, want := range []string{"domainlist mail_domains = dsearch,filter=file;/etc/exim/domains", "hostlist relay_from = <; 127.0.0.1 ; ::1", "domainlist own_names = @ : localhost"} {
		_, out, err := x.Run(limited(t), "-C", name, "-bP", "+"+strings.Fields(want)[1])
		if err != nil || strings.TrimSpace(out) != want {
			t.Errorf("%s: %v, %s", want, err, out)
		}
	}
}

// Each hook that the head of the configuration promises.
func TestEveryHookWorks(t *testing.T) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "a.example", action("redirect", "me@foreign.test")...)
	for name, text := range map[string]string{
		"macros.conf":      "MD_MESSAGE_SIZE = 12345\nMINE = macros\n",
		"main.conf":        "smtp_banner = hooked $primary_hostname\n",
		"acl_connect.conf": "  deny message = 554 connect hook\n       hosts = 127.0.0.66\n",
		"acl_rcpt.conf":    "  deny message = 550 MINE hook\n       senders = spammer@elsewhere.test\n",
		"routers.conf":     "mine_first:\n  driver = redirect\n  local_parts = first\n  allow_fail\n  data = :fail: 550 first hook\n\n",
		"routers_outgoing.conf": "smart_host:\n  driver = manualroute\n  domains = ! +mail_domains : ! +own_names\n" +
			"  route_data = 127.0.0.1\n  self = send\n  transport = smart\n  no_more\n\n",
		"transports.conf":     "smart:\n  driver = smtp\n  port = MD_OUT_PORT\n  helo_data = hooked.helo.test\n\n",
		"retry.conf":          "foreign.test  *  F,1h,10m\n",
		"authenticators.conf": "mine:\n  driver = plaintext\n  public_name = OWN-WAY\n  server_prompts = :\n  server_condition = ${if eq{$auth3}{secret}}\n  server_set_id = $auth2\n",
	} {
		lab.Put(t, root, filepath.Join(files.Debian.Hooks(), name), text)
	}
	d, err := lab.ListenDNS(zone) // so that the lab adds no router of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	x := lab.Start(t, root, lab.Options{DNS: d.Addr()})

	k := open(t, x.Addr())
	if _, banner := k.read(); !strings.HasPrefix(banner, "hooked ") {
		t.Errorf("main.conf: %s", banner)
	}
	if offers := k.want(250, "EHLO client.test"); !strings.Contains(offers, "SIZE 12345") {
		t.Errorf("macros.conf: %s", offers)
	} else if strings.Contains(offers, "AUTH") {
		t.Errorf("passwords are asked for in clear: %s", offers)
	}
	if offers := k.startTLS(t); strings.Contains(offers, "AUTH") {
		t.Errorf("log-in at the port of other servers: %s", offers)
	}
	k = open(t, x.Services().Submission)
	k.read()
	if offers := k.want(250, "EHLO client.test"); strings.Contains(offers, "AUTH") {
		t.Errorf("passwords are asked for in clear: %s", offers)
	}
	if offers := k.startTLS(t); !strings.Contains(offers, "AUTH OWN-WAY PLAIN LOGIN") {
		t.Errorf("authenticators.conf: %s", offers)
	}
	if r, err := (lab.Client{Addr: x.Addr(), Local: "127.0.0.66"}).Rcpt(limited(t), stranger, "x@a.example"); err != nil || r.String() != "connect: 554 connect hook" {
		t.Errorf("acl_connect.conf: %v, %v", r, err)
	}
	if r, err := x.Rcpt(limited(t), "spammer@elsewhere.test", "x@a.example"); err != nil || replyLine(r) != "550 macros hook" {
		t.Errorf("acl_rcpt.conf: %v, %v", r, err)
	}
	if r := ask(t, x, "first@a.example"); replyLine(r) != "550 first hook" {
		t.Errorf("routers.conf: %v", r)
	}
	if r := route(t, x, "x@anything.test"); !strings.Contains(r.Text, "router = smart_host, transport = smart") {
		t.Errorf("routers_outgoing.conf: %s", r.Text)
	}
	done(t, x, send(t, x, stranger, "x@a.example"))
	if l := letters(t, x.Sink, 1)[0]; l.Helo != "hooked.helo.test" {
		t.Errorf("transports.conf: greeting %s", l.Helo)
	}
	if _, out, err := x.Run(limited(t), "-brt", "foreign.test"); err != nil || !strings.Contains(out, "F,1h,10m") {
		t.Errorf("retry.conf: %s, %v", out, err)
	}
	noPanic(t, x)
}

// startTLS encrypts the session and returns what is offered then.
func (k *talk) startTLS(t *testing.T) string {
	t.Helper()
	k.want(220, "STARTTLS")
	c := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of the test's
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	k.encrypted(c)
	return k.want(250, "EHLO client.test")
}

func TestEncryptionWorksWithoutACertificate(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	for _, name := range []string{"default.crt", "default.key"} {
		if err := os.Remove(filepath.Join(root, files.Debian.SSL(), name)); err != nil {
			t.Fatal(err)
		}
	}
	k := open(t, x.Addr())
	k.want(220, "")
	k.want(250, "EHLO client.test")
	if offers := k.startTLS(t); strings.Contains(offers, "STARTTLS") || strings.Contains(offers, "AUTH") {
		t.Error(offers)
	}
	k.want(250, "MAIL FROM:<"+stranger+">")
	k.want(250, "RCPT TO:<x@ign.example>")
	noPanic(t, x)
}

func TestCertificateOfTheAdministratorIsServed(t *testing.T) {
	root := lab.NewRoot(t)
	cert, key := selfSigned(t, "own.lab.test")
	lab.Put(t, root, "etc/exim4/ssl/mine.crt", cert)
	lab.Put(t, root, "etc/exim4/ssl/mine.key", key)
	lab.Put(t, root, "etc/exim4/maildomain.d/macros.conf",
		"MD_TLS_CERTIFICATE = /etc/exim4/ssl/mine.crt\nMD_TLS_KEY = /etc/exim4/ssl/mine.key\n")
	x := lab.Start(t, root, lab.Options{})
	k := open(t, x.Addr())
	k.want(220, "")
	k.want(250, "EHLO client.test")
	k.startTLS(t)
	served := k.conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	if served.Subject.CommonName != "own.lab.test" {
		t.Errorf("served: %s", served.Subject)
	}
	noPanic(t, x)
}

// Without the map there is the default certificate, and with it for every name that
// it does not have.
func TestCertificateFollowsTheNameThatIsAskedFor(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	served := func(name string) string {
		k := open(t, x.Addr())
		k.want(220, "")
		k.want(250, "EHLO client.test")
		k.want(220, "STARTTLS")
		c := tls.Client(k.conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // the test looks itself
		if err := c.Handshake(); err != nil {
			return err.Error()
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served("mail.addr.example"); got != "mail.lab.test" {
		t.Errorf("without a map: %s", got)
	}
	cert, key := selfSigned(t, "mail.addr.example")
	lab.Put(t, root, "etc/exim4/ssl/addr.example.crt", cert)
	lab.Put(t, root, "etc/exim4/ssl/addr.example.key", key)
	lab.Put(t, root, "etc/exim4/ssl/sni", "# maildomain 1: a test\nmail.addr.example: addr.example\n")
	for name, want := range map[string]string{
		"mail.addr.example": "mail.addr.example", "MAIL.Addr.Example": "mail.addr.example", "": "mail.lab.test", "other.example": "mail.lab.test",
		"addr.example": "mail.lab.test", "xmail.addr.example": "mail.lab.test", "default": "mail.lab.test", "sni": "mail.lab.test",
	} {
		if got := served(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	noPanic(t, x)
}

func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestMailOfTheServerItself(t *testing.T) {
	dir := t.TempDir()
	x, _ := start(t, world, lab.Options{Dir: dir, Aliases: "admin: someone@foreign.test\npiped: |/bin/sh\nfiled: /tmp/stolen\nlisted: :include:/etc/passwd\n"})
	for to, want := range map[string]int{
		"postmaster": 250, "postmaster@mail.lab.test": 250, "root@mail.lab.test": 250, "root@localhost": 250, "abuse@mail.lab.test": 250,
		"Admin@mail.lab.test": 250, "games@mail.lab.test": 250, "hugo@mail.lab.test": 550, "|x@mail.lab.test": 553,
		"piped@mail.lab.test": 550, "filed@mail.lab.test": 550, "listed@mail.lab.test": 550,
	} {
		if r := ask(t, x, to); r.Code != want {
			t.Errorf("RCPT <%s>: %v, want %d", to, r, want)
		}
	}
	done(t, x, send(t, x, stranger, "root@mail.lab.test", "games@mail.lab.test", "admin@mail.lab.test"))
	for _, box := range []string{"mail", "games"} {
		b, err := os.ReadFile(filepath.Join(dir, "mail", box))
		if err != nil || !strings.Contains(string(b), "Subject: a test\n") {
			t.Errorf("mailbox %s: %v\n%s", box, err, b)
		}
	}
	if l := letters(t, x.Sink, 1)[0]; l.To[0] != "someone@foreign.test" {
		t.Errorf("the alias sent to %q", l.To)
	}
	emptyQueue(t, x)
}
