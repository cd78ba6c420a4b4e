package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// A conn is one connection with the core.
type conn struct {
	srv    *Server
	nc     net.Conn
	stream *stream
	log    zerolog.Logger

	ready chan struct{} // closed once rpc is set
	rpc   *jsonrpc2.Conn

	open  chan struct{}   // closed when calls may begin: the core has answered core.register, or will not
	alive context.Context // ends when nothing more will be read, so that no answer can come
	mute  context.CancelFunc

	begun   sync.WaitGroup // calls; added to by the reader only
	calls   atomic.Int32   // that run or wait their turn
	healths atomic.Int32
	ignored atomic.Int32 // questions of ours in a row that the core left without an answer
}

const maxHealths = 4 // at once on one connection

// serveConn takes a connection on if its peer may have one.
func (s *Server) serveConn(nc net.Conn) {
	peer, err := peerOf(nc)
	if err != nil {
		s.cfg.Log.Error().Err(err).Msg("connection refused")
		_ = nc.Close()
		return
	}
	log := s.cfg.Log.With().Uint32("peer_uid", peer.Uid).Int32("peer_pid", peer.Pid).Logger()
	if peer.Uid != 0 && peer.Uid != uint32(os.Geteuid()) && !slices.Contains(s.cfg.AllowUIDs, peer.Uid) {
		log.Warn().Msg("connection refused: not the panel core's user")
		_ = nc.Close()
		return
	}

	c := &conn{srv: s, nc: nc, log: log, ready: make(chan struct{}), open: make(chan struct{})}
	c.alive, c.mute = context.WithCancel(s.base)
	c.stream = newStream(nc, log, s.cfg.WriteLimit)
	c.stream.request, c.stream.ended = c.handle, c.ended
	s.mu.Lock()
	s.conns[c] = true
	s.last = s.cfg.Now()
	s.mu.Unlock()

	c.rpc = jsonrpc2.NewConn(context.Background(), c.stream, nil, jsonrpc2.SetLogger(debugLog{log}))
	s.cfg.Core.join(c)
	close(c.ready)
	go c.register()
	s.gone.Go(func() {
		<-c.rpc.DisconnectNotify()
		c.mute()
		s.cfg.Core.leave(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// ended is called by the reader when nothing more will be read. A peer that has
// only closed its writing side (as socat does at the end of its input) still gets
// its answers; what we asked it will stay without one.
func (c *conn) ended(err error) {
	c.mute()
	if errors.Is(err, io.EOF) {
		c.begun.Wait()
	}
}

// quiet says that there is nothing of the peer's that has not been dealt with.
func (c *conn) quiet() bool {
	return c.stream.between.Load() && unread(c.nc) == 0
}

// close ends the connection. Nothing is written on it from then on.
func (c *conn) close() {
	_ = c.stream.Close() // first: jsonrpc2 tells of the end before it brings it about
	_ = c.rpc.Close()
}

// register makes the module known to the core and lets calls begin when the core
// has agreed. A core that refuses is left; one that says nothing, such as a person
// with socat, has its calls answered after Config.RegisterWait.
func (c *conn) register() {
	opened := sync.OnceFunc(func() { close(c.open) })
	wait, cancel := context.WithTimeout(c.alive, c.srv.cfg.RegisterWait)
	defer cancel()

	var to wire.Registered
	answer, err := c.rpc.DispatchCall(wait, wire.CoreRegister, c.srv.cfg.Register)
	if err == nil {
		err = answer.Wait(wait, &to)
		if c.alive.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			c.log.Warn().Dur("after", c.srv.cfg.RegisterWait).Msg("core.register has no answer; calls are served without")
			opened()
			err = answer.Wait(c.alive, &to)
		}
	}
	switch {
	case c.alive.Err() != nil: // the peer has said all it will say, a call perhaps
		opened()
		return
	case errors.Is(err, jsonrpc2.ErrClosed):
		return
	case err == nil && to.Protocol != wire.Protocol:
		err = fmt.Errorf("the core speaks protocol %d, the module %d", to.Protocol, wire.Protocol)
	}
	if err != nil {
		c.log.Error().Err(err).Msg("not registered; connection closed")
		c.close()
		return
	}
	c.log.Info().Str("core", to.Core.Name).Str("core_version", to.Core.Version).Msg("registered")
	c.srv.cfg.Core.registered(c)
	opened()
}

// handle begins what the core asks for. The next line is not read before it
// returns, so what may take time runs beside it: calls ask the core on this same
// connection.
func (c *conn) handle(req *request) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("connection closed")
			c.close()
		}
	}()
	<-c.ready
	switch req.method {
	case wire.ModuleCall:
		c.begin(req)
	case wire.ModuleHealth:
		c.beginHealth(req)
	case wire.ModuleCancel:
		var p wire.Cancel
		if c.params(req, &p) {
			c.srv.turns.cancel(p.RequestID, ErrCancelled)
			c.done(req)
		}
	case wire.ModuleInvalidate:
		var p wire.Invalidate
		if c.params(req, &p) {
			c.srv.cfg.Core.forget(p.What)
			c.done(req)
		}
	default:
		c.refuse(req, jsonrpc2.CodeMethodNotFound, "there is no method "+req.method)
	}
}

// beginHealth answers module.health, also before the core has answered
// core.register, and when it never does. It does not put off the idle end.
func (c *conn) beginHealth(req *request) {
	if req.id == nil || !c.srv.begin() {
		return
	}
	if c.healths.Add(1) > maxHealths {
		c.healths.Add(-1)
		c.srv.end()
		w, _ := c.wireError(ErrBusy, wire.Session{})
		c.answer(req, nil, w)
		return
	}
	c.begun.Go(func() {
		defer c.srv.end()
		ctx, cancel := context.WithTimeout(c.srv.base, c.srv.cfg.CallLimit)
		defer cancel()
		h, err := guard(func() (any, error) { return c.srv.cfg.Health(ctx), nil })
		var w *jsonrpc2.Error
		if err != nil {
			w, _ = c.wireError(err, wire.Session{})
			c.log.Error().Err(err).Msg(wire.ModuleHealth)
		}
		c.healths.Add(-1)
		c.answer(req, h, w)
	})
}

// params decodes what req brings, or refuses it.
func (c *conn) params(req *request, into any) bool {
	if req.params == nil {
		c.refuse(req, jsonrpc2.CodeInvalidParams, "params are missing")
		return false
	}
	if err := json.Unmarshal(req.params, into); err != nil {
		c.refuse(req, jsonrpc2.CodeInvalidParams, "params of the wrong type: "+err.Error())
		return false
	}
	return true
}

// done answers what the contract has as a notification and the peer sent as a request.
func (c *conn) done(req *request) { c.answer(req, struct{}{}, nil) }

func (c *conn) refuse(req *request, code int64, reason string) {
	c.log.Debug().Str("method", req.method).Str("reason", reason).Msg("refused")
	c.answer(req, nil, &jsonrpc2.Error{Code: code, Message: reason})
}

// answer sends an answer; nobody misses it if the peer has gone.
func (c *conn) answer(req *request, result any, w *jsonrpc2.Error) {
	if req.id == nil {
		return
	}
	line, err := encodeAnswer(req.id, result, w)
	if err == nil {
		err = c.stream.write(line)
	}
	if err != nil {
		c.log.Debug().Err(err).Str("method", req.method).Msg("not answered")
	}
}

// debugLog is where jsonrpc2 tells of what the peer did wrong.
type debugLog struct{ zerolog.Logger }

func (l debugLog) Printf(format string, v ...any) {
	l.Debug().Msg(strings.TrimSpace(fmt.Sprintf(format, v...)))
}
