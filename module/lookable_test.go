package module

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// A tenant's name may lead anywhere; only what strangers reach too is looked at.
func TestNothingBehindTheRouterIsLookedAt(t *testing.T) {
	o := newNamed(t, "a.example\nmail A 127.0.0.1\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	came := make(chan struct{}, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- struct{}{}
			_ = c.Close()
		}
	}()
	set, err := o.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask, err := o.asker(set)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	address := net.JoinHostPort("mail.a.example", port)
	if _, err := o.lookAt(ask, nil)(t.Context(), "tcp", address); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Error(err)
	}
	conn, err := o.lookAt(ask, []netip.Addr{netip.MustParseAddr("127.0.0.1")})(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	<-came
	if err := conn.Close(); err != nil || len(came) > 0 {
		t.Errorf("%v, somebody came before", err)
	}
}

func TestAddressesThatStrangersReach(t *testing.T) {
	ours := []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	for text, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "10.0.0.5": true, "::ffff:10.0.0.5": true,
		"10.0.0.6": false, "::ffff:10.0.0.6": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "169.254.169.254": false,
		"127.0.0.1": false, "::1": false, "fe80::1": false, "fd00::1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false,
	} {
		if got := lookable(netip.MustParseAddr(text), ours); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
