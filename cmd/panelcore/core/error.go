package core

import (
	"fmt"

	"maildomain/rpc/wire"
)

// Types of error that the core answers itself; a module has the rest of the
// family (see rpc/wire).
const (
	typeValue       = "value"       // a parameter has a wrong value
	typeMissed      = "missed"      // no such object, or none that this session may know of
	typeExists      = "exists"      // the name is taken
	typeAccess      = "access"      // the session may not do that
	typeAuth        = "auth"        // who calls is not known
	typeBusy        = "busy"        // try again later
	typeUnavailable = "unavailable" // the module is not there
	typeInternal    = "internal"    // a fault of ours or of the module
)

// An Error is what a person can act on, in the panel's form: type(object): message.
type Error struct {
	Type   string
	Object string // a parameter, or what the error is about; may be empty
	Value  string // the offending value, cut to 200 bytes

	text string // key into texts
	args []any
	msg  string // the text itself, where a module made it
}

func (e *Error) Error() string {
	if e.Object == "" {
		return e.Type + ": " + e.Text("en")
	}
	return e.Type + "(" + e.Object + "): " + e.Text("en")
}

// Text returns the sentence in lang, en for a language that the core has not.
func (e *Error) Text(lang string) string {
	if e.msg != "" {
		return e.msg
	}
	t, ok := texts[lang]
	if !ok {
		t = texts["en"]
	}
	return fmt.Sprintf(t[e.text], e.args...)
}

// data returns the error as a row of a group operation shows it.
func (e *Error) data(lang string) *wire.ErrorData {
	return &wire.ErrorData{Type: e.Type, Object: e.Object, Value: e.Value, Msg: e.Text(lang)}
}

func fail(typ, object, text string, args ...any) *Error {
	return &Error{Type: typ, Object: object, text: text, args: args}
}

// badValue is a wrong value of a parameter; text says what would be right.
func badValue(object, value, text string, args ...any) *Error {
	return &Error{Type: typeValue, Object: object, Value: cut(value), text: text, args: args}
}

// cut bounds a value that is echoed to 200 bytes.
func cut(s string) string {
	const bound = 200
	if len(s) <= bound {
		return s
	}
	for i := bound; ; i-- {
		if s[i]&0xC0 != 0x80 { // not inside of a UTF-8 sequence
			return s[:i]
		}
	}
}

// BadRequest is the error for a parameter of the request itself.
func BadRequest(object, value string) *Error { return badValue(object, value, "request") }

// Internal is the error for a fault, whose cause stands in the log under id.
func Internal(id string) *Error { return fail(typeInternal, "", "internal", id) }
