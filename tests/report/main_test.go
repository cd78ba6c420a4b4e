package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// report runs the tests of a package of one file, and is what is said of them.
func report(t *testing.T, text string, whole bool) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.test/p\n", "p_test.go": "package p\n" + text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	events, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = run(strings.NewReader(string(events)), &out, whole)
	return out.String(), err
}

func TestReportNamesWhatFailedAndWhatItSaidLast(t *testing.T) {
	out, err := report(t, `import ("fmt"; "testing")
func TestGood(t *testing.T) { fmt.Println("of no interest") }
func TestBad(t *testing.T) { t.Error("not so"); t.Log("\n"+"the log of a server") }
`, true)
	if err == nil || !strings.Contains(err.Error(), "2 tests and packages failed") {
		t.Error(err)
	}
	end := out[strings.LastIndex(out, "\nfailed: example.test/p TestBad"):]
	if !strings.Contains(end, "p_test.go:4: not so\n") || strings.Contains(end, "of a server") || !strings.Contains(out, "of a server") || strings.Contains(out, "of no interest") {
		t.Error(out)
	}
}

// Another goroutine than that of a test may panic: no test fails then, but the package does.
func TestReportShowsWhatATestUnderWayWrote(t *testing.T) {
	out, err := report(t, `import "testing"
func TestBefore(t *testing.T) {}
func TestUnderway(t *testing.T) { go func() { panic("in the background") }(); select {} }
`, true)
	if err == nil || strings.Count(out, "panic: in the background") != 2 || !strings.Contains(out, "\nFAILED: example.test/p TestUnderway\n") || strings.Contains(out, "FAILED: example.test/p TestBefore") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReportRefusesWhatWasLeftOutOnlyWhereNothingMayBe(t *testing.T) {
	const text = `import "testing"
func TestLeft(t *testing.T) { t.Skip("no server") }
`
	if out, err := report(t, text, true); err == nil || !strings.Contains(out, "left out: example.test/p TestLeft\n") || !strings.Contains(out, "no server") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := report(t, text, false); err != nil || !strings.Contains(out, "no server") || strings.Contains(out, "all tests ran") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := report(t, "import \"testing\"\nfunc TestGood(t *testing.T) {}\n", true); err != nil || !strings.Contains(out, "all tests ran, and passed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is no event is go's own word.
func TestReportPassesOnWhatIsNoEvent(t *testing.T) {
	e, err := json.Marshal(event{Action: "build-fail", ImportPath: "example.test/q"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(strings.NewReader("go: something is wrong\n"+string(e)+"\n"), &out, false); err == nil || !strings.Contains(out.String(), "go: something is wrong\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
