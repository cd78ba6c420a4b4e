// Package sink is a mail server that takes every letter and sends none: where
// tests and demonstrations let Exim deliver, to see what would have left, from
// which address and under which name. It leaves everything about Exim to others.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"
)

// Limits of a sink, so that a run-away sender fills neither memory nor disk.
const (
	MaxLetters    = 10_000    // further letters are put off with 452
	MaxBytes      = 64 << 20  // of one letter
	maxKept       = 256 << 20 // of all letters together; further ones are put off too
	maxRecipients = 1000
	maxClients    = 200
	idle          = time.Minute
)

// A Letter is one message as the sink was given it.
type Letter struct {
	Peer netip.Addr // the address that the client sent from
	Helo string     // the name that the client gave itself
	From string     // envelope sender; empty for a bounce
	To   []string   // envelope recipients
	Data []byte     // header and body with CRLF, dots unstuffed
}

// Server is a running sink.
type Server struct {
	smtp     *smtp.Server
	listener net.Listener
	each     func(Letter) error
	stopped  chan struct{}

	mu      sync.Mutex
	letters []Letter
	bytes   int
	more    chan struct{} // closed and replaced when a letter comes
}

// Listen starts a sink on addr, for instance 127.0.0.1:0, and returns when it
// can be connected to. Unless each is nil it is called with every letter, one
// at a time, before the client is told that the letter is taken; with its error
// the client is told to try again later.
func Listen(addr string, each func(Letter) error) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start mail sink: %w", err)
	}
	s := &Server{listener: l, each: each, stopped: make(chan struct{}), more: make(chan struct{})}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		peer, err := netip.ParseAddrPort(c.Conn().RemoteAddr().String())
		if err != nil {
			return nil, fmt.Errorf("read address of the client: %w", err)
		}
		return &session{server: s, conn: c, peer: peer.Addr().Unmap()}, nil
	}))
	s.smtp.Domain = "sink.test"
	s.smtp.MaxRecipients = maxRecipients
	s.smtp.MaxMessageBytes = MaxBytes
	s.smtp.ReadTimeout = idle
	s.smtp.WriteTimeout = idle
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are no news
	go func() {
		defer close(s.stopped)
		_ = s.smtp.Serve(netutil.LimitListener(l, maxClients)) // ends with Close
	}()
	return s, nil
}

// Addr is the host:port that the sink listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Letters are those that came so far, in order.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.letters)
}

// Wait returns the letters as soon as there are n of them or more, or with ctx's
// error those that came until then.
func (s *Server) Wait(ctx context.Context, n int) ([]Letter, error) {
	for {
		s.mu.Lock()
		got, more := slices.Clone(s.letters), s.more
		s.mu.Unlock()
		if len(got) >= n {
			return got, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return got, fmt.Errorf("wait for %d letters, have %d: %w", n, len(got), ctx.Err())
		}
	}
}

// Close ends every connection and returns when the sink no longer listens.
func (s *Server) Close() error {
	err := errors.Join(s.smtp.Close(), ignoreClosed(s.listener.Close()))
	<-s.stopped
	if err != nil {
		return fmt.Errorf("close mail sink: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

var errFull = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "the sink is full"}

func (s *Server) take(l Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.letters) >= MaxLetters || s.bytes+len(l.Data) > maxKept {
		return errFull
	}
	if s.each != nil {
		if err := s.each(l); err != nil {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
		}
	}
	s.letters = append(s.letters, l)
	s.bytes += len(l.Data)
	close(s.more)
	s.more = make(chan struct{})
	return nil
}
