package rpc

import (
	"context"
	"errors"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// codes of the kinds of error: one each, in the order of the contract.
var codes = map[mail.Kind]int64{
	mail.Invalid:     -32001,
	mail.NotFound:    -32002,
	mail.Exists:      -32003,
	mail.Access:      -32004,
	mail.Limit:       -32005,
	mail.Auth:        -32006,
	mail.Busy:        -32007,
	mail.Cancelled:   -32008,
	mail.Unavailable: -32009,
	internal:         -32010,
}

// internal is what a fault of ours is called outside.
const internal mail.Kind = "internal"

// longestValue is how much of an offending value goes back, in bytes.
const longestValue = 200

// WireError returns err as the panel is to see it, and whether its details are
// for the log: a fault of ours, or something behind an error that is not the
// caller's business.
func WireError(err error, lang string) (_ *jsonrpc2.Error, fault bool) {
	data, kind, fault := describe(err, lang)
	w := &jsonrpc2.Error{Code: codes[kind], Message: data.Msg}
	w.SetError(data)
	return w, fault
}

// describe returns err in the panel's error form.
func describe(err error, lang string) (_ *wire.ErrorData, _ mail.Kind, fault bool) {
	e, ok := errors.AsType[*mail.Error](err)
	if !ok {
		e, ok = outside(err)
	}
	if !ok {
		e, fault = &mail.Error{Kind: internal}, true
	}
	value := cut(e.Value, longestValue)
	return &wire.ErrorData{
		Type: string(e.Kind), Object: e.Field, Value: value,
		Msg: sentence(lang, e, value),
	}, e.Kind, fault || e.Cause != nil
}

// outside are the errors of calls that did not end by themselves.
func outside(err error) (*mail.Error, bool) {
	for _, o := range []struct {
		is   error
		kind mail.Kind
		text string
	}{
		{ErrBusy, mail.Busy, ""},
		{ErrCancelled, mail.Cancelled, ""},
		{context.Canceled, mail.Cancelled, ""},
		{ErrTimeLimit, mail.Unavailable, "unavailable_time"},
		{context.DeadlineExceeded, mail.Unavailable, "unavailable_time"},
		{ErrUnavailable, mail.Unavailable, "unavailable_core"},
	} {
		if errors.Is(err, o.is) {
			return &mail.Error{Kind: o.kind, Field: "module", Text: o.text}, true
		}
	}
	return nil, false
}

// cut shortens s to n bytes at most, between runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
