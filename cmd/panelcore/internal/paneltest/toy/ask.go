package main

import (
	"context"
	"encoding/json"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// ask calls the core's method "method" with "params" and shows its answer.
func ask(ctx context.Context, _ *session, rpc *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	var result json.RawMessage
	values := map[string]string{}
	if err := rpc.Call(ctx, c.Params["method"], json.RawMessage(c.Params["params"]), &result); err != nil {
		values["error"] = err.Error()
	}
	values["result"] = string(result)
	return wire.Form{Kind: wire.KindForm, Values: values}, nil
}
