package mail

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorsAreFoundWithTheirCause(t *testing.T) {
	err := fmt.Errorf("stage: %w", &Error{Kind: Unavailable, Field: "disk", Text: "unavailable_disk", Cause: io.ErrShortWrite})
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Unavailable || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
	for want, e := range map[string]*Error{
		"exists(name)":                {Kind: Exists, Field: "name", Value: "a.example"},
		"value(ip): value_ip_foreign": {Kind: Invalid, Field: "ip", Text: "value_ip_foreign", Cause: io.EOF}, // the cause is for the log
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
	if e := wrong("secure_alias", "x", "t", "domain", "a.example", "odd"); e.Args["domain"] != "a.example" || len(e.Args) != 1 {
		t.Errorf("placeholders %v", e.Args)
	}
}
