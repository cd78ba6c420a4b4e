package core

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Parameters of the server that zones are passed on to. They are the core's own:
// modules are not sent them, and the secret is never shown.
const (
	paramUpdateServer    = "dns_update_server" // HOST:PORT or HOST; empty: zones are files only
	paramUpdateKey       = "dns_update_key"    // name of the key; empty: changes are not signed
	paramUpdateSecret    = "dns_update_secret" // base64
	paramUpdateAlgorithm = "dns_update_algorithm"
)

// updateAlgorithms are those that a key may have, the default first.
var updateAlgorithms = []string{"hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224"}

const (
	fewestSecretBytes = 16
	updateLimit       = 3 * time.Second // for one change and its answer
)

// An updateServer takes dynamic updates (RFC 2136), signed with a key (RFC 8945).
type updateServer struct {
	addr      string // HOST:PORT
	key       string // absolute; empty: none
	secret    string
	algorithm string

	asking *dns.Conn // that questions go over; nil: none
}

// newUpdateServer reads the parameters; nil: no server is set. The error is an *Error
// about the parameter that is wrong, and never holds a part of the secret.
func newUpdateServer(ps map[string]param) (*updateServer, error) {
	text := func(name string) string { return strings.TrimSpace(ps[name].text) }
	s := &updateServer{addr: text(paramUpdateServer), algorithm: strings.ToLower(text(paramUpdateAlgorithm))}
	if s.addr == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		host, port = strings.Trim(s.addr, "[]"), "53"
	}
	if _, ok := parseName(host, false); !ok && net.ParseIP(host) == nil {
		return nil, badValue(paramUpdateServer, s.addr, "update_server")
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 || strings.Trim(port, "0123456789") != "" {
		return nil, badValue(paramUpdateServer, s.addr, "update_server")
	}
	s.addr = net.JoinHostPort(host, port)
	if s.algorithm == "" {
		s.algorithm = updateAlgorithms[0]
	}
	if !slices.Contains(updateAlgorithms, s.algorithm) {
		return nil, badValue(paramUpdateAlgorithm, s.algorithm, "update_algorithm", strings.Join(updateAlgorithms, ", "))
	}
	if text(paramUpdateKey) == "" {
		return s, nil
	}
	key, ok := parseName(text(paramUpdateKey), true)
	if !ok {
		return nil, badValue(paramUpdateKey, text(paramUpdateKey), "update_key")
	}
	s.key, s.secret = dns.Fqdn(key), text(paramUpdateSecret)
	if b, err := base64.StdEncoding.DecodeString(s.secret); err != nil || len(b) < fewestSecretBytes {
		return nil, badValue(paramUpdateSecret, "", "update_secret", fewestSecretBytes)
	}
	return s, nil
}

// A difference is what a server has to add and to remove to have what it should.
type difference struct {
	add, remove []record
	stay        []record // what else of ours it has
}

func (d difference) empty() bool { return len(d.add)+len(d.remove) == 0 }

// Bounds of one update: records, and bytes of their values. A message has 64 KiB.
const (
	maxUpdateRecords = 200
	maxUpdateText    = 16 << 10
)

// first returns as much of d as one update takes, of no more than that many names.
// Names are not divided, lest one be seen half changed; new addresses come before
// what may refer to them, as servers want it of MX.
func (d difference) first(names int) difference {
	bytes := map[string]int{}
	counts := map[string]int{}
	var order []string
	for _, r := range slices.Concat(d.add, d.remove) {
		bytes[r.name] += len(r.value) + len(r.name) + 32
		counts[r.name]++
		order = append(order, r.name)
	}
	addresses := map[string]bool{}
	for _, r := range d.add {
		addresses[r.name] = addresses[r.name] || r.typ == "A" || r.typ == "AAAA"
	}
	slices.SortStableFunc(order, func(a, b string) int {
		switch {
		case addresses[a] == addresses[b]:
			return 0
		case addresses[a]:
			return -1
		}
		return 1
	})
	taken := map[string]bool{}
	records, size := 0, 0
	for _, name := range order {
		if taken[name] {
			continue
		}
		records, size = records+counts[name], size+bytes[name]
		if len(taken) == names || len(taken) > 0 && (records > maxUpdateRecords || size > maxUpdateText) {
			break
		}
		taken[name] = true
	}
	return d.without(func(name string) bool { return !taken[name] })
}

// without returns d without what is about those names.
func (d difference) without(names func(string) bool) difference {
	about := func(r record) bool { return names(r.name) }
	left := func(rs []record) []record { return slices.DeleteFunc(slices.Clone(rs), about) }
	return difference{left(d.add), left(d.remove), left(d.stay)}
}

// names returns the names that d is about.
func (d difference) names() map[string]bool {
	names := map[string]bool{}
	for _, r := range slices.Concat(d.add, d.remove) {
		names[r.name] = true
	}
	return names
}

var (
	errUnreached = errors.New("the name server does not answer")     // other zones need not be tried
	errContent   = errors.New("the name server refuses the records") // perhaps not all of them
)

// An untaken is an error with which the server says that it changed nothing.
type untaken struct{ error }

func (u untaken) Unwrap() error { return u.error }

// send has the server make the difference in its zone, or change nothing.
func (s *updateServer) send(ctx context.Context, zone string, d difference) error {
	m, err := updateMessage(zone, d)
	if err != nil {
		return err
	}
	client := dns.Client{Net: "tcp", Timeout: updateLimit}
	if s.key != "" {
		client.TsigSecret = map[string]string{s.key: s.secret}
		// The time of the day, not the core's: it is compared with the server's.
		m.SetTsig(s.key, s.algorithm+".", 300, time.Now().Unix())
	}
	answer, _, err := client.ExchangeContext(ctx, m, s.addr)
	if answer != nil && answer.IsTsig() != nil && answer.IsTsig().Error != dns.RcodeSuccess {
		return untaken{fmt.Errorf("pass on to %s: the server does not take the key: %s", s.addr, dns.RcodeToString[int(answer.IsTsig().Error)])}
	}
	switch {
	case errors.Is(err, dns.ErrTime):
		return fmt.Errorf("pass on to %s: its clock and this server's differ", s.addr)
	case errors.Is(err, dns.ErrAuth) && answer != nil: // how the library puts NOTAUTH
	case err != nil && answer != nil:
		return fmt.Errorf("pass on to %s: %w", s.addr, err)
	case err != nil:
		return fmt.Errorf("pass on to %s: %w: %w", s.addr, errUnreached, err)
	case answer.Rcode == dns.RcodeSuccess && s.key != "" && answer.IsTsig() == nil:
		return fmt.Errorf("pass on to %s: the answer is not signed", s.addr)
	}
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeYXRrset:
		return untaken{fmt.Errorf("pass on to %s: %w: a name is an alias there", s.addr, errContent)}
	case dns.RcodeRefused: // also MX to a name without an address
		return untaken{fmt.Errorf("pass on to %s: %w of %s (REFUSED)", s.addr, errContent, zone)}
	}
	err = fmt.Errorf("pass on to %s: the server does not take changes of %s (%s)", s.addr, zone, dns.RcodeToString[answer.Rcode])
	if answer.Rcode == dns.RcodeServerFailure { // in the middle of it, for all we know
		return err
	}
	return untaken{err}
}

// updateMessage returns the update that makes d. Where records are added there must
// be no alias of somebody else's, which would swallow them without a word (RFC 2136
// section 3.4.2.2).
func updateMessage(zone string, d difference) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	alias := map[string]bool{} // names that are aliases of ours, or are done
	for _, r := range slices.Concat(d.add, d.remove) {
		alias[r.name] = alias[r.name] || r.typ == "CNAME"
	}
	for _, r := range d.add {
		if !alias[r.name] {
			alias[r.name] = true
			m.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(r.name), Rrtype: dns.TypeCNAME, Class: dns.ClassINET}}})
		}
	}
	for _, part := range []struct {
		records []record
		into    func([]dns.RR)
	}{{d.remove, m.Remove}, {d.add, m.Insert}} {
		var rrs []dns.RR
		for _, r := range part.records {
			rr, err := r.rr()
			if err != nil {
				return nil, err
			}
			rrs = append(rrs, rr)
		}
		part.into(rrs)
	}
	return m, nil
}
