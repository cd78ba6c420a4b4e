package core_test

import (
	"strings"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestMain(m *testing.M) { paneltest.Main(m) }

// field returns the value of one line of a form in the text form.
func field(answer, name string) string {
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	return ""
}
