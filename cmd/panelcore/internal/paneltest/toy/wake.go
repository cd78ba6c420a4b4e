package main

import (
	"context"
	"encoding/json"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// wake tells the core what the parameter says.
func wake(ctx context.Context, _ *session, rpc *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	if err := rpc.Notify(ctx, wire.CoreWake, json.RawMessage(c.Params["wake"])); err != nil {
		return nil, &wire.ErrorData{Type: "internal", Object: "wake", Msg: err.Error()}
	}
	return ok(""), nil
}
