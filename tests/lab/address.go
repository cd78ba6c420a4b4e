package lab

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
)

// FreeAddrs are n addresses that nobody listens at, each HOST:PORT: for servers that
// are told where to listen, start late or start again. The host is a loopback address of
// this process alone, so that no test that runs beside takes a port meanwhile.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	pid := os.Getpid()
	return FreeAddrsOn(t, netip.AddrFrom4([4]byte{127, byte(64 + pid>>16&63), byte(pid >> 8), byte(pid)}).String(), n)
}

// FreeAddrsOn are n addresses of one host that nobody listens at. Their ports are below
// those that systems hand out by themselves.
func FreeAddrsOn(t testing.TB, host string, n int) (addrs []string) {
	t.Helper()
	for len(addrs) < n {
		l, err := listenBelow(host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at the end: none is had twice
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// listenBelow listens at a port below those that systems hand out by themselves: nobody
// else gets it once it is free again, before its server starts or starts anew.
func listenBelow(host string) (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(10000+rand.IntN(20000)))); err == nil {
			return l, nil
		}
	}
	return nil, err
}
