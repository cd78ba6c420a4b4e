package sink

import (
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/emersion/go-smtp"
)

// A session is one client's connection (smtp.Session).
type session struct {
	server *Server
	conn   *smtp.Conn
	peer   netip.Addr
	from   string
	to     []string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read letter: %w", err)
	}
	return s.server.take(Letter{Peer: s.peer, Helo: s.conn.Hostname(), From: s.from, To: slices.Clone(s.to), Data: data})
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }
