package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// logIn logs in with TLS from the start, asking for sni and wanting the certificate
// of that name; it waits for a reload to be through.
func (s *mailServers) logIn(ctx context.Context, addr, sni string, want [32]byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		got, err := tryLogIn(ctx, addr, sni)
		if err == nil && (sni == "" || got == want) {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(errors.New("no log-in within a minute"), err)
		}
	}
}

func tryLogIn(ctx context.Context, addr, sni string) (fp [32]byte, err error) {
	// Not the server's own address: what is in clear is then nobody's from here.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fp, err
	}
	defer raw.Close()
	if end, is := ctx.Deadline(); is {
		if err := raw.SetDeadline(end); err != nil {
			return fp, err
		}
	}
	c := tls.Client(raw, &tls.Config{ServerName: sni, InsecureSkipVerify: true}) // compared by its fingerprint
	if _, err := fmt.Fprintf(c, "a LOGIN %s %s\r\n", benchBox, benchSecret); err != nil {
		return fp, err
	}
	var said strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(said.String(), "\na "); {
		n, err := c.Read(buf)
		if said.Write(buf[:n]); err != nil {
			return fp, fmt.Errorf("log in: after %q: %w", said.String(), err)
		}
	}
	if !strings.Contains(said.String(), "\na OK ") {
		return fp, fmt.Errorf("log in: %q", said.String())
	}
	return sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw), nil
}

// childMB is the resident memory of the largest process of that name below this one.
func childMB(name string) (float64, error) {
	most := 0.0
	for _, pid := range children(os.Getpid()) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue // ended meanwhile, or another one
		}
		mb, err := residentMB(pid)
		if err != nil {
			return 0, err
		}
		most = max(most, mb)
	}
	return most, nil
}

func children(pid int) []int {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		for f := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(append(all, n), children(n)...)
			}
		}
	}
	return all
}
