package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestOnlyTheNamedProxySpeaksForOthers(t *testing.T) {
	proxy := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		what, remote, proto string
		chain               []string
		trusted             netip.Addr
		address, scheme     string
	}{
		{"the proxy", "127.0.0.1:9", "https", []string{"192.0.2.1"}, proxy, "192.0.2.1:0", "https"},
		{"the proxy over IPv6 with IPv4 inside", "[::ffff:127.0.0.1]:9", "https", []string{"2001:db8::1"}, proxy, "[2001:db8::1]:0", "https"},
		{"what the caller made up stands before", "127.0.0.1:9", "http", []string{"10.0.0.1, 192.0.2.7"}, proxy, "192.0.2.7:0", ""},
		{"in a header of its own", "127.0.0.1:9", "https", []string{"10.0.0.1", "192.0.2.8"}, proxy, "192.0.2.8:0", "https"},
		{"no address", "127.0.0.1:9", "https", []string{"unknown"}, proxy, "127.0.0.1:9", "https"},
		{"somebody else", "192.0.2.9:9", "https", []string{"10.0.0.1"}, proxy, "192.0.2.9:9", ""},
		{"nobody trusted", "127.0.0.1:9", "https", []string{"10.0.0.1"}, netip.Addr{}, "127.0.0.1:9", ""},
	} {
		var address, scheme string
		h := BehindProxy(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { address, scheme = r.RemoteAddr, r.URL.Scheme }), c.trusted)
		r := httptest.NewRequest("GET", "https://panel.example/", nil) // with a scheme, as anybody can send it
		r.RemoteAddr = c.remote
		r.Header.Set("X-Forwarded-Proto", c.proto)
		r.Header["X-Forwarded-For"] = c.chain
		h.ServeHTTP(httptest.NewRecorder(), r)
		if address != c.address || scheme != c.scheme {
			t.Errorf("%s: %s %q, want %s %q", c.what, address, scheme, c.address, c.scheme)
		}
	}
}
