package api_test

import (
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestMain(m *testing.M) { paneltest.Main(m) }
