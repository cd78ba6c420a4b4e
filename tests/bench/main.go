// Command bench prints the project's figures, each beside a floor that is measured
// in the same run on the same machine: what counts is the ratio.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"maildomain/tests/world"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "maildomain-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// As "make build" builds them: what is measured is what is shipped.
	if err := world.Build(dir, "-trimpath", "-ldflags=-s -w"); err != nil {
		return err
	}
	if err := activation(ctx, dir); err != nil {
		return fmt.Errorf("activation: %w", err)
	}
	if err := changes(ctx, dir); err != nil {
		return fmt.Errorf("changes: %w", err)
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
func residentMB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(l, "VmRSS: %f kB", &kb); err == nil {
			return kb / 1024, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}

func sizeMB(path string) (float64, error) {
	i, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(i.Size()) / (1 << 20), nil
}

func program(dir string) string { return filepath.Join(dir, "maildomain") }
