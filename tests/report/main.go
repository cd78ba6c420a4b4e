// Command report reads what go test -json says and prints it for people: a line a
// package, the tests that took longest, everything that failed tests wrote, and which
// tests were left out and why. It fails if a test failed or, with CI set, if one was left out.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
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
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// slowest is how many of the tests that took longest are named: they are what to look
// at when the run becomes too long.
const slowest = 12

func run() error {
	wrote := map[string]*strings.Builder{} // by package and test
	var failed, left []string
	var long []event // top-level tests
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // go's own words
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
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
				fmt.Printf("%-5s %-44s %6.1f s\n", e.Action, e.Package, e.Elapsed)
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
		fmt.Printf("slow  %-44s %6.1f s  %s\n", e.Package, e.Elapsed, e.Test)
	}
	slices.Sort(left)
	for _, key := range left {
		fmt.Printf("\nleft out: %s\n%s", key, wrote[key])
	}
	for _, key := range failed {
		if wrote[key] != nil {
			fmt.Printf("\nFAILED: %s\n%s", key, wrote[key])
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("\n%d tests and packages failed", len(failed))
	case len(left) > 0 && os.Getenv("CI") != "":
		return fmt.Errorf("\n%d tests were left out, and under CI none may be", len(left))
	case len(left) == 0:
		fmt.Println("all tests ran, and passed")
	}
	return nil
}
