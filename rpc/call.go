package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

const maxRequestID = 128 // bytes

// begin starts a module.call beside the reader. While the server closes, calls
// are left without an answer: the connection ends, and the core repeats them.
func (c *conn) begin(req *request) {
	if req.id == nil {
		c.log.Warn().Msg("module.call without an id is not served")
		return
	}
	start := c.srv.cfg.Now()
	call, err := decodeCall(req.params)
	if err != nil {
		c.refuse(req, jsonrpc2.CodeInvalidParams, err.Error())
		return
	}
	if !c.srv.begin() {
		return
	}
	c.srv.touch()
	if c.calls.Add(1) > wire.MaxCalls {
		c.calls.Add(-1)
		c.finish(req, call, start, nil, ErrBusy)
		c.srv.end()
		return
	}
	ctx, cancel := context.WithCancelCause(withConn(c.srv.base, c))
	place := c.srv.turns.join(call.Session.RequestID, cancel) // here: module.cancel may be the next line
	c.begun.Go(func() {
		defer c.srv.end()
		defer c.srv.touch()
		result, err := c.run(ctx, place, call)
		place.leave()
		cancel(nil)
		c.calls.Add(-1) // before the answer: the core may send the next call on it
		c.finish(req, call, start, result, err)
	})
}

// run runs one call when its turn has come and the core has agreed to the registration.
func (c *conn) run(ctx context.Context, place *ticket, call wire.Call) (result any, err error) {
	ctx, end := context.WithTimeoutCause(ctx, c.srv.cfg.CallLimit, ErrTimeLimit)
	defer end()
	select {
	case <-c.open:
		result, err = place.run(ctx, func() (any, error) {
			return guard(func() (any, error) { return c.srv.cfg.Call(ctx, call) })
		})
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.rpc.DisconnectNotify(): // the core refused to be served
		err = ErrUnavailable
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return result, err
}

// decodeCall returns what the core asks for. Its error is for the core to read.
func decodeCall(params json.RawMessage) (wire.Call, error) {
	var c wire.Call
	if params == nil {
		return c, errors.New("params are missing")
	}
	if err := json.Unmarshal(params, &c); err != nil {
		return c, fmt.Errorf("params are not {func, params, session} of strings: %w", err)
	}
	if bytes.Contains(params, []byte("null")) { // which json takes for an empty string
		var strict struct{ Params map[string]*string }
		if err := json.Unmarshal(params, &strict); err != nil {
			return c, err
		}
		for name, v := range strict.Params {
			if v == nil {
				return c, fmt.Errorf("params.params.%s is null, not a string", name)
			}
		}
	}
	if c.Func == "" {
		return c, errors.New("params.func is missing")
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	if len(c.Session.RequestID) > maxRequestID {
		return c, fmt.Errorf("session.request_id has more than %d bytes", maxRequestID)
	}
	if c.Session.RequestID == "" {
		c.Session.RequestID = "auto-" + rand.Text()
	}
	return c, nil
}

// finish answers a call and writes its line in the log.
func (c *conn) finish(req *request, call wire.Call, start time.Time, result any, err error) {
	var line []byte
	if err == nil {
		line, err = encodeAnswer(req.id, result, nil)
	}
	entry := c.log.Info()
	if err == nil {
		entry = entry.Str("result", kindOf(result))
	} else {
		w, fault := c.wireError(err, call.Session)
		if fault {
			entry = c.log.Error()
		}
		entry = entry.Str("error", typeOf(w))
		if fault || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeLimit) {
			entry = entry.AnErr("cause", err)
		}
		if p, ok := errors.AsType[*panicError](err); ok {
			entry = entry.Bytes("stack", p.stack)
		}
		line, err = encodeAnswer(req.id, nil, w)
	}
	if err == nil {
		err = c.stream.write(line)
	}
	if err != nil {
		entry = entry.AnErr("not_answered", err)
	}
	entry.Str("func", call.Func).
		Str("user", call.Session.User).
		Str("user_level", call.Session.Level).
		Str("su_by", call.Session.SuBy).
		Str("request_id", call.Session.RequestID).
		Str("remote_ip", call.Session.RemoteIP).
		Dur("duration", c.srv.cfg.Now().Sub(start)).
		Msg("call")
}

// wireError returns err as the core is to see it. A fault names the request, so
// that its cause can be found in the log.
func (c *conn) wireError(err error, by wire.Session) (w *jsonrpc2.Error, fault bool) {
	_, perr := guard(func() (any, error) {
		w, fault = c.srv.cfg.WireError(err, by.Lang)
		return nil, nil
	})
	if perr != nil || w == nil {
		w, fault = &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"}, true
	}
	if !fault || by.RequestID == "" {
		return w, fault
	}
	named := *w
	named.Message += " [" + by.RequestID + "]"
	if d, ok := dataOf(w); ok {
		d.Msg += " [" + by.RequestID + "]"
		named.SetError(d)
	}
	return &named, fault
}

func dataOf(w *jsonrpc2.Error) (d wire.ErrorData, ok bool) {
	if w.Data == nil {
		return d, false
	}
	return d, json.Unmarshal(*w.Data, &d) == nil
}

// typeOf returns the error's type for the log.
func typeOf(w *jsonrpc2.Error) string {
	if d, ok := dataOf(w); ok && d.Type != "" {
		return d.Type
	}
	return strconv.FormatInt(w.Code, 10)
}

// kindOf returns the kind of a result for the log.
func kindOf(result any) string {
	switch r := result.(type) {
	case wire.List:
		return r.Kind
	case *wire.List:
		return r.Kind
	case wire.Form:
		return r.Kind
	case *wire.Form:
		return r.Kind
	case wire.OK:
		return r.Kind
	case *wire.OK:
		return r.Kind
	}
	return fmt.Sprintf("%T", result)
}

// A panicError is a panic in a call.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard runs f and returns its panic as an error.
func guard(f func() (any, error)) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return f()
}
