package mail

import (
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Filters are the programs that judge letters, and what Exim is to make of what they say.
type Filters struct {
	Postgrey FilterAddr
	Spamd    FilterAddr
	Clamd    FilterAddr

	ClamdStream int64 // bytes of a letter that clamd takes and looks at, at most; 0: any

	SpamMark   int  // tenths of a point from which a letter is filed as junk
	SpamReject int  // tenths of a point from which it is refused
	SpamDown   Down // what becomes of a letter while spamd gives no answer
	VirusDown  Down // likewise clamd
}

// Down is what becomes of a letter while a scanner gives no answer.
type Down string

// What can become of it.
const (
	DownDefer Down = "defer" // its sender is told to try again later
	DownPass  Down = "pass"  // it passes, with a header that says so
)

// A FilterAddr is where a filter listens: the path of a socket, or an IP address and a
// port. The zero FilterAddr: it is not there.
type FilterAddr struct {
	socket string
	tcp    netip.AddrPort
}

// ParseFilterAddr reads the path of a socket, "ADDRESS:PORT" or "[ADDRESS]:PORT".
func ParseFilterAddr(s string) (FilterAddr, bool) {
	if strings.HasPrefix(s, "/") {
		// The longest that a socket's path can be (unix(7)), in characters that Exim's
		// lists take for themselves.
		plain := strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789/._-") == ""
		if !plain || len(s) > 107 || s == "/" || path.Clean(s) != s {
			return FilterAddr{}, false
		}
		return FilterAddr{socket: s}, true
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 || a.Addr().Zone() != "" || a.Addr().IsUnspecified() {
		return FilterAddr{}, false
	}
	return FilterAddr{tcp: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}, true
}

// String is the address as ParseFilterAddr reads it; empty for none.
func (a FilterAddr) String() string {
	if a.tcp.IsValid() {
		return a.tcp.String()
	}
	return a.socket
}

// IsZero says that a is no address.
func (a FilterAddr) IsZero() bool { return a == FilterAddr{} }

// Dial is the network and the address as package net takes them.
func (a FilterAddr) Dial() (network, address string) {
	if a.tcp.IsValid() {
		return "tcp", a.tcp.String()
	}
	return "unix", a.socket
}

// scanner is the address as Exim's av_scanner and spamd_address have it, whose lists
// double a colon.
func (a FilterAddr) scanner() string {
	if !a.tcp.IsValid() {
		return a.socket
	}
	host := strings.ReplaceAll(a.tcp.Addr().String(), ":", "::")
	return host + " " + strconv.Itoa(int(a.tcp.Port()))
}

// readsocket is the address as Exim's ${readsocket has it.
func (a FilterAddr) readsocket() string {
	if !a.tcp.IsValid() {
		return a.socket
	}
	return "inet:" + net.JoinHostPort(a.tcp.Addr().String(), strconv.Itoa(int(a.tcp.Port())))
}

// Lines are the filters as Exim's configuration looks them up, by key.
func (f Filters) Lines() map[string]string {
	lines := map[string]string{
		"spam_mark": strconv.Itoa(f.SpamMark), "spam_reject": strconv.Itoa(f.SpamReject),
		"spam_down": string(f.SpamDown), "virus_down": string(f.VirusDown),
	}
	if !f.Postgrey.IsZero() {
		lines["postgrey"] = f.Postgrey.readsocket()
	}
	if !f.Spamd.IsZero() {
		lines["spamd"] = f.Spamd.scanner()
	}
	if !f.Clamd.IsZero() {
		lines["clamd"] = f.Clamd.scanner()
		lines["clamd_ping"] = f.Clamd.readsocket()
	}
	if !f.Clamd.IsZero() && f.ClamdStream > 0 {
		lines["clamd_size"] = strconv.FormatInt(f.ClamdStream-min(envelopeSize, f.ClamdStream/2), 10)
	}
	return lines
}

// envelopeSize is enough for what Exim sends clamd before the letter: its sender and all
// its recipients.
const envelopeSize = 64 << 10

// DefaultFilters are those of a server where none is installed and nothing was set.
func DefaultFilters() Filters { return defaultFilterSettings().Filters(FoundFilters{}) }
