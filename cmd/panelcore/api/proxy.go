package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// BehindProxy lets the proxy at the address proxy say where a request comes from
// and that it came over TLS: the last address of X-Forwarded-For, which the proxy
// itself adds, and X-Forwarded-Proto. What anybody else says of that is not
// looked at; with no address nobody is trusted.
//
// The request that next sees has the caller's address as its RemoteAddr, and the
// scheme https in its URL where it came over TLS.
func BehindProxy(next http.Handler, proxy netip.Addr) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme = "" // of a request line with a whole address, which anybody can send
		if proxy.IsValid() && cameFrom(r.RemoteAddr) == proxy.Unmap() {
			if r.Header.Get("X-Forwarded-Proto") == "https" {
				r.URL.Scheme = "https"
			}
			all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
			last := strings.TrimSpace(all[strings.LastIndex(all, ",")+1:])
			if a, err := netip.ParseAddr(last); err == nil {
				r.RemoteAddr = net.JoinHostPort(a.Unmap().String(), "0")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// cameFrom is the address of the other end of a connection; zero for none.
func cameFrom(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}
