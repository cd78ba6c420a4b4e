// Command report reads what go test -json says and prints it for people: a line a
// package, the tests that took longest, everything that failed tests wrote and those that
// were under way when their package broke off, and which tests were left out and why. It
// fails if a test failed or, with CI set, if one was left out.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// An event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	if err := run(os.Stdin, os.Stdout, os.Getenv("CI") != ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// slowest is how many of the tests that took longest are named: they are what to look
// at when the run becomes too long.
const slowest = 12

// said is how many of the lines that a failed test said itself are repeated at the end.
const said = 6

// run reports what in says; with whole, nothing may be left out.
func run(in io.Reader, out io.Writer, whole bool) error {
	wrote := map[string]*strings.Builder{} // by package and test
	under := map[string]map[string]bool{}  // tests under way, by package
	var failed, left []string
	var long []event // top-level tests
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			_, _ = fmt.Fprintln(out, lines.Text()) // go's own words
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "run":
			if under[e.Package] == nil {
				under[e.Package] = map[string]bool{}
			}
			under[e.Package][e.Test] = true
		case "output", "build-output":
			if e.Action == "build-output" {
				key = e.ImportPath
			}
			if wrote[key] == nil {
				wrote[key] = &strings.Builder{}
			}
			wrote[key].WriteString(e.Output)
		case "build-fail":
			failed = append(failed, e.ImportPath)
		case "pass", "fail", "skip":
			if e.Test == "" && e.Action != "skip" { // a package without tests is none that was left out
				_, _ = fmt.Fprintf(out, "%-5s %-44s %6.1f s\n", e.Action, e.Package, e.Elapsed)
			}
			switch {
			case e.Action == "fail":
				failed = append(failed, key)
			case e.Action == "skip" && e.Test != "" && !strings.Contains(e.Test, "/"):
				left = append(left, key)
			}
			if e.Test != "" && !strings.Contains(e.Test, "/") {
				long = append(long, e)
			}
			switch {
			case e.Test != "":
				delete(under[e.Package], e.Test)
			case e.Action == "fail": // a panic elsewhere than in a test, or the end of time
				for _, test := range slices.Sorted(maps.Keys(under[e.Package])) {
					failed = append(failed, e.Package+" "+test)
				}
			}
			if e.Action == "pass" && e.Test != "" {
				delete(wrote, key)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the tests' words: %w", err)
	}
	slices.SortFunc(long, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for _, e := range long[:min(slowest, len(long))] {
		_, _ = fmt.Fprintf(out, "slow  %-44s %6.1f s  %s\n", e.Package, e.Elapsed, e.Test)
	}
	slices.Sort(left)
	for _, key := range left {
		_, _ = fmt.Fprintf(out, "\nleft out: %s\n%s", key, wrote[key])
	}
	for _, key := range failed {
		if wrote[key] != nil {
			_, _ = fmt.Fprintf(out, "\nFAILED: %s\n%s", key, wrote[key])
		}
	}
	for _, key := range failed { // the end of a long log is what people see first
		_, _ = fmt.Fprintf(out, "\nfailed: %s\n%s", key, itself(wrote[key]))
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("\n%d tests and packages failed", len(failed))
	case len(left) > 0 && whole:
		return fmt.Errorf("\n%d tests were left out, and under CI none may be", len(left))
	case len(left) == 0:
		_, _ = fmt.Fprintln(out, "all tests ran, and passed")
	}
	return nil
}

// itself are the first lines that a test said itself, or in which it panicked: what
// servers logged follows them and is long.
func itself(wrote *strings.Builder) string {
	if wrote == nil {
		return ""
	}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(wrote.String()) {
		if n < said && (strings.Contains(line, "_test.go:") || strings.HasPrefix(line, "panic: ") || strings.Contains(line, "DATA RACE")) {
			b.WriteString(line)
			n++
		}
	}
	return b.String()
}
