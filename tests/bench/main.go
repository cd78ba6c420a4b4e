// Command bench prints the project's figures, each beside a floor that is measured
// in the same run on the same machine: what counts is the ratio.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"maildomain/tests/world"
)

func main() {
	only := flag.String("only", "", "one part alone: activation, changes, signed or import")
	domains := flag.Int("import", 100_000, "domains to import")
	flag.Parse()
	if err := run(context.Background(), *only, *domains); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, domains int) error {
	dir, err := os.MkdirTemp("", "maildomain-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if only != "certificates" { // which has no program of ours in it
		// As "make build" builds them: what is measured is what is shipped.
		if err := world.Build(dir, "-trimpath", "-ldflags=-s -w"); err != nil {
			return err
		}
	}
	known := false
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"activation", func() error { return activation(ctx, dir) }},
		{"changes", func() error { return changes(ctx, dir) }},
		{"signed", func() error { return signed(ctx, dir) }},
		{"import", func() error { return imports(ctx, dir, domains) }},
		{"certificates", func() error { return certificates(ctx) }},
	} {
		if only != "" && only != part.name {
			continue
		}
		known = true
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if !known {
		return fmt.Errorf("there is no part %q", only)
	}
	return nil
}

// row prints one figure and whether it is within its bound.
func row(what string, got, bound float64, unit, note string) {
	verdict := "ok"
	if got > bound {
		verdict = "ABOVE"
	}
	fmt.Printf("%-52s %9.2f %-3s  bound %7.2f  %-5s  %s\n", what, got, unit, bound, verdict, note)
}

// atLeast is row for a figure that is to be large.
func atLeast(what string, got, bound float64, note string) {
	verdict := "ok"
	if got < bound {
		verdict = "BELOW"
	}
	fmt.Printf("%-52s %9.2f x    bound %7.2f  %-5s  %s\n", what, got, bound, verdict, note)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median of durations, which it sorts.
func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// sample runs f n times and returns the median.
func sample(n int, f func(i int) error) (time.Duration, error) {
	ds := make([]time.Duration, n)
	for i := range ds {
		start := time.Now()
		if err := f(i); err != nil {
			return 0, err
		}
		ds[i] = time.Since(start)
	}
	return median(ds), nil
}

// residentMB is a process's resident memory.
func residentMB(pid int) (float64, error) { return memoryMB(pid, "VmRSS") }

// memoryMB is a line of proc_pid_status(5): VmRSS now, VmHWM the most so far.
func memoryMB(pid int, which string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(l, which+": %f kB", &kb); err == nil {
			return kb / 1024, nil
		}
	}
	return 0, fmt.Errorf("no %s of process %d", which, pid)
}

func sizeMB(path string) (float64, error) {
	i, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(i.Size()) / (1 << 20), nil
}

func program(dir string) string { return filepath.Join(dir, "maildomain") }
