package dns

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// mostResolvers is how many the C library takes, too (resolv.conf(5)).
const mostResolvers = 3

// ReadResolvers reads the name servers of a resolv.conf; none there means the one
// of this host.
func ReadResolvers(conf io.Reader) ([]netip.AddrPort, error) {
	var rs []netip.AddrPort
	lines := bufio.NewScanner(conf)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "nameserver" || len(rs) == mostResolvers {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			rs = append(rs, netip.AddrPortFrom(a, 53))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read resolv.conf: %w", err)
	}
	if len(rs) == 0 {
		rs = append(rs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53))
	}
	return rs, nil
}
