package nameserver_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
	"maildomain/tests/nameserver"
	"maildomain/tests/sink"
)

const signing = `
signed:
  driver = smtp
  port = %d
  allow_localhost
  hosts_avoid_tls = *
  dkim_domain = example.com
  dkim_selector = %s
  dkim_private_key = /%s/${dkim_selector}.private
  dkim_canon = relaxed
  dkim_strict = true
`

const route = `
signed:
  driver = manualroute
  domains = ! +mail_domains
  route_data = 127.0.0.1
  self = send
  transport = signed
  no_more
`

const letter = "From: box@example.com\r\nTo: you@example.net\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello  there.\r\n\r\n"

// Keys that mail makes are read by the real Exim, and what it signs with them is
// verified by three programs that know nothing of us, with the records that mail
// makes in a real BIND.
func TestEximSignsWithOurKeysAndOthersVerify(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "exim4")
	short, err := mail.NewRSAKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	long, err := mail.NewRSAKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := mail.NewEd25519Key()
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]map[string]mail.DKIMKey{
		"RSA of 1024 bits": {"short": short},
		"RSA of 2048 bits": {"long": long},
		"Ed25519":          {"ed": ed},
		"both":             {"long": long, "ed": ed},
	} {
		t.Run(name, func(t *testing.T) {
			records := map[string]mail.DKIMRecord{}
			for s, k := range keys {
				records[s] = k.Record()
			}
			at := serveKeys(t, records)
			signed := signedLetter(t, keys)
			tampered := bytes.Replace(signed, []byte("Hello"), []byte("Hallo"), 1)
			_, hasEd := keys["ed"]
			checkMsgauth(t, at, signed, len(keys), true)
			checkMsgauth(t, at, tampered, len(keys), false)
			for i := range len(keys) {
				checkProgram(t, at, signed, true, "/usr/bin/dkimverify", "python3-dkim", "--index", strconv.Itoa(i))
				checkProgram(t, at, tampered, false, "/usr/bin/dkimverify", "python3-dkim", "--index", strconv.Itoa(i))
			}
			if !hasEd { // it is older than RFC 8463
				checkProgram(t, at, signed, true, "opendkim-testmsg", "opendkim-tools")
				checkProgram(t, at, tampered, false, "opendkim-testmsg", "opendkim-tools")
			}
		})
	}
}

// repeated is what opendkim-testmsg 2.11 prints after some signatures: their end, again.
var repeated = regexp.MustCompile(`(\sb=[A-Za-z0-9+/\s]+={1,2})[A-Za-z0-9+/=]*(\r?\nFrom:)`)

// opendkim, the other signer that people know, reads our keys too.
func TestOpendkimSignsWithOurKeys(t *testing.T) {
	lab.NeedRoot(t)
	for _, bits := range []int{1024, 2048} {
		k, err := mail.NewRSAKey(bits)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		r := k.Record()
		r.Hashes = nil // opendkim-testmsg signs with SHA-1, which our records forbid
		at := serveKeys(t, map[string]mail.DKIMRecord{"dkim": r})
		signed := checkProgram(t, at, []byte(letter), true, "opendkim-testmsg", "opendkim-tools", "-d", "example.com", "-s", "dkim", "-k", file)
		if signed == nil {
			continue // not installed
		}
		signed = repeated.ReplaceAll(signed, []byte("$1$2"))
		tampered := bytes.Replace(signed, []byte("Hello"), []byte("Hallo"), 1)
		checkProgram(t, at, signed, true, "/usr/bin/dkimverify", "python3-dkim")
		checkProgram(t, at, tampered, false, "/usr/bin/dkimverify", "python3-dkim")
	}
}

// serveKeys puts the keys' records into a BIND, and is an address whose port 53
// leads there: the verifiers take no other port.
func serveKeys(t *testing.T, keys map[string]mail.DKIMRecord) netip.Addr {
	t.Helper()
	domain, err := mail.ParseName("example.com")
	if err != nil {
		t.Fatal(err)
	}
	var rs []mail.Record
	for s, r := range keys {
		sel, _ := mail.ParseSelector(s)
		rs = append(rs, mail.Record{Name: mail.DKIMName(sel, domain), Type: mail.TypeTXT, TTL: 60, Values: []string{r.String()}, Why: mail.ForDKIM})
	}
	zone, err := mail.ZoneText(rs)
	if err != nil {
		t.Fatal(err)
	}
	bind := nameserver.Start(t, nameserver.Options{Zones: []nameserver.Zone{{Name: "example.com", Records: "@ NS ns\nns A 127.0.0.1\n" + zone}}})
	return relay(t, bind.Addr)
}

// relay is an address whose port 53 leads to another port.
func relay(t *testing.T, to func() netip.AddrPort) netip.Addr {
	t.Helper()
	var u net.PacketConn
	var l net.Listener
	for range 20 {
		at := fmt.Sprintf("127.%d.%d.%d:53", 1+rand.IntN(250), rand.IntN(256), 1+rand.IntN(254))
		var err error
		if u, err = net.ListenPacket("udp", at); err != nil {
			continue
		}
		if l, err = net.Listen("tcp", at); err == nil {
			break
		}
		_ = u.Close()
	}
	if l == nil {
		t.Fatal("no address of loopback has its port 53 free")
	}
	forward := func(network string) dns.HandlerFunc {
		return func(w dns.ResponseWriter, q *dns.Msg) {
			c := dns.Client{Net: network, Timeout: 5 * time.Second}
			if a, _, err := c.Exchange(q, to().String()); err == nil {
				a.RecursionAvailable = true
				_ = w.WriteMsg(a) // who asked may be gone
			}
		}
	}
	for _, s := range []*dns.Server{{PacketConn: u, Handler: forward("udp")}, {Listener: l, Handler: forward("tcp")}} {
		up, down := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() {
			_ = s.ActivateAndServe() // ends with Shutdown
			close(down)
		}()
		<-up
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-down
		})
	}
	return netip.MustParseAddrPort(l.Addr().String()).Addr()
}

// signedLetter sends a letter through an Exim that has the keys.
func signedLetter(t *testing.T, keys map[string]mail.DKIMKey) []byte {
	t.Helper()
	letters, err := sink.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = letters.Close() })
	root := lab.NewRoot(t)
	var selectors []string
	ssl := filepath.Join(files.Debian.Exim, "ssl")
	if err := os.MkdirAll(filepath.Join(root, ssl), 0o755); err != nil {
		t.Fatal(err)
	}
	for s, k := range keys {
		pem, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		lab.Put(t, root, filepath.Join(ssl, s+".private"), string(pem))
		selectors = append(selectors, s)
	}
	port := netip.MustParseAddrPort(letters.Addr()).Port()
	lab.Put(t, root, filepath.Join(files.Debian.Hooks(), "transports.conf"), fmt.Sprintf(signing, port, strings.Join(selectors, " : "), ssl))
	lab.Put(t, root, filepath.Join(files.Debian.Hooks(), "routers_outgoing.conf"), route)
	// With a DNS of its own the lab leaves the way out to the hook.
	x := lab.Start(t, root, lab.Options{Sink: letters.Addr(), DNS: "127.255.255.254", Relay: []string{"127.0.0.1"}})
	if reply, err := x.Send(t.Context(), "box@example.com", "you@example.net", letter); err != nil || reply.Code != 250 {
		t.Fatalf("%+v, %v", reply, err)
	}
	got, err := letters.Wait(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return got[0].Data
}

func checkMsgauth(t *testing.T, at netip.Addr, text []byte, signatures int, ok bool) {
	t.Helper()
	checkSignatures(t, at, "example.com", text, signatures, ok)
}

// checkSignatures has go-msgauth verify the signatures of a domain.
func checkSignatures(t *testing.T, at netip.Addr, domain string, text []byte, signatures int, ok bool) {
	t.Helper()
	lookup := func(name string) ([]string, error) {
		q := new(dns.Msg)
		q.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
		c := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
		a, _, err := c.Exchange(q, netip.AddrPortFrom(at, 53).String())
		if err != nil {
			return nil, err
		}
		var texts []string
		for _, rr := range a.Answer {
			texts = append(texts, strings.Join(rr.(*dns.TXT).Txt, ""))
		}
		return texts, nil
	}
	vs, err := dkim.VerifyWithOptions(bytes.NewReader(text), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(vs) != signatures {
		t.Fatalf("go-msgauth sees %d signatures, %v\n%s", len(vs), err, text)
	}
	for _, v := range vs {
		if (v.Err == nil) != ok || v.Domain != domain {
			t.Errorf("go-msgauth: %+v", v)
		}
	}
}

// checkProgram runs a program on a letter and is what it printed; at is the only
// name server that it knows.
func checkProgram(t *testing.T, at netip.Addr, text []byte, ok bool, program, pkg string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: apt-get install %s", program, pkg)
		}
		t.Logf("%s is not installed: apt-get install %s", program, pkg)
		return nil
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "nameserver %s\noptions timeout:2 attempts:2\n", at), 0o644); err != nil {
		t.Fatal(err)
	}
	const inside = `mount --make-rprivate / && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"-m", "sh", "-c", inside, "sh", conf, path}, args...)...)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	if (err == nil) != ok {
		t.Errorf("%s %s: %v\n%s\n%s", program, args, err, out, text)
	}
	return out
}
