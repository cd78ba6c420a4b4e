package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// A conn is one connection to a module. Calls go both ways on it at once.
type conn struct {
	module *module
	rpc    *jsonrpc2.Conn
	slots  chan struct{} // one for each call in flight
	ready  chan struct{} // closed when the module has registered

	greeted   atomic.Bool
	callbacks chan struct{} // one for each call of the module in flight
	abandoned atomic.Int32  // calls that nobody waits for any more, but the module has not answered
}

// A brokenError says that the connection ended before the answer came.
type brokenError struct{ sent bool } // the module may have read the call

func (e *brokenError) Error() string { return "connection broken" }

func newConn(m *module, nc net.Conn) *conn {
	c := &conn{
		module: m, slots: make(chan struct{}, wire.MaxCalls), ready: make(chan struct{}),
		callbacks: make(chan struct{}, wire.MaxCalls),
	}
	// c.rpc is set before the first message can be read: the handler waits for it.
	assigned := make(chan struct{})
	c.rpc = jsonrpc2.NewConn(context.Background(), newStream(nc), handler{c, assigned}, jsonrpc2.SetLogger(rpcLog{m.log}))
	close(assigned)
	return c
}

// rpcLog writes what jsonrpc2 has to say, such as why it hung up.
type rpcLog struct{ log zerolog.Logger }

func (l rpcLog) Printf(format string, v ...any) { l.log.Warn().Msg(fmt.Sprintf(format, v...)) }

// close ends the connection; calls in flight fail as broken.
func (c *conn) close() {
	if c != nil {
		c.rpc.Close()
	}
}

func (c *conn) closed() <-chan struct{} { return c.rpc.DisconnectNotify() }

func (c *conn) isClosed() bool {
	select {
	case <-c.closed():
		return true
	default:
		return false
	}
}

// call sends one call and reads its answer into result. Its error is a
// *brokenError, an *Error, or a fault.
func (c *conn) call(ctx context.Context, call wire.Call, result *wire.Result) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	waiter, err := c.rpc.DispatchCall(ctx, wire.ModuleCall, call)
	if err != nil {
		<-c.slots
		if errors.Is(err, errTooLong) {
			return badValue("request", "", "requestsize")
		}
		c.close()
		return &brokenError{sent: !errors.Is(err, jsonrpc2.ErrClosed)}
	}
	// A change that has begun runs to its end though the caller hangs up, so the
	// answer is waited for until the limit of the call.
	deadline, _ := ctx.Deadline() // module.call sets it
	patient, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	err = waiter.Wait(patient, result)
	if patient.Err() != nil && errors.Is(err, patient.Err()) {
		c.abandon(waiter, call)
		return fail(typeUnavailable, "func", "time")
	}
	<-c.slots
	if err == nil {
		return nil
	}
	if errors.Is(err, jsonrpc2.ErrClosed) {
		c.close() // calls are told before the connection says that it is closed; nobody is to get it again
		return &brokenError{sent: true}
	}
	if remote, ok := errors.AsType[*jsonrpc2.Error](err); ok {
		return moduleError(call.Func, remote)
	}
	return fmt.Errorf("read answer of %s: %w", call.Func, err)
}

// enter waits for one of the places of calls in flight.
func (c *conn) enter(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(c.module.core.opt.QueueLimit)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.closed():
		return &brokenError{}
	case <-timer.C:
	case <-ctx.Done():
	}
	return fail(typeBusy, "func", "busy")
}

// abandon asks the module to end a call that took too long. Its place stays taken
// until the module answers, because it counts there too; when all places are
// taken so, the connection is given up.
func (c *conn) abandon(waiter jsonrpc2.Waiter, call wire.Call) {
	if err := c.rpc.Notify(context.Background(), wire.ModuleCancel, wire.Cancel{RequestID: call.Session.RequestID}); err != nil {
		c.module.log.Warn().Err(err).Str("request_id", call.Session.RequestID).Msg("call not cancelled")
	}
	if c.abandoned.Add(1) == wire.MaxCalls {
		c.module.log.Error().Msg("module answers no call; hanging up")
		c.close()
	}
	go func() {
		// The connection's end ends this too.
		_ = waiter.Wait(context.Background(), nil)
		c.abandoned.Add(-1)
		<-c.slots
	}()
}

// moduleErrors are the types of error that a module answers a person with.
var moduleErrors = map[string]bool{
	typeValue: true, typeMissed: true, typeExists: true, typeAccess: true, "limit": true, typeAuth: true,
	typeBusy: true, "cancelled": true, typeUnavailable: true, typeInternal: true,
}

// moduleError returns a module's error as the panel shows it. What is not in the
// panel's form is a fault.
func moduleError(function string, remote *jsonrpc2.Error) error {
	var data wire.ErrorData
	if remote.Data != nil && json.Unmarshal(*remote.Data, &data) == nil && moduleErrors[data.Type] {
		return errorOf(&data)
	}
	return fmt.Errorf("answer of %s: code %d: %.200s", function, remote.Code, remote.Message)
}

func errorOf(d *wire.ErrorData) *Error {
	msg := d.Msg
	if msg == "" {
		msg = d.Type
	}
	return &Error{Type: d.Type, Object: d.Object, Value: cut(d.Value), msg: msg}
}
