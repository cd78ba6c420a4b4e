package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"maildomain/tests/world"
)

const (
	importLimit = 60.0 / 100_000 // seconds a domain
	listEvery   = 100 * time.Millisecond
	groupSize   = 500
	shared      = 48 // changes a commit of the floor: as many as a batch has under way
)

// imports measures n domains that come from a file while lists are read, and the
// deletion of some of them in one call.
func imports(ctx context.Context, bin string, n int) (err error) {
	data, err := os.MkdirTemp("", "maildomain-bench-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	w, err := world.Open(world.Options{Data: data, Bin: bin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	base, err := sharedFloor(filepath.Join(data, "floor"))
	if err != nil {
		return err
	}
	file := filepath.Join(data, "domains.csv")
	if err := writeImport(file, n); err != nil {
		return err
	}
	module := w.ModulePID()
	core, err := parent(module)
	if err != nil {
		return err
	}
	before, err := usage(core, module)
	if err != nil {
		return err
	}
	stop, lists := readLists(ctx, w)
	start := time.Now()
	ctl := exec.CommandContext(ctx, w.Program("panelcore"), "ctl", "--data", data, "--batch", file, "emaildomain.edit", "sok=ok")
	out, err := ctl.Output()
	took := time.Since(start)
	stop()
	if err != nil {
		return fmt.Errorf("import: %w: %.500s", err, out)
	}
	if answered := strings.Count(string(out), " OK\n"); answered != n {
		return fmt.Errorf("import: %d of %d lines answered OK", answered, n)
	}
	after, err := usage(core, module)
	if err != nil {
		return err
	}
	most, err := memoryMB(module, "VmHWM")
	if err != nil {
		return err
	}
	waits := <-lists
	if waits.err != nil {
		return fmt.Errorf("lists meanwhile: %w", waits.err)
	}
	each := ms(took) / float64(n)
	row(fmt.Sprintf("import of %d domains by ctl --batch", n), took.Seconds(), importLimit*float64(n), "s", fmt.Sprintf("%.0f/s; CPU seconds: ctl %.1f, core %.1f, module %.1f",
		float64(n)/took.Seconds(), (ctl.ProcessState.UserTime()+ctl.ProcessState.SystemTime()).Seconds(), after[0]-before[0], after[1]-before[1]))
	row("  a domain against the floor", each/ms(base), 8, "x", fmt.Sprintf("%.3f ms; floor (%d rows and files a FULL commit) %.3f ms", each, shared, ms(base)))
	row("  memory of the module, most", most, 150, "MB", "")
	row("  list of 50 meanwhile, worst", ms(waits.worst), 50, "ms", fmt.Sprintf("of %d; median %.1f ms, 99 of 100 below %.1f ms", waits.n, ms(waits.median), ms(waits.slow)))
	return deleteGroup(ctx, w, min(groupSize, n))
}

// sharedFloor is the least that a change can cost which shares its commit: a row,
// and a small file, created and renamed.
func sharedFloor(dir string) (each time.Duration, err error) {
	f, err := newFloor(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	all, err := sample(40, func(int) error { return f.together(shared) })
	return all / shared, err
}

func (f *floor) together(n int) error {
	tx, err := f.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for i := range n {
		if _, err := tx.Exec(`INSERT INTO t VALUES (?, ?)`, fmt.Sprint(rand.Uint64()), "a value of some length, as a row has"); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("new%d", i)), make([]byte, 200), 0o640); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for i := range n {
		f.n++
		if err := os.Rename(filepath.Join(f.dir, fmt.Sprintf("new%d", i)), filepath.Join(f.dir, fmt.Sprint(f.n))); err != nil {
			return err
		}
	}
	return nil
}

func imported(i int) string { return fmt.Sprintf("import-%06d.example", i) }

func writeImport(path string, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := bufio.NewWriter(f)
	fmt.Fprintln(b, "name,defaction,redirval")
	for _, i := range rand.Perm(n) { // nobody's list is in the order of our index
		switch i % 3 {
		case 0:
			fmt.Fprintf(b, "%s,error,\n", imported(i))
		case 1:
			fmt.Fprintf(b, "%s,ignore,\n", imported(i))
		default:
			fmt.Fprintf(b, "%s,redirect,me@far.example\n", imported(i))
		}
	}
	return b.Flush()
}

// waits are how long lists took.
type waits struct {
	n                   int
	worst, slow, median time.Duration // slow: one of a hundred took longer
	err                 error
}

// readLists asks for pages of the list, one after the other with a pause between,
// until stop; then it tells how long they took.
func readLists(ctx context.Context, w *world.World) (stop func(), told <-chan waits) {
	ctx, cancel := context.WithCancel(ctx)
	all := make(chan waits, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		login, err := w.Call(ctx, "", "auth", "username", "admin", "password", world.Password)
		if err != nil || login.Auth == "" {
			all <- waits{err: fmt.Errorf("log in: %s, %w", login.Error, err)}
			return
		}
		var took []time.Duration
		sorts := []string{"name", "owner", "defaction", "redirval", "active"}
		for i := 0; ctx.Err() == nil; i++ {
			begun := time.Now()
			a, err := w.Call(context.WithoutCancel(ctx), "", "emaildomain", "auth", login.Auth, "p_sort", sorts[i%len(sorts)], "p_num", strconv.Itoa(1+i%7))
			if err != nil || a.Error != "" {
				all <- waits{err: fmt.Errorf("list: %s, %w", a.Error, err)}
				return
			}
			took = append(took, time.Since(begun))
			select {
			case <-ctx.Done():
			case <-time.After(listEvery):
			}
		}
		if len(took) == 0 {
			all <- waits{err: errors.New("none was asked for")}
			return
		}
		slices.Sort(took)
		n := len(took)
		all <- waits{n: n, median: took[n/2], slow: took[n*99/100], worst: took[n-1]}
	})
	return func() { cancel(); wg.Wait() }, all
}

// deleteGroup measures a group operation on n of the imported domains.
func deleteGroup(ctx context.Context, w *world.World, n int) error {
	names := make([]string, n)
	for i := range n {
		names[i] = imported(i)
	}
	start := time.Now()
	a, err := w.Call(ctx, "admin", "emaildomain.delete", "elid", strings.Join(names, ", "))
	took := time.Since(start)
	if err != nil || !a.OK {
		return fmt.Errorf("delete %d: %s, %w", n, a.Error, err)
	}
	row(fmt.Sprintf("deletion of %d domains in one call", n), took.Seconds(), 2, "s", "")
	return nil
}

// parent is the process that started pid.
func parent(pid int) (int, error) {
	fields, err := processStat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// usage is the seconds of processor that each process took so far.
func usage(pids ...int) (seconds []float64, err error) {
	const tick = 100 // a second (sysconf(3), _SC_CLK_TCK)
	for _, pid := range pids {
		fields, err := processStat(pid)
		if err != nil {
			return nil, err
		}
		user, err1 := strconv.ParseFloat(fields[11], 64)
		system, err2 := strconv.ParseFloat(fields[12], 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		seconds = append(seconds, (user+system)/tick)
	}
	return seconds, nil
}

// processStat are the fields of proc_pid_stat(5) after the name, from the state on.
func processStat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("stat of process %d: %q", pid, b)
	}
	return fields, nil
}
