package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// A mount puts one file or directory over another of the same kind.
type mount struct {
	from, over string
	owned      *ownership // nil: as it is
	make       bool       // the machine may have nothing there
}

// A space is a private mount namespace. It belongs to one thread, which lives
// until the space is closed: processes started from that thread see its mounts,
// and the kernel kills them when the thread ends, however this process ends.
type space struct {
	jobs chan func()
	quit func()
	done chan struct{}
}

// openSpace makes a space with the given mounts.
func openSpace(mounts []mount) (*space, error) {
	quit := make(chan struct{})
	s := &space{jobs: make(chan func()), quit: sync.OnceFunc(func() { close(quit) }), done: make(chan struct{})}
	made := make(chan error)
	apart(func() {
		defer close(s.done)
		err := enter(mounts)
		made <- err
		if err != nil {
			return
		}
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-quit:
				return
			}
		}
	})
	if err := <-made; err != nil {
		return nil, err
	}
	return s, nil
}

// apart runs f beside its caller on a thread that ends with it and serves no other
// goroutine. That is never the process's first: Go keeps that one to the end, and
// what /proc says of the process is what it says of that thread.
func apart(f func()) {
	go func() {
		runtime.LockOSThread()
		if syscall.Gettid() != syscall.Getpid() {
			f() // never unlocked, so that Go ends the thread with the goroutine
			return
		}
		begun := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another one, while the first is taken
			close(begun)
			f()
		}()
		<-begun
		runtime.UnlockOSThread()
	}()
}

func enter(mounts []mount) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a private mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private (in a chroot its root must be a mount: mount --bind it over itself): %w", err)
	}
	for _, m := range mounts {
		if m.make {
			if err := makePoint(m.over); err != nil {
				return err
			}
		}
		if err := m.bind(); err != nil {
			return fmt.Errorf("mount %s over %s: %w", m.from, m.over, err)
		}
	}
	return nil
}

func (m mount) bind() error {
	if m.owned != nil {
		return m.owned.bind(m.from, m.over)
	}
	return syscall.Mount(m.from, m.over, "", syscall.MS_BIND, "")
}

var errClosed = errors.New("the lab is closed")

// start starts cmd in the space. Waiting for it is the caller's.
func (s *space) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	select {
	case s.jobs <- func() { started <- cmd.Start() }:
		return <-started
	case <-s.done:
		return errClosed
	}
}

// close ends the space and what still runs in it; closing again does nothing.
func (s *space) close() {
	s.quit()
	<-s.done
}
