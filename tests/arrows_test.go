package tests

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// may is what each package of ours may know of the others: the diamond of the
// README. Arrows point down.
var may = map[string][]string{
	"module/mail":        {},
	"module/store":       {"module/mail"},
	"module/files":       {"module/mail"},
	"module/dns":         {"module/mail"},
	"module/acme":        {"module/mail"},
	"module":             {"module/mail", "module/store", "module/files", "module/acme", "module/dns"},
	"rpc/wire":           {},
	"xml":                {},
	"rpc":                {"rpc/wire", "xml", "module", "module/mail", "module/store", "module/files", "module/acme", "module/dns"},
	"systemd":            {},
	"cmd/maildomain":     {"systemd", "rpc", "rpc/wire", "xml", "module", "module/mail", "module/store", "module/files", "module/acme", "module/dns"},
	"cmd/panelcore":      {"rpc/wire", "cmd/panelcore/core", "cmd/panelcore/api", "cmd/panelcore/tree", "cmd/panelcore/ui"},
	"cmd/panelcore/core": {"rpc/wire", "cmd/panelcore/tree"},
	"cmd/panelcore/api":  {"rpc/wire", "cmd/panelcore/core", "cmd/panelcore/tree"},
	"cmd/panelcore/tree": {},
	"cmd/panelcore/ui":   {"rpc/wire", "cmd/panelcore/core", "cmd/panelcore/tree"},
}

func TestArrowsPointDown(t *testing.T) {
	for pkg, allowed := range may {
		out, err := exec.Command("go", "list", "-deps", "maildomain/"+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("list what %s knows: %v\n%s", pkg, err, out)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			ours, is := strings.CutPrefix(dep, "maildomain/")
			if is && ours != pkg && !slices.Contains(allowed, ours) {
				t.Errorf("%s knows %s, and must not", pkg, ours)
			}
		}
	}
}

func TestEveryPackageHasItsArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "maildomain/cmd/...", "maildomain/module/...", "maildomain/rpc/...", "maildomain/xml/...", "maildomain/systemd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, out)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.Contains(pkg, "test") { // it is for tests, which may know everything
			continue
		}
		if _, ok := may[strings.TrimPrefix(pkg, "maildomain/")]; !ok {
			t.Errorf("%s is in nobody's picture: say what it may know", pkg)
		}
	}
}
