package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// A handler serves what the module asks the core on one connection.
type handler struct {
	conn     *conn
	assigned <-chan struct{} // closed when conn is complete
}

// Handle runs on the goroutine that reads the connection, so it only hands on: the
// module may ask while it is in the middle of a call of ours.
func (h handler) Handle(ctx context.Context, rpc *jsonrpc2.Conn, req *jsonrpc2.Request) {
	<-h.assigned
	c := h.conn
	if req.Method == wire.CoreWake { // the last instant holds, so they are kept in their order
		c.module.core.waking.Lock()
		defer c.module.core.waking.Unlock()
		c.serve(ctx, req)
		return
	}
	select {
	case c.callbacks <- struct{}{}:
		go func() {
			defer func() { <-c.callbacks }()
			c.serve(ctx, req)
		}()
	default:
		if !req.Notif {
			go c.reply(ctx, req, nil, &jsonrpc2.Error{Code: codeBusy, Message: "too many calls at once"})
		}
	}
}

// Codes of errors in the module's numbering (rpc/README.md).
const (
	codeMissed = -32002
	codeBusy   = -32007
)

// serve answers one request of the module.
func (c *conn) serve(ctx context.Context, req *jsonrpc2.Request) {
	defer func() {
		if r := recover(); r != nil {
			c.module.log.Error().Any("panic", r).Str("method", req.Method).Msg("callback panicked")
			c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"})
		}
	}()
	switch req.Method {
	case wire.CoreRegister:
		c.register(ctx, req)
	case wire.CoreUsers:
		var q wire.UsersQuery
		if err := params(req, &q); err != nil {
			c.reply(ctx, req, nil, invalidParams(err))
			return
		}
		c.reply(ctx, req, c.module.core.users.query(q), nil)
	case wire.CoreParams:
		c.reply(ctx, req, c.module.core.params.forModules(), nil)
	case wire.CoreDNS:
		c.handOver(ctx, req)
	case wire.CoreHTTP01:
		c.challenge(ctx, req)
	case wire.CoreCertificate:
		c.certificate(ctx, req)
	case wire.CoreCertificates:
		c.certificates(ctx, req)
	case wire.CoreWake:
		c.wake(ctx, req)
	case wire.CoreProgress:
		var w wire.Progress
		if err := params(req, &w); err != nil {
			c.reply(ctx, req, nil, invalidParams(err))
			return
		}
		c.module.core.progress.report(c.module, w)
		c.reply(ctx, req, struct{}{}, nil)
	case wire.CoreChanged:
		// Nobody here shows it; pages ask for the list again.
		c.reply(ctx, req, struct{}{}, nil)
	default:
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: fmt.Sprintf("method %.100q not found", req.Method)})
	}
}

func params(req *jsonrpc2.Request, v any) error {
	if req.Params == nil {
		return nil
	}
	return json.Unmarshal(*req.Params, v)
}

func invalidParams(err error) *jsonrpc2.Error {
	return &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()}
}

// register takes the module's registration. A module that the core cannot use is
// told why and left.
func (c *conn) register(ctx context.Context, req *jsonrpc2.Request) {
	var r wire.Register
	err := params(req, &r)
	if err == nil {
		err = c.module.accept(r)
	}
	if err != nil {
		c.module.log.Error().Err(err).Msg("registration refused")
		c.reply(ctx, req, nil, invalidParams(err))
		c.close()
		return
	}
	c.reply(ctx, req, wire.Registered{Protocol: wire.Protocol, Core: wire.Core{Name: "panelcore", Version: c.module.core.opt.Version}}, nil)
	if c.greeted.CompareAndSwap(false, true) {
		close(c.ready)
	}
}

// reply answers a request; a notification is not answered. An answer that does not
// fit into a message becomes an error that does.
func (c *conn) reply(ctx context.Context, req *jsonrpc2.Request, result any, failure *jsonrpc2.Error) {
	if req.Notif {
		return
	}
	resp := &jsonrpc2.Response{ID: req.ID, Error: failure}
	if failure == nil {
		if err := resp.SetResult(result); err != nil {
			c.module.log.Error().Err(err).Str("method", req.Method).Msg("answer not written")
			resp.Error = &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"}
		}
	}
	err := c.rpc.SendResponse(ctx, resp)
	if errors.Is(err, errTooLong) {
		err = c.rpc.ReplyWithError(ctx, req.ID, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "the answer is too long"})
	}
	if err != nil && !errors.Is(err, jsonrpc2.ErrClosed) {
		c.module.log.Warn().Err(err).Str("method", req.Method).Msg("module not answered")
	}
}
