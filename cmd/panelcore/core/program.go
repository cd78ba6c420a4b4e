package core

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A program is the process of a module that the core starts itself, with a
// listening socket as systemd would (sd_listen_fds(3)): file descriptor 3,
// LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES. The core keeps the socket open, so that
// connections wait in it while nobody runs.
type program struct {
	name     string
	socket   *os.File
	exec     []string
	launcher []string
	logPath  string
	opt      *Options

	starts chan chan error // to the thread that starts and awaits the process
	done   chan struct{}   // closed when that thread has ended

	mu        sync.Mutex
	process   *os.Process
	exited    chan struct{} // closed when process has ended
	greeted   bool          // the process has registered
	failures  int           // ends before the registration, in a row
	notBefore time.Time     // held back until then
	stopping  bool
}

// errHeldBack is returned while a program that ends at once is not started again.
var errHeldBack = errors.New("the program ends at once each time; it is held back for a while")

var errStopping = errors.New("the core stops")

func newProgram(d dropIn, opt *Options) (*program, error) {
	if len(opt.Launcher) == 0 {
		return nil, errors.New("no launcher is set")
	}
	socket, err := ListenUnix(d.Socket)
	if err != nil {
		return nil, err
	}
	p := &program{
		name: d.Name, socket: socket, exec: d.Exec, launcher: opt.Launcher, opt: opt,
		logPath: filepath.Join(opt.Data, "log", d.Name+".log"),
		starts:  make(chan chan error), done: make(chan struct{}),
	}
	go p.thread()
	return p, nil
}

// ensure starts the program if it is not running, and returns a channel that is
// closed when it ends.
func (p *program) ensure() (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopping:
		return nil, errStopping
	case p.process != nil:
		return p.exited, nil
	case time.Now().Before(p.notBefore):
		return nil, errHeldBack
	}
	started := make(chan error)
	p.starts <- started
	if err := <-started; err != nil {
		p.failed()
		return nil, fmt.Errorf("start module %s: %w", p.name, err)
	}
	return p.exited, nil
}

// hasGreeted notes that the process has registered: it is not one that ends at once.
func (p *program) hasGreeted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greeted = true
}

// failed notes an end before the registration. The first two are free. A process
// that has registered and crashes later is always started again: one bad call must
// not keep the others out.
func (p *program) failed() {
	const free = 2
	if p.failures++; p.failures > free {
		p.notBefore = time.Now().Add(p.opt.BackOff << min(p.failures-free-1, 5))
	}
}

// thread starts the process each time it is asked, and awaits its end. It is one
// thread of the operating system for its whole life, because the death signal of
// a child is sent when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG).
func (p *program) thread() {
	runtime.LockOSThread()
	defer close(p.done)
	for started := range p.starts {
		cmd, err := p.start()
		if err != nil {
			started <- err
			continue
		}
		begun := time.Now()
		p.process, p.exited, p.greeted = cmd.Process, make(chan struct{}), false // ensure holds the lock
		started <- nil
		_ = cmd.Wait() // how it ended stands in its state
		p.mu.Lock()
		p.opt.Log.Info().Str("module", p.name).Int("pid", cmd.Process.Pid).Str("state", cmd.ProcessState.String()).
			Dur("ran", time.Since(begun)).Msg("module ended")
		if !p.greeted && time.Since(begun) < p.opt.QuickExit && !p.stopping {
			p.failed()
		} else {
			p.failures = 0
		}
		p.process = nil
		close(p.exited)
		p.mu.Unlock()
	}
}

func (p *program) start() (*exec.Cmd, error) {
	log, err := os.OpenFile(p.logPath, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	argv := slices.Concat(p.launcher, p.exec)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(moduleEnv(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+p.name)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{p.socket}
	// A group of its own: a Ctrl-C at the terminal reaches the core, and the core
	// stops its modules when its calls have ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.opt.Log.Info().Str("module", p.name).Int("pid", cmd.Process.Pid).Msg("module started")
	return cmd, nil
}

// moduleEnv is the core's environment without what is for the core alone.
func moduleEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{
			"DEMO_PASSWORD", "LISTEN", "DATA", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
		}, name)
	})
}

// stop ends the process: SIGTERM, and SIGKILL when it is still there after the
// limit, and what it started with it. It closes and removes the socket.
func (p *program) stop() {
	p.mu.Lock()
	p.stopping = true
	process, exited := p.process, p.exited
	p.mu.Unlock()
	if process != nil {
		process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(p.opt.StopLimit):
			process.Signal(syscall.SIGKILL)
			<-exited
		}
		syscall.Kill(-process.Pid, syscall.SIGKILL) // what it started and left
	}
	close(p.starts)
	<-p.done
	os.Remove(p.socket.Name())
	p.socket.Close()
}

// ExecModule replaces this process by the module's program. Only here the id that
// LISTEN_PID is to name is known: a parent learns its child's id too late.
func ExecModule(argv []string) error {
	if len(argv) == 0 {
		return errors.New("run module: no program given")
	}
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		return fmt.Errorf("run module: %w", err)
	}
	if err := syscall.Exec(argv[0], argv, os.Environ()); err != nil {
		return fmt.Errorf("run module %s: %w", argv[0], err)
	}
	return nil
}
