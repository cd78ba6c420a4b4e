package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// maxID is how many bytes of JSON an id may have. It comes back in the answer,
// where it must leave room for the rest.
const maxID = 256

// A request is what the core asks.
type request struct {
	id     json.RawMessage // nil: a notification, which has no answer
	method string
	params json.RawMessage // nil: none
}

// A badLine is why a line is no message, for its answer.
type badLine struct {
	id     json.RawMessage // nil: none that can be used
	code   int64
	reason string
}

// sortLine returns the request or the answer that a line is, or what is wrong with
// it (JSON-RPC 2.0 sections 4, 5 and 5.1). An answer is returned as jsonrpc2 is to
// read it. All three are nil for an answer that belongs to no call: it is dropped,
// because two peers that answered answers would not stop.
func sortLine(line []byte) (*request, []byte, *badLine) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, nil, &badLine{code: jsonrpc2.CodeParseError, reason: "not JSON: " + err.Error()}
		}
	}
	bad := &badLine{code: jsonrpc2.CodeInvalidRequest}
	if members == nil {
		bad.reason = "not a JSON object; batches are not served"
		return nil, nil, bad
	}
	id, hasID := members["id"]
	method, hasMethod := members["method"]
	result, hasResult := members["result"]
	e, hasError := members["error"]
	if hasID && usableID(id) {
		bad.id = id
	}
	if !hasMethod && (hasResult || hasError) {
		return nil, sortAnswer(bad.id, result, e), nil
	}
	req := request{id: id, params: members["params"]}
	switch {
	case hasID && bad.id == nil:
		bad.reason = `"id" is not a short string or a whole number from 0`
	case !hasMethod:
		bad.reason = `"method" is missing`
	case hasResult || hasError:
		bad.reason = `"method" beside "result" or "error"`
	case method[0] != '"' || json.Unmarshal(method, &req.method) != nil:
		bad.reason = `"method" is not a string`
	case string(members["jsonrpc"]) != `"2.0"`:
		bad.reason = `"jsonrpc" is not "2.0"`
	default:
		return &req, nil, nil
	}
	return nil, nil, bad
}

// sortAnswer returns an answer as one that jsonrpc2 can read: an answer that makes
// no sense as an error, so that the call that waits for it ends, and none without
// an id, which jsonrpc2 would take for the answer to its own first call.
func sortAnswer(id, result, e json.RawMessage) []byte {
	if id == nil {
		return nil
	}
	member, value := `,"result":`, result
	var decoded *jsonrpc2.Error
	switch {
	case e != nil && json.Unmarshal(e, &decoded) != nil, decoded == nil && result == nil:
		member, value = `,"error":`, json.RawMessage(`{"code":-32603,"message":"an answer that is not JSON-RPC 2.0"}`)
	case decoded != nil:
		member, value = `,"error":`, e
	}
	return slices.Concat([]byte(`{"id":`), id, []byte(member), value, []byte(`}`))
}

// usableID says whether an id can be told from others, and given back.
func usableID(raw json.RawMessage) bool {
	if len(raw) > maxID {
		return false
	}
	if raw[0] == '"' {
		return true
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return err == nil && n >= 0 && raw[0] != '-'
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encodeAnswer returns the line that answers the request of that id (nil: null)
// with e, or with result where e is nil. Its error is errTooLongSent for a line
// beyond wire.MaxMessage, or says what is wrong with result.
func encodeAnswer(id json.RawMessage, result any, e *jsonrpc2.Error) ([]byte, error) {
	if id == nil {
		id = json.RawMessage("null")
	}
	member, value := `,"result":`, result
	if e != nil {
		member, value = `,"error":`, e
	}

	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	b.WriteString(`{"jsonrpc":"2.0","id":`)
	b.Write(id)
	b.WriteString(member)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - 1) // the encoder's line feed
	b.WriteString("}\n")
	if b.Len() > wire.MaxMessage {
		return nil, errTooLongSent
	}
	line := bytes.Clone(b.Bytes())
	if b.Cap() <= 4*lineBuffer {
		buffers.Put(b)
	}
	return line, nil
}
