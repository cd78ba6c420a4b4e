package lab

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// A Client asks a mail server, in a new session for each question: within one
// session Exim remembers what it looked up.
type Client struct {
	Addr  string // host:port of the server
	Helo  string // default client.test
	Local string // IP address to come from; default any

	TLS             *tls.Config // nil: no TLS
	FromStart       bool        // TLS from the start, and not by STARTTLS
	Login, Password string      // log in before sending, if set
}

// A Reply is what a server answered.
type Reply struct {
	To   string // the command that was answered: "connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA" or "."
	Code int
	Text string // lines joined by \n, without the code
}

// OK says that the reply takes what was offered.
func (r Reply) OK() bool { return r.Code >= 200 && r.Code < 400 }

// String is the reply for messages of a test.
func (r Reply) String() string { return fmt.Sprintf("%s: %d %s", r.To, r.Code, r.Text) }

const sessionLimit = time.Minute

// Rcpt asks whether the server takes mail from one address for another. The
// reply is that to RCPT, or an earlier one that refused.
func (c Client) Rcpt(ctx context.Context, from, to string) (Reply, error) {
	return c.talk(ctx, from, []string{to}, nil)
}

// Send hands over a letter; text may have bare line feeds. The reply is the last
// one, or the first that refused; of several recipients one must be taken.
func (c Client) Send(ctx context.Context, from string, to []string, text string) (Reply, error) {
	return c.talk(ctx, from, to, &text)
}

func (c Client) talk(ctx context.Context, from string, to []string, text *string) (r Reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, sessionLimit)
	defer cancel()
	s, err := c.dial(ctx)
	if err != nil {
		return Reply{}, err
	}
	defer func() { _ = s.text.Close() }()
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errors.Join(err, ctx.Err())
		}
	}()

	helo := c.Helo
	if helo == "" {
		helo = "client.test"
	}
	if r, err = s.reply("connect"); err != nil || !r.OK() {
		return r, err
	}
	if r, err = s.command("EHLO " + helo); err != nil || !r.OK() {
		return r, err
	}
	if c.TLS != nil && !c.FromStart {
		if r, err = s.startTLS(ctx, c.TLS, helo); err != nil || !r.OK() {
			return r, err
		}
	}
	if c.Login != "" {
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + c.Login + "\x00" + c.Password)) // RFC 4616
		if r, err = s.command("AUTH PLAIN " + plain); err != nil || !r.OK() {
			return r, err
		}
	}
	if r, err = s.command("MAIL FROM:<" + from + ">"); err != nil || !r.OK() {
		return r, err
	}
	taken := false
	var refused Reply
	for _, rcpt := range to {
		if r, err = s.command("RCPT TO:<" + rcpt + ">"); err != nil {
			return r, err
		}
		if r.OK() {
			taken = true
		} else if refused.Code == 0 {
			refused = r
		}
	}
	switch {
	case !taken:
		r = refused
	case text != nil:
		r, err = s.data(*text)
	}
	if err == nil {
		_, _ = s.conn.Write([]byte("QUIT\r\n")) // nothing depends on the answer, and Exim takes 0.2 s for it
	}
	return r, err
}

type session struct {
	conn net.Conn
	text *textproto.Conn
}

func (c Client) dial(ctx context.Context) (*session, error) {
	var d net.Dialer
	if c.Local != "" {
		ip := net.ParseIP(c.Local)
		if ip == nil {
			return nil, fmt.Errorf("%q is no IP address", c.Local)
		}
		d.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("ask mail server: %w", err)
	}
	if c.TLS != nil && c.FromStart {
		secure := tls.Client(conn, c.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start TLS: %w", err), conn.Close())
		}
		conn = secure
	}
	return &session{conn: conn, text: textproto.NewConn(conn)}, nil
}

func (s *session) startTLS(ctx context.Context, c *tls.Config, helo string) (Reply, error) {
	r, err := s.command("STARTTLS")
	if err != nil || !r.OK() {
		return r, err
	}
	secure := tls.Client(s.conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return r, fmt.Errorf("start TLS: %w", err)
	}
	s.conn, s.text = secure, textproto.NewConn(secure)
	return s.command("EHLO " + helo)
}

// command sends one line as it is, so that a test can send what no client would.
func (s *session) command(line string) (Reply, error) {
	if _, err := s.conn.Write([]byte(line + "\r\n")); err != nil {
		return Reply{}, fmt.Errorf("send %q: %w", line, err)
	}
	verb, _, _ := strings.Cut(line, " ")
	return s.reply(verb)
}

func (s *session) data(text string) (Reply, error) {
	r, err := s.command("DATA")
	if err != nil || !r.OK() {
		return r, err
	}
	w := s.text.DotWriter()
	if _, err := w.Write([]byte(text)); err != nil {
		return Reply{}, fmt.Errorf("send letter: %w", err)
	}
	if err := w.Close(); err != nil {
		return Reply{}, fmt.Errorf("send letter: %w", err)
	}
	return s.reply(".")
}

func (s *session) reply(to string) (Reply, error) {
	code, text, err := s.text.ReadResponse(0)
	var protocol *textproto.Error
	if err != nil && !errors.As(err, &protocol) {
		return Reply{}, fmt.Errorf("read answer to %s: %w", to, err)
	}
	return Reply{To: to, Code: code, Text: text}, nil
}

// SendAll hands over one letter for several recipients and returns the answer to
// each, and then the one to the letter, which is zero when nobody was taken.
func (c Client) SendAll(ctx context.Context, from string, to []string, text string) (rcpt []Reply, last Reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, sessionLimit)
	defer cancel()
	s, err := c.dial(ctx)
	if err != nil {
		return nil, Reply{}, err
	}
	defer func() { _ = s.text.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if last, err = s.reply("connect"); err != nil || !last.OK() {
		return nil, last, err
	}
	helo := c.Helo
	if helo == "" {
		helo = "client.test"
	}
	for _, command := range []string{"EHLO " + helo, "MAIL FROM:<" + from + ">"} {
		if last, err = s.command(command); err != nil || !last.OK() {
			return nil, last, err
		}
	}
	for _, a := range to {
		r, err := s.command("RCPT TO:<" + a + ">")
		if err != nil {
			return rcpt, r, err
		}
		rcpt = append(rcpt, r)
	}
	if !slices.ContainsFunc(rcpt, Reply.OK) {
		return rcpt, Reply{}, nil
	}
	last, err = s.data(text)
	if err == nil {
		_, err = s.conn.Write([]byte("QUIT\r\n"))
	}
	return rcpt, last, err
}
