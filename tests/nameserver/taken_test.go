package nameserver

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Between our look and BIND's another test may take the port: that is told from all else
// that keeps a server from starting, and another port is tried.
func TestTakenPortIsTold(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		addr := freePort(t)
		var held interface{ Close() error }
		var err error
		if network == "tcp" {
			held, err = net.Listen(network, addr.String())
		} else {
			held, err = net.ListenPacket(network, addr.String())
		}
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{t: t, dir: t.TempDir(), addr: addr}
		if err := s.start(); err == nil || !strings.Contains(err.Error(), "address in use") {
			t.Errorf("%s: %v", network, err)
		}
		time.AfterFunc(time.Second, func() { _ = held.Close() })
		s.Restart()
		if s.Addr() == (netip.AddrPort{}) {
			t.Error("no address")
		}
		s.Stop()
	}
}
