package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// Config is what a Server needs from outside. Call, WireError and Health are
// required; a zero value of the others takes the default that stands there.
type Config struct {
	// Call runs one function of the table; its result is one of wire's.
	// c.Session.RequestID is never empty: a call that came without one is given
	// one that starts with "auto-". The context carries the connection for Core.
	// It does not end because the caller hangs up, but at CallLimit or when the
	// core cancels the call; its cause is then ErrTimeLimit or ErrCancelled.
	Call func(ctx context.Context, c wire.Call) (any, error)

	// WireError returns err as the panel is to see it, in the language lang, and
	// whether it is a fault of ours, whose details are for the log only.
	WireError func(err error, lang string) (w *jsonrpc2.Error, fault bool)

	Health   func(ctx context.Context) wire.Health
	Register wire.Register // what the module tells the core about itself
	Core     *Core         // who asks the core on our connections; nil: nobody
	Working  func() bool   // work of its own is under way: no idle exit; nil: never

	// Leave is called when no call will begin any more and the core can still be told
	// something; nil: nothing is to be told.
	Leave func(ctx context.Context)

	AllowUIDs []uint32 // who may connect, besides root and our own user

	Idle         time.Duration // without a call, before Serve returns; 0: never
	CallLimit    time.Duration // for one call; a minute
	RegisterWait time.Duration // how long calls wait for the core's answer to core.register; 2 s
	WriteLimit   time.Duration // for one message to be taken by the peer; 10 s
	DrainLimit   time.Duration // for the running calls to end, after ctx; 30 s

	Log   zerolog.Logger
	Now   func() time.Time                     // time.Now
	After func(time.Duration) <-chan time.Time // time.After
}

// Errors that a call can end with before or beside what the module says. They
// reach Config.WireError.
var (
	ErrBusy        = errors.New("too many calls at once on this connection")
	ErrCancelled   = errors.New("cancelled by the core")
	ErrTimeLimit   = errors.New("the call took longer than it may")
	ErrUnavailable = errors.New("the panel core does not answer")
)

// A Server answers the panel core on a listening socket.
type Server struct {
	cfg   Config
	turns turns
	base  context.Context // of every call; ends with Serve

	mu      sync.Mutex
	conns   map[*conn]bool
	gone    sync.WaitGroup // connections
	active  int            // calls begun and not ended
	last    time.Time      // when one last began or ended, or a connection came
	closing bool           // no call begins any more
	quiet   chan struct{}  // closed when closing and none is active
}

// NewServer returns a server for one Serve.
func NewServer(cfg Config) *Server {
	if cfg.Core == nil {
		cfg.Core = NewCore(0, nil)
	}
	if cfg.Working == nil {
		cfg.Working = func() bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	for _, d := range []struct {
		of       *time.Duration
		fallback time.Duration
	}{
		{&cfg.CallLimit, time.Minute},
		{&cfg.RegisterWait, 2 * time.Second},
		{&cfg.WriteLimit, 10 * time.Second},
		{&cfg.DrainLimit, 30 * time.Second},
	} {
		if *d.of <= 0 {
			*d.of = d.fallback
		}
	}
	return &Server{cfg: cfg, conns: map[*conn]bool{}, quiet: make(chan struct{})}
}

// A listener whose Accept can be made to return without taking a connection.
type listener interface {
	net.Listener
	SetDeadline(time.Time) error
}

var past = time.Unix(1, 0)

// Serve answers on ln until ctx ends or nothing has happened for Config.Idle.
// It leaves ln open: connections that wait there are for the next process that
// holds the socket.
//
// When ctx ends it begins no more calls, lets those that run end and be answered,
// and closes the connections. Calls that were not begun get no answer; the core
// repeats them. The error is nil after either end, unless running calls had to be
// left.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	l, ok := ln.(listener)
	if !ok {
		return fmt.Errorf("serve %s: a listener without deadlines", ln.Addr().Network())
	}
	if err := l.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	var abandon context.CancelFunc
	s.base, abandon = context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	s.touch()

	defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(past) })()
	rearm, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	if s.cfg.Idle > 0 {
		go s.watchIdle(l, rearm, done)
	}

	err := s.accept(ctx, l, rearm)
	return errors.Join(err, s.drain(abandon))
}

// accept takes connections until there is a reason to stop.
func (s *Server) accept(ctx context.Context, l listener, rearm chan<- struct{}) error {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.serveConn(nc)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.retire() {
				return nil
			}
			_ = l.SetDeadline(time.Time{})
			if ctx.Err() != nil { // its deadline may be the one just taken away
				return nil
			}
			rearm <- struct{}{}
		case shortage(err):
			s.cfg.Log.Error().Err(err).Msg("connection not accepted")
			select {
			case <-s.cfg.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// shortage says that accepting may work again later.
func shortage(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED},
		func(e error) bool { return errors.Is(err, e) })
}

// leaveLimit is for Config.Leave.
const leaveLimit = 5 * time.Second

// drain lets the running calls end and closes the connections.
func (s *Server) drain(abandon context.CancelFunc) error {
	s.mu.Lock()
	s.close()
	running := s.active
	s.mu.Unlock()
	var err error
	if running > 0 {
		select {
		case <-s.quiet:
		case <-s.cfg.After(s.cfg.DrainLimit):
			s.mu.Lock()
			err = fmt.Errorf("stop: %d calls still ran after %s", s.active, s.cfg.DrainLimit)
			s.mu.Unlock()
			abandon()
		}
	}
	if s.cfg.Leave != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), leaveLimit)
		s.cfg.Leave(ctx)
		cancel()
	}
	s.mu.Lock()
	for c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
	s.gone.Wait()
	return err
}

// close is for the holder of mu.
func (s *Server) close() {
	if s.closing {
		return
	}
	s.closing = true
	if s.active == 0 {
		close(s.quiet)
	}
}

// begin notes that a call begins, or says that none may.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.active++
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.closing && s.active == 0 {
		close(s.quiet)
	}
}

// touch puts off the idle end.
func (s *Server) touch() {
	s.mu.Lock()
	s.last = s.cfg.Now()
	s.mu.Unlock()
}
