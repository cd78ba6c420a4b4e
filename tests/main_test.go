// Package tests runs the whole program, as people and scripts use it, against the
// real servers.
package tests

import (
	"os"
	"testing"

	"maildomain/tests/world"
)

func TestMain(m *testing.M) {
	status := m.Run()
	world.Clean()
	os.Exit(status)
}
