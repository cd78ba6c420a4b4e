// Package mail holds the nouns of the module: domains, names, addresses, users,
// and the errors about them. It imports nothing of ours and does no I/O.
//
// Everything that comes from outside is parsed here into a type; nothing below
// takes a raw string.
package mail

import "fmt"

// A Kind says what the caller can do about an error.
type Kind string

// The kinds of error that a person can act on.
const (
	Invalid     Kind = "value"       // a field has a wrong value; mend it and call again
	NotFound    Kind = "missed"      // no such object, or none that this actor may know of
	Exists      Kind = "exists"      // the name is taken
	Access      Kind = "access"      // this actor may not do that
	Limit       Kind = "limit"       // the owner has all that the plan allows
	Auth        Kind = "auth"        // the caller is not who it says
	Busy        Kind = "busy"        // too much at once; try again later
	Cancelled   Kind = "cancelled"   // the caller gave up; nothing changed
	Unavailable Kind = "unavailable" // something that the call needs is out of order; try again later
)

// An Error is what a person can act on: shown in the language of the session.
// Anything that is no *Error is a fault of ours.
type Error struct {
	Kind  Kind
	Field string            // the field, or what the error is about
	Value string            // the value as it was given; empty where it says nothing
	Text  string            // names the sentence in the message catalogue; empty: the kind's own
	Args  map[string]string // what fills the sentence's placeholders
	Cause error             // what lies behind it, for the log only; nil: nothing does
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Error is for logs and tests; people see the catalogue's sentence.
func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s(%s)", e.Kind, e.Field)
	}
	return fmt.Sprintf("%s(%s): %s", e.Kind, e.Field, e.Text)
}

// wrong is the error about the value of a field.
func wrong(field, value, text string, args ...string) *Error {
	e := &Error{Kind: Invalid, Field: field, Value: value, Text: text}
	for i := 0; i+1 < len(args); i += 2 {
		if e.Args == nil {
			e.Args = map[string]string{}
		}
		e.Args[args[i]] = args[i+1]
	}
	return e
}
