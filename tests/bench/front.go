package main

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"maildomain/module/mail"
)

// many is what no Dovecot carries as blocks.
const many = 10_000

// front measures what carries further: haproxy takes the TLS of IMAPS and POP3S off,
// choosing the certificate by name, and tells Dovecot who connects (PROXY protocol).
// What begins in clear and asks for STARTTLS cannot be served so.
func front(ctx context.Context) error {
	haproxy, err := exec.LookPath("/usr/sbin/haproxy")
	if err != nil {
		fmt.Println("left out: certificates behind haproxy; apt-get install haproxy")
		return nil
	}
	behind, err := freeAddr()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(behind)
	if err != nil {
		return err
	}
	hook := fmt.Sprintf("haproxy_trusted_networks = 127.0.0.0/8\nservice imap-login {\n  inet_listener behind {\n    address = 127.0.0.1\n    port = %s\n    haproxy = yes\n  }\n}\n", port)
	return withMailServers(ctx, hook, func(s *mailServers) error { return s.behind(ctx, haproxy, behind) })
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *mailServers) behind(ctx context.Context, haproxy, behind string) error {
	dir, err := os.MkdirTemp("", "maildomain-bench-front-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, err := selfSigned(many)
	if err != nil {
		return err
	}
	var index strings.Builder
	for i, c := range list {
		if i == many-1 { // comes while it runs
			break
		}
		p := filepath.Join(dir, c.Name+".pem")
		if err := os.WriteFile(p, append(append([]byte{}, c.Chain...), c.Key...), 0o600); err != nil {
			return err
		}
		fmt.Fprintf(&index, "%s %s %s\n", p, c.Names[0], c.Names[1])
	}
	listen, err := freeAddr()
	if err != nil {
		return err
	}
	crtList, socket, conf := filepath.Join(dir, "list"), filepath.Join(dir, "sock"), filepath.Join(dir, "conf")
	text := fmt.Sprintf(`global
  stats socket %s mode 600 level admin
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 30m
  timeout server 30m
frontend imaps
  bind %s ssl crt-list %s ssl-min-ver TLSv1.2
  default_backend dovecot
backend dovecot
  server one %s send-proxy-v2-ssl-cn
`, socket, listen, crtList, behind)
	if err := errors.Join(os.WriteFile(crtList, []byte(index.String()), 0o600), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		return err
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, haproxy, "-db", "-f", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	log := func(c mail.ServedCertificate) (time.Duration, error) {
		b, _ := pem.Decode(c.Chain)
		from := time.Now()
		err := s.logIn(ctx, listen, c.Names[1].String(), sha256.Sum256(b.Bytes))
		return time.Since(from), err
	}
	if _, err := log(list[many-2]); err != nil {
		return err
	}
	row(fmt.Sprintf("haproxy: %d certificates, start to first log-in", many-1), ms(time.Since(start)), 30_000, "ms", "")
	later, err := sample(10, func(int) error { _, err := log(list[1]); return err })
	if err != nil {
		return err
	}
	row("haproxy: each log-in later", ms(later), 200, "ms", "")
	mb, err := residentMB(cmd.Process.Pid)
	if err != nil {
		return err
	}
	row("haproxy: resident", mb, 1024, "MB", "")
	from := time.Now()
	if err := addCertificate(ctx, socket, crtList, dir, list[many-1]); err != nil {
		return err
	}
	if _, err := log(list[many-1]); err != nil {
		return err
	}
	row("haproxy: one more while it runs, until it is served", ms(time.Since(from)), 1000, "ms", "")
	return nil
}

// addCertificate adds one over the socket: no reload (haproxy management guide,
// section 9.3, "new ssl cert", "set ssl cert", "commit ssl cert", "add ssl crt-list").
func addCertificate(ctx context.Context, socket, crtList, dir string, c mail.ServedCertificate) error {
	p := filepath.Join(dir, c.Name+".pem")
	for _, line := range []string{
		"new ssl cert " + p,
		"set ssl cert " + p + " <<\n" + strings.TrimSpace(string(c.Chain)+string(c.Key)) + "\n",
		"commit ssl cert " + p,
		"add ssl crt-list " + crtList + " <<\n" + fmt.Sprintf("%s %s %s", p, c.Names[0], c.Names[1]) + "\n",
	} {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		_, err = io.WriteString(conn, line+"\n")
		var answer []byte
		if err == nil {
			answer, err = io.ReadAll(conn)
		}
		verb := strings.Join(strings.Fields(line)[:3], " ")
		if err == nil && !strings.ContainsAny(string(answer), "!") && !strings.Contains(string(answer), "New empty") && !strings.Contains(string(answer), "created") {
			err = fmt.Errorf("%q", answer)
		}
		if err := errors.Join(err, conn.Close()); err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
	}
	return nil
}
