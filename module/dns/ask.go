package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// An Asker asks name servers what stands. It keeps nothing from one call to the next.
type Asker struct {
	Resolvers []netip.AddrPort // asked in turn until one answers
	Timeout   time.Duration    // for one question to one server; 0: 2 s. UDP is asked twice
	Dial      Dialer           // nil: net.Dialer
	Now       func() time.Time // nil: time.Now
}

// An Answer is what one server said to one question.
type Answer struct {
	Name          string
	Type          mail.RecordType
	Server        string         // name of an authoritative server; empty for a resolver
	Addr          netip.AddrPort // that was asked
	Authoritative bool           // the server is one of the zone's own
	At            time.Time
	Values        []string // in the form of mail.Record; none: no such record, or no such name
	Err           error    // not nil: the server did not say
}

// Who is the server as people read it: its name where it has one, and its address.
func (a Answer) Who() string {
	if a.Server == "" {
		return a.Addr.Addr().String()
	}
	return a.Server + " (" + a.Addr.Addr().String() + ")"
}

// Ask asks the resolvers.
func (a *Asker) Ask(ctx context.Context, name string, t mail.RecordType) Answer {
	return a.round().ask(ctx, name, t)
}

// Everyone asks every authoritative server of name, and the resolvers last. The
// error is ErrNotDelegated where the name has no servers, or says why they are not
// known; the resolvers' answer is there all the same.
func (a *Asker) Everyone(ctx context.Context, name string, t mail.RecordType) ([]Answer, error) {
	return a.round().everyone(ctx, name, t)
}

func (a *Asker) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

func (a *Asker) timeout() time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	return 2 * time.Second
}

var (
	errNoResolver = errors.New("no resolver is configured")
	errNonsense   = errors.New("it is no answer to the question")
	errNoAddress  = errors.New("its name has no address")
	errFails      = errors.New("it answers")
)

// payload is what fits into UDP without fragments (RFC 9715 section 3.1).
const payload = 1232

// exchange asks one server: over UDP, once more if nothing comes, without EDNS
// where the server does not know it (RFC 6891 section 7), over TCP what does not
// fit (RFC 7766). The answer is one to the question, with whatever code.
func (a *Asker) exchange(ctx context.Context, to netip.AddrPort, name string, t uint16, recurse bool) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(wireName(name), t)
	m.RecursionDesired = recurse
	m.SetEdns0(payload, false)
	answer, err := a.over(ctx, "udp", to, m)
	if err != nil && ctx.Err() == nil {
		answer, err = a.over(ctx, "udp", to, m)
	}
	if err == nil && (answer.Rcode == dns.RcodeFormatError || answer.Rcode == dns.RcodeNotImplemented) {
		m.Extra = nil
		answer, err = a.over(ctx, "udp", to, m)
	}
	if err != nil || answer.Truncated {
		answer, err = a.over(ctx, "tcp", to, m)
	}
	if err != nil {
		return nil, &noAnswer{err}
	}
	return answer, nil
}

// A noAnswer is a server that did not answer, in words for people.
type noAnswer struct{ cause error }

func (e *noAnswer) Unwrap() error { return e.cause }

func (e *noAnswer) Error() string {
	if errors.Is(e.cause, errNonsense) {
		return e.cause.Error()
	}
	return map[string]string{
		mail.AskedSilent: "it does not answer", mail.AskedNobody: "no name server listens there",
		mail.AskedNoWay: "no way leads there", mail.AskedNonsense: "it answers with something else than DNS",
	}[e.text()]
}

// text names the sentence about it.
func (e *noAnswer) text() string {
	var timed net.Error
	switch {
	case errors.As(e.cause, &timed) && timed.Timeout():
		return mail.AskedSilent
	case errors.Is(e.cause, syscall.ECONNREFUSED):
		return mail.AskedNobody
	case errors.Is(e.cause, syscall.ENETUNREACH), errors.Is(e.cause, syscall.EHOSTUNREACH), errors.Is(e.cause, syscall.EADDRNOTAVAIL):
		return mail.AskedNoWay
	}
	return mail.AskedNonsense
}

// Asked names the sentence that says to people why a server did not say; empty where
// there is none.
func Asked(err error) string {
	if e, ok := errors.AsType[*noAnswer](err); ok {
		return e.text()
	}
	switch {
	case errors.Is(err, ErrNotDelegated):
		return mail.AskedNotDelegated
	case errors.Is(err, errNoResolver):
		return mail.AskedNoResolver
	case errors.Is(err, errNoAddress):
		return mail.AskedNoAddress
	case errors.Is(err, errFails):
		return mail.AskedFails
	}
	return ""
}

func (a *Asker) over(ctx context.Context, network string, to netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout())
	defer cancel()
	conn, err := a.Dial.dial(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // what was answered was read
	m.Id = dns.Id()
	client := dns.Client{Timeout: a.timeout()}
	answer, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn})
	switch {
	case err != nil:
		return nil, err
	case !answer.Response || answer.Opcode != dns.OpcodeQuery, network == "tcp" && answer.Truncated:
		return nil, errNonsense
	case len(answer.Question) != 1 && answer.Rcode == dns.RcodeSuccess:
		return nil, errNonsense
	case len(answer.Question) == 1 && (answer.Question[0].Qtype != m.Question[0].Qtype || !sameName(answer.Question[0].Name, m.Question[0].Name)):
		return nil, errNonsense
	}
	return answer, nil
}

// mostAliases is how many CNAMEs of an answer are followed.
const mostAliases = 8

// values are the records of the type that name leads to in m, and the name where
// the aliases end.
func values(m *dns.Msg, name string, t uint16) (vs []string, end string) {
	end = wireName(name)
	for range mostAliases {
		to := aliasOf(m, end)
		if to == "" {
			break
		}
		end = to
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype != t || !sameName(rr.Header().Name, end) {
			continue
		}
		if v, ok := valueOf(rr); ok && !slices.Contains(vs, v) {
			vs = append(vs, v)
		}
	}
	return vs, end
}

// said sorts the code of an answer: that there is nothing is an answer too.
func said(m *dns.Msg) error {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return nil
	}
	return fmt.Errorf("%w %s", errFails, strings.ToLower(dns.RcodeToString[m.Rcode]))
}
