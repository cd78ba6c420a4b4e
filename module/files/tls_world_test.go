package files_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// putCertificates publishes a list of certificates as the module does.
func putCertificates(t *testing.T, root string, list ...mail.ServedCertificate) {
	t.Helper()
	var all []files.File
	for _, c := range list {
		all = append(all, files.Debian.CertificateFiles(c.Certificate)...)
	}
	publish(t, root, append(all, lists(t, list...)...)...)
}

func lists(t *testing.T, list ...mail.ServedCertificate) []files.File {
	t.Helper()
	sni, err := files.Debian.SNIFile(list)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := files.Debian.CertsConfFile(list)
	if err != nil {
		t.Fatal(err)
	}
	return []files.File{sni, conf}
}

func publish(t *testing.T, root string, fs ...files.File) {
	t.Helper()
	tree := openTree(t, root)
	plan := make([]files.Change, len(fs))
	for i, f := range fs {
		plan[i].File = f
	}
	s, err := tree.Stage(plan)
	if err == nil {
		err = s.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openTree(t *testing.T, root string) *files.Tree {
	t.Helper()
	tree, err := files.OpenTree(root, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func fingerprint(t *testing.T, chain []byte) [32]byte {
	t.Helper()
	b, _ := pem.Decode(chain)
	if b == nil {
		t.Fatal("no certificate")
	}
	return sha256.Sum256(b.Bytes)
}

// A port is one where a certificate is shown, by TLS from the start or after a word.
type port struct {
	name, addr string
	words      []string // that are sent before TLS; each is answered with a line that begins like its pair
}

var clients atomic.Uint32 // that shown has been

func tlsPorts(x *lab.Exim) []port {
	s := x.Services()
	smtp := []string{"", "220 ", "EHLO client.test", "250 ", "STARTTLS", "220 "}
	return []port{
		{"25", x.Addr(), smtp}, {"587", s.Submission, smtp}, {"465", s.Submissions, nil},
		{"143", s.IMAP, []string{"", "* OK ", "a STARTTLS", "a OK "}}, {"993", s.IMAPS, nil},
		{"110", s.POP3, []string{"", "+OK", "STLS", "+OK"}}, {"995", s.POP3S, nil},
	}
}

// shown is the fingerprint of the certificate that a port shows to who asks for sni;
// empty: for nothing.
func (p port) shown(ctx context.Context, sni string) (fp [32]byte, err error) {
	// Exim bounds what comes from one address at a time.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+clients.Add(1)%250))}}
	c, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return fp, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	for i := 0; i < len(p.words); i += 2 {
		if p.words[i] != "" {
			if _, err := io.WriteString(c, p.words[i]+"\r\n"); err != nil {
				return fp, err
			}
		}
		for line := ""; !strings.HasPrefix(line, p.words[i+1]); {
			if line, err = r.ReadString('\n'); err != nil {
				return fp, fmt.Errorf("wait for %q: %w", p.words[i+1], err)
			}
		}
	}
	// What is no certificate's name is compared below, not trusted.
	secure := tls.Client(c, &tls.Config{ServerName: sni, InsecureSkipVerify: true})
	if err := secure.HandshakeContext(ctx); err != nil {
		return fp, err
	}
	defer func() { _ = secure.Close() }()
	return sha256.Sum256(secure.ConnectionState().PeerCertificates[0].Raw), nil
}

// three is a world with three certificates beside the default one.
func three(t *testing.T) (*lab.Exim, string, []mail.ServedCertificate) {
	t.Helper()
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "a.example", action("error")...)
	lab.PutBoxes(t, root, "a.example", lab.Box{Name: "post"})
	hundred := []string{"h0.c.example"}
	for i := range 99 {
		hundred = append(hundred, fmt.Sprintf("h%d.%s.c.example", i+1, strings.Repeat("long-", 10)+"label"))
	}
	list := []mail.ServedCertificate{served(t, "mail.a.example", "imap.a.example"), served(t, "a.example"), served(t, hundred...)}
	putCertificates(t, root, list...)
	return lab.Start(t, root, lab.Options{Dovecot: true}), root, list
}

// openssl is shown as openssl sees it.
func (p port) openssl(ctx context.Context, sni string) (fp [32]byte, err error) {
	args := []string{"s_client", "-connect", p.addr, "-noservername"}
	if sni != "" {
		args = append(args[:3], "-servername", sni)
	}
	if len(p.words) > 0 {
		protocol := map[string]string{"25": "smtp", "587": "smtp", "143": "imap", "110": "pop3"}
		args = append(args, "-starttls", protocol[p.name])
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", args...).Output()
	b, _ := pem.Decode(out)
	if b == nil {
		return fp, errors.Join(errors.New("no certificate"), err)
	}
	return sha256.Sum256(b.Bytes), nil
}

// signAgain is another certificate for the same names and the same key.
func signAgain(t *testing.T, c mail.Certificate) []byte {
	t.Helper()
	chain, err := mail.ParseChain(c.Chain)
	if err != nil {
		t.Fatal(err)
	}
	k, err := mail.ParseKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	next := *chain.Leaf()
	next.SerialNumber = big.NewInt(7)
	der, err := x509.CreateCertificate(rand.Reader, &next, &next, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func waitShown(t *testing.T, p port, sni string, want [32]byte) {
	t.Helper()
	ctx := limited(t)
	for {
		got, err := p.shown(ctx, sni)
		if err == nil && got == want {
			return
		}
		if ctx.Err() != nil { // a look in the moment of a reload is cut off
			t.Fatalf("port %s shows another certificate for %s, or none: %v", p.name, sni, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// probe connects to every port over and over, and wants to see the same certificate
// each time, until it is stopped. Dovecot cuts those off who are connected in the moment
// of a reload: at a port of its own each reload may break one look, and no more.
func probe(t *testing.T, x *lab.Exim, sni string, want [32]byte, reloads int) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, p := range tlsPorts(x) {
		all.Go(func() {
			left := reloads
			if slices.Contains([]string{"25", "465", "587"}, p.name) { // Exim's
				left = 0
			}
			for n := 0; ; n++ {
				select {
				case <-done:
					if n == 0 {
						t.Errorf("port %s was never asked", p.name)
					}
					return
				default:
				}
				got, err := p.shown(limited(t), sni)
				if err != nil && left > 0 {
					left--
					continue
				}
				if err != nil || got != want {
					t.Errorf("port %s, probe %d for %s: another certificate, or %v", p.name, n, sni, err)
					return
				}
			}
		})
	}
	return func() { close(done); all.Wait() }
}
