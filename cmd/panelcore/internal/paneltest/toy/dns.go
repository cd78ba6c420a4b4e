package main

import (
	"context"
	"encoding/json"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// handOver hands records over as the parameter says, and shows the core's answer.
func handOver(ctx context.Context, _ *session, rpc *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	var outcomes json.RawMessage
	values := map[string]string{}
	if err := rpc.Call(ctx, wire.CoreDNS, json.RawMessage(c.Params["dns"]), &outcomes); err != nil {
		values["error"] = err.Error()
	}
	values["outcomes"] = string(outcomes)
	return wire.Form{Kind: wire.KindForm, Values: values}, nil
}
