package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"maildomain/rpc/wire"
)

const (
	maxAttempts = 3                      // of one call, when connections break before its answer
	maxDials    = 3                      // of one connection attempt, when the module hangs up before it registers
	repeatPause = 100 * time.Millisecond // before the second attempt; three times as long before the third
)

// A module is a program that does what the core's callers ask for. It may end
// when nobody calls it; what it registered is kept.
type module struct {
	name    string
	socket  string
	core    *Core
	log     zerolog.Logger
	program *program // nil: somebody else owns the socket and starts it

	mu      sync.Mutex
	current *conn
	attempt *attempt      // the dialling that is going on; nil for none
	known   wire.Register // the last registration; no functions: none yet
	closing bool          // no dialling begins any more
	zones   bool          // there were others while it was not connected
}

// An attempt is one dialling that several callers can wait for.
type attempt struct {
	done chan struct{}
	conn *conn
	err  error
}

func newModule(c *Core, d dropIn) (*module, error) {
	m := &module{name: d.Name, socket: d.Socket, core: c, log: c.log.With().Str("module", d.Name).Logger()}
	if len(d.Exec) > 0 {
		var err error
		if m.program, err = newProgram(d, &c.opt); err != nil {
			return nil, fmt.Errorf("module %s: %w", d.Name, err)
		}
	}
	return m, nil
}

// registered says whether the module's functions are known.
func (m *module) registered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known.Functions) > 0
}

// registeredName is what the module calls itself; empty before its registration.
func (m *module) registeredName() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known.Module
}

// call runs one call on the module. When the connection breaks before the answer,
// the call is repeated with the same request id after dialling again: the module
// answers a change that it has made with its first answer.
func (m *module) call(ctx context.Context, call wire.Call, result *wire.Result) error {
	limited, cancel := context.WithTimeout(ctx, m.core.opt.CallLimit)
	defer cancel()
	sent := false
	for n := 1; ; n++ {
		c, err := m.connection(limited)
		if err != nil {
			m.log.Warn().Err(err).Str("request_id", call.Session.RequestID).Msg("module not reached")
			return lost(sent)
		}
		err = c.call(limited, call, result)
		broken, ok := errors.AsType[*brokenError](err)
		if !ok {
			return err
		}
		sent = sent || broken.sent
		m.log.Warn().Int("attempt", n).Bool("sent", sent).Str("request_id", call.Session.RequestID).Msg("connection broke before the answer")
		if n == maxAttempts {
			return lost(sent)
		}
		if n > 1 || !sent {
			pause(limited, repeatPause*time.Duration(2*n-1))
		}
	}
}

// lost is the error for a module that is not there. After the call was sent it may
// have been done, and the caller is told so.
func lost(sent bool) *Error {
	if sent {
		return fail(typeUnavailable, "func", "answer")
	}
	return fail(typeUnavailable, "func", "module")
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// connection returns the connection to the module, dialling and starting the
// program when there is none. It returns when the module has registered.
func (m *module) connection(ctx context.Context) (*conn, error) {
	m.mu.Lock()
	if m.current != nil && !m.current.isClosed() {
		defer m.mu.Unlock()
		return m.current, nil
	}
	a := m.dialling()
	m.mu.Unlock()
	if a == nil {
		return nil, errStopping
	}
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for module %s: %w", m.name, ctx.Err())
	}
}

// dialling returns the attempt that is going on, or begins one; nil when the core
// stops. m.mu is held.
func (m *module) dialling() *attempt {
	if m.attempt == nil && !m.closing {
		a := &attempt{done: make(chan struct{})}
		m.attempt = a
		m.core.dials.Go(func() { m.connect(a) })
	}
	return m.attempt
}

// connect runs the attempt a. It lives as long as the core, not as long as the
// caller that began it: others wait for it too.
func (m *module) connect(a *attempt) {
	ctx, cancel := context.WithTimeout(m.core.running, m.core.opt.ConnectLimit)
	defer cancel()
	c, err := m.dial(ctx)
	m.mu.Lock()
	a.conn, a.err = c, err
	m.attempt = nil
	// The same process may have been connected before, and missed a change.
	missed := []string{"users", "params", "certificates"}
	if err == nil {
		m.current = c
		if m.zones {
			missed = append(missed, "zones")
		}
		m.zones = false
	}
	m.mu.Unlock()
	if err == nil {
		m.tell(missed...)
	}
	close(a.done)
}

// dial returns a connection on which the module has registered.
func (m *module) dial(ctx context.Context) (*conn, error) {
	var c *conn
	for dials := 0; ; {
		var exited <-chan struct{} // nil blocks for ever
		if m.program != nil {
			var err error
			if exited, err = m.program.ensure(); err != nil {
				c.close()
				return nil, err
			}
		}
		if c == nil || c.isClosed() {
			if dials++; dials > maxDials {
				return nil, fmt.Errorf("module %s hangs up before it registers", m.name)
			}
			nc, err := (&net.Dialer{}).DialContext(ctx, "unix", m.socket)
			if err != nil {
				return nil, fmt.Errorf("dial module %s: %w", m.name, err)
			}
			c = newConn(m, nc)
		}
		select {
		case <-c.ready:
			if m.program != nil {
				m.program.hasGreeted()
			}
			return c, nil
		case <-c.closed():
		case <-exited: // the next run finds the connection waiting in the socket
		case <-ctx.Done():
			c.close()
			return nil, fmt.Errorf("module %s has not registered: %w", m.name, ctx.Err())
		}
	}
}

// accept takes the registration that came on c.
func (m *module) accept(r wire.Register) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Digest != "" && r.Digest == m.known.Digest && r.Protocol == m.known.Protocol {
		m.known.Module, m.known.Version = r.Module, r.Version
		return nil
	}
	if err := m.core.accept(m, r); err != nil {
		return err
	}
	r.Metadata = "" // the registry has it
	m.known = r
	m.log.Info().Str("version", r.Version).Int("functions", len(r.Functions)).Msg("module registered")
	return nil
}

// invalidate tells the modules that what they cached from the core is old. What:
// users, params.
func (c *Core) invalidate(what string) {
	for _, m := range c.modules {
		m.tell(what)
	}
}

// wake tells the modules as invalidate does, and starts those that are not
// connected: what is old is not only remembered, but served.
func (c *Core) wake(what string) {
	for _, m := range c.modules {
		m.mu.Lock()
		connected := m.current != nil && !m.current.isClosed()
		if !connected {
			m.zones = m.zones || what == "zones"
			m.dialling() // it is told at the connection
		}
		m.mu.Unlock()
		if connected {
			m.tell(what)
		}
	}
}

// tell sends the module what is old. A module that is not connected is told when
// it is (see connect).
func (m *module) tell(whats ...string) {
	m.mu.Lock()
	c := m.current
	m.mu.Unlock()
	if c == nil || c.isClosed() {
		return
	}
	for _, what := range whats {
		if err := c.rpc.Notify(context.Background(), wire.ModuleInvalidate, wire.Invalidate{What: what}); err != nil {
			m.log.Warn().Err(err).Str("what", what).Msg("module not told that its cache is old")
		}
	}
}

// row is what the list of modules shows.
func (m *module) row() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]string{
		"name": m.name, "module": m.known.Module, "version": m.known.Version,
		"functions": strconv.Itoa(len(m.known.Functions)),
		"connected": onOff(m.current != nil && !m.current.isClosed()),
	}
}

// retire ends the diallings to come; those that are going on end with the core.
func (m *module) retire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = true
}

// close ends the connection and the program.
func (m *module) close() {
	m.mu.Lock()
	c := m.current
	m.mu.Unlock()
	c.close()
	if m.program != nil {
		m.program.stop()
	}
}
