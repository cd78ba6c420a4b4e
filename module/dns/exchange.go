package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"maildomain/module/mail"
)

// A Dialer connects to an address; net.Dialer's method is one.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

func (d Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d == nil {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return d(ctx, network, address)
}

// A problem is why a change did not get through, sorted by what it means for it.
type problem struct {
	handed mail.Handed
	err    error
	text   string // names the sentence for people
	args   map[string]string
}

// because names the sentence that says what p is to people, and what fills it.
func (p *problem) because(text string, args ...string) error {
	p.text, p.args = text, mail.Say("", text, args...).Args
	return p
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

func refused(format string, args ...any) *problem {
	return &problem{handed: mail.Refused, err: fmt.Errorf(format, args...)}
}

func noZone(format string, args ...any) *problem {
	return &problem{handed: mail.NoZone, err: fmt.Errorf(format, args...)}
}

func notNow(format string, args ...any) *problem {
	return &problem{handed: mail.Pending, err: fmt.Errorf(format, args...)}
}

// errLost marks what no further change of the call is to be tried after.
var errLost = errors.New("the server does not answer")

// A session is one connection to a server, over which changes go one after another.
type session struct {
	server *Server
	conn   net.Conn
}

func (x *session) close() {
	if x.conn != nil {
		_ = x.conn.Close() // whatever was answered was read
		x.conn = nil
	}
}

// exchange signs and sends m and reads the answer, over TCP: no spoofing, no limit
// of size. What it returns is the server's word, with whatever code; a signed
// question takes a signed yes only.
func (x *session) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, x.server.timeout())
	defer cancel()
	if x.conn == nil {
		conn, err := x.server.Dial.dial(ctx, "tcp", x.server.address())
		if err != nil {
			return nil, notNow("connect to %s: %w: %w", x.server.Addr, errLost, err).because(mail.HandedSilent, "server", x.server.Addr)
		}
		x.conn = conn
	}
	key := x.server.Key
	client := dns.Client{Timeout: x.server.timeout()}
	if !key.IsZero() {
		client.TsigSecret = map[string]string{key.name: key.secret}
		m.SetTsig(key.name, key.algorithm, 300, x.server.now().Unix())
	}
	// A new wrapper each time: it would sign with the last question's MAC.
	answer, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: x.conn})
	if answer != nil && answer.IsTsig() != nil && answer.IsTsig().Error != dns.RcodeSuccess {
		return nil, keyProblem(x.server.Addr, key, answer.IsTsig())
	}
	if errors.Is(err, dns.ErrAuth) && answer != nil {
		err = nil // NOTAUTH about the zone, whose signature the library does not look at
	}
	switch {
	case errors.Is(err, dns.ErrTime):
		return nil, refused("the clocks of %s and of this server differ", x.server.Addr).because(mail.HandedClock, "server", x.server.Addr)
	case err != nil:
		x.close()
		return nil, notNow("ask %s: %w: %w", x.server.Addr, errLost, err).because(mail.HandedSilent, "server", x.server.Addr)
	case !answer.Response || answer.Opcode != m.Opcode:
		x.close()
		return nil, notNow("ask %s: %w: no answer to the question", x.server.Addr, errLost).because(mail.HandedSilent, "server", x.server.Addr)
	case answer.Rcode == dns.RcodeSuccess && !key.IsZero() && answer.IsTsig() == nil:
		x.close()
		return nil, notNow("ask %s: the answer is not signed", x.server.Addr).because(mail.HandedUnsigned, "server", x.server.Addr)
	}
	return answer, nil
}

// keyProblem is what a server has against a signature (RFC 8945 section 5.2).
func keyProblem(server string, k Key, t *dns.TSIG) error {
	switch t.Error {
	case dns.RcodeBadKey:
		return refused("the server does not know the key %s", k).because(mail.HandedKeyUnknown, "server", server, "key", k.String())
	case dns.RcodeBadSig:
		return refused("the server has another secret for the key %s", k).because(mail.HandedKeySecret, "server", server, "key", k.String())
	case dns.RcodeBadTime:
		return refused("the clocks of the name server and of this server differ").because(mail.HandedClock, "server", server)
	}
	return refused("the server refuses the key %s: %s", k, dns.RcodeToString[int(t.Error)]).
		because(mail.HandedKeyRefused, "server", server, "key", k.String())
}

// timeout is for one question and its answer.
func (s *Server) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 5 * time.Second
}

// Why is the sentence that says to people what err of a Server is about, and what fills
// it; empty where there is none.
func Why(err error) (text string, args map[string]string) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.text, p.args
	}
	return "", nil
}
