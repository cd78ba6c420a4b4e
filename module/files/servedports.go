package files

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// A Service is what a mail server offers at a port where it shows certificates.
type Service string

// The services, by their names in the registry of ports (RFC 6335).
const (
	ServiceSMTP        Service = "smtp"        // for other servers; STARTTLS (RFC 3207)
	ServiceSubmissions Service = "submissions" // TLS from the start (RFC 8314)
	ServiceSubmission  Service = "submission"  // STARTTLS
	ServiceIMAP        Service = "imap"        // STARTTLS (RFC 9051 section 6.2.1)
	ServiceIMAPS       Service = "imaps"
	ServicePOP3        Service = "pop3" // STLS (RFC 2595 section 4)
	ServicePOP3S       Service = "pop3s"
)

// A Server is a port where certificates are shown.
type Server struct {
	Service Service
	Addr    string // host:port
}

// String is a server as ParseServers reads it.
func (s Server) String() string { return string(s.Service) + "=" + s.Addr }

// StandardServers are Exim and Dovecot where everybody looks for them, on this host.
func StandardServers() []Server {
	return []Server{
		{ServiceSMTP, "127.0.0.1:25"}, {ServiceSubmissions, "127.0.0.1:465"}, {ServiceSubmission, "127.0.0.1:587"},
		{ServiceIMAP, "127.0.0.1:143"}, {ServiceIMAPS, "127.0.0.1:993"}, {ServicePOP3, "127.0.0.1:110"}, {ServicePOP3S, "127.0.0.1:995"},
	}
}

// ParseServers reads servers as an administrator writes them, "smtp=127.0.0.1:25
// imaps=[::1]:993": those that are named, and no others. Empty text means the
// standard ones.
func ParseServers(text string) ([]Server, error) {
	if strings.TrimSpace(text) == "" {
		return StandardServers(), nil
	}
	var ss []Server
	for w := range strings.FieldsSeq(text) {
		service, addr, _ := strings.Cut(w, "=")
		s := Server{Service(service), addr}
		if _, known := dialogues[s.Service]; !known {
			return nil, fmt.Errorf("read servers: %q: there is no service %q", w, service)
		}
		host, port, err := net.SplitHostPort(addr)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
			return nil, fmt.Errorf("read servers: %q: want host:port after the service", w)
		}
		if slices.Contains(ss, s) {
			return nil, fmt.Errorf("read servers: %q stands twice", w)
		}
		ss = append(ss, s)
	}
	return ss, nil
}
