package core

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// zoneFileMark is how a zone file of ours begins. Files in the directory that begin
// otherwise are somebody else's.
const zoneFileMark = "; Written by panelcore from its database; what is changed here is lost.\n"

// Times of a zone in seconds (RFC 1912 section 2.2; the last one is for names that
// do not exist, RFC 2308).
const (
	soaRefresh  = 3 * 60 * 60
	soaRetry    = 30 * 60
	soaExpire   = 14 * 24 * 60 * 60
	soaNegative = 60 * 60
)

// renderZone returns the file of a zone (RFC 1035 section 5).
func renderZone(z *zone, rs []record, s nameservers) (string, error) {
	apex := dns.Fqdn(z.name)
	servers, glue := s.of(z, rs)
	if len(servers) == 0 {
		return "", badValue("server", z.name, "zone_server")
	}
	header := func(t uint16) dns.RR_Header {
		return dns.RR_Header{Name: apex, Rrtype: t, Class: dns.ClassINET, Ttl: defaultTTL}
	}
	lines := []dns.RR{&dns.SOA{
		Hdr: header(dns.TypeSOA), Ns: dns.Fqdn(servers[0]), Mbox: soaMailbox(z), Serial: z.serial,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: soaNegative,
	}}
	for _, name := range servers {
		lines = append(lines, &dns.NS{Hdr: header(dns.TypeNS), Ns: dns.Fqdn(name)})
	}
	for _, r := range served(append(glue, rs...)) {
		rr, err := r.rr()
		if err != nil {
			return "", fmt.Errorf("write zone %s: %w", z.name, err)
		}
		lines = append(lines, rr)
	}
	var b strings.Builder
	b.WriteString(zoneFileMark)
	for _, rr := range lines {
		line := rr.String()
		if strings.ContainsAny(line, "\r\n\x00") {
			return "", fmt.Errorf("write zone %s: a line break in a record of %s", z.name, rr.Header().Name)
		}
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

// soaMailbox returns the address of who answers for the zone, as SOA has it: dots
// before the @ are escaped (RFC 1035 section 8).
func soaMailbox(z *zone) string {
	local, domain, ok := strings.Cut(z.mailbox, "@")
	if !ok {
		local, domain = "hostmaster", z.name
	}
	return strings.ReplaceAll(local, ".", `\.`) + "." + dns.Fqdn(domain)
}

// nameservers is what the parameters say of the servers of all zones.
type nameservers struct {
	names []string
	ips   []string // of this server
}

// of returns the name servers of a zone, the primary one first. One whose name is in
// the zone needs an address there: where nobody has written one it gets those of
// this server, and without any it is left out, as no server would load the zone.
func (s nameservers) of(z *zone, rs []record) (names []string, glue []record) {
	has := map[string]bool{}
	for _, r := range rs {
		if r.typ == "A" || r.typ == "AAAA" {
			has[r.name] = true
		}
	}
	seen := map[string]bool{"": true}
	for _, name := range append([]string{z.server}, s.names...) {
		if seen[name] {
			continue
		}
		seen[name] = true
		if inside(name, z.name) && !has[name] {
			if len(s.ips) == 0 {
				continue
			}
			for _, ip := range s.ips {
				typ := "A"
				if strings.Contains(ip, ":") {
					typ = "AAAA"
				}
				glue = append(glue, record{name: name, typ: typ, ttl: defaultTTL, value: ip})
			}
		}
		names = append(names, name)
	}
	return names, glue
}

// A staging is zone files written beside their places, to be put there at once.
type staging struct {
	dir     string
	written []string // zones
	removed []string
}

func (s *staging) path(zone string) string { return filepath.Join(s.dir, zone+".zone") }
func (s *staging) side(zone string) string { return filepath.Join(s.dir, "."+zone+".new") }

// write writes the file of a zone beside its place.
func (s *staging) write(zone, text string) error {
	s.written = append(s.written, zone)
	f, err := os.OpenFile(s.side(zone), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("write zone file: %w", err)
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write zone file: %w", err)
	}
	return nil
}

// publish puts the files into their places.
func (s *staging) publish() error {
	var errs []error
	for _, zone := range s.written {
		errs = append(errs, os.Rename(s.side(zone), s.path(zone)))
	}
	s.written = nil
	for _, zone := range s.removed {
		if err := os.Remove(s.path(zone)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	dir, err := os.Open(s.dir)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("publish zone files: %w", err)
	}
	return nil
}

// drop removes what was written and not published.
func (s *staging) drop() {
	for _, zone := range s.written {
		_ = os.Remove(s.side(zone)) // the next start would
	}
	s.written = nil
}
