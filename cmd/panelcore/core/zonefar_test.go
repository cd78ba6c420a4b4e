package core_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
	"maildomain/rpc/wire"
	"maildomain/tests/nameserver"
)

// far returns the address of a name server that is so far away that each connection and
// each message takes that long.
func far(t *testing.T, s *nameserver.Server, away time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { passSlowly(from, s.Addr().String(), away) })
		}
	})
	return l.Addr().String()
}

func passSlowly(from net.Conn, addr string, away time.Duration) {
	defer from.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	for _, c := range []net.Conn{from, to} {
		if c.SetDeadline(time.Now().Add(time.Minute)) != nil {
			return
		}
	}
	time.Sleep(away)
	for {
		for _, way := range []struct{ from, to net.Conn }{{from, to}, {to, from}} {
			m, err := message(way.from)
			if err != nil {
				return
			}
			time.Sleep(away / 2)
			if _, err := way.to.Write(m); err != nil {
				return
			}
		}
	}
}

func TestLargeZoneIsPassedOnToAFarNameServer(t *testing.T) {
	s := serve(t, nameserver.Zone{Name: "example.com", Records: hosts}, nameserver.Zone{Name: "zz.example", Records: hosts})
	p := paneltest.Start(t, paneltest.Options{Core: rarely})
	const keys = 100
	var changes []wire.DNSChange
	for i := range keys {
		changes = append(changes, put(fmt.Sprintf("k%d._domainkey.example.com", i), "TXT", 300, "v=DKIM1; p=x"))
	}
	if got := state(t, p, "example.com", changes...); strings.ReplaceAll(got, "|", "") != strings.Repeat(wire.DNSPublished, keys) {
		t.Fatal(got)
	}
	admin(t, p, "zone.edit", "name", "zz.example", "server", "ns.zz.example")
	admin(t, p, "zone.record.edit", "plid", "zz.example", "name", "www", "type", "A", "value", "192.0.2.1")
	admin(t, p, "param.edit", "dns_update_server", far(t, s, 60*time.Millisecond), "dns_update_key", nameserver.KeyName,
		"dns_update_secret", nameserver.KeySecret, "dns_update_algorithm", nameserver.KeyAlgorithm)

	stand := func() (n int) {
		for _, c := range changes {
			if ask(t, s, c.Name, c.Type) != "" {
				n++
			}
		}
		return n
	}
	last := 0
	for range 20 {
		if err := p.Core.PassOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := stand()
		if ask(t, s, "www.zz.example", "A") == "" {
			t.Errorf("the zone after it was not passed on when %d names of the large one were", n)
		}
		if n == keys {
			return
		}
		if n == last {
			t.Fatalf("nothing was passed on after %d names", n)
		}
		last = n
	}
	t.Errorf("%d of %d names were passed on", last, keys)
}
