package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"maildomain/module/files"
)

// Locks, beside the database: who works on it, and who waits to serve it.
const (
	servingLock = "serving.lock"
	wantedLock  = "wanted.lock"
)

const (
	lockWait   = 10 * time.Second       // how long a starting process waits for one that is about to end
	lockGlance = 20 * time.Millisecond  // between two tries
	wantGlance = 200 * time.Millisecond // between two looks whether somebody waits to serve
)

// errServed says that another process has a lock.
var errServed = errors.New("another process serves it")

// lockToServe makes this process the only one that works on the database. One that does
// so without serving makes way: it sees that this one waits. The lock ends with the
// process, however it ends.
func (c place) lockToServe(ctx context.Context) (unlock func(), err error) {
	waits, err := c.lock(ctx, wantedLock, lockWait)
	if err != nil {
		return nil, err
	}
	defer waits()
	return c.lock(ctx, servingLock, lockWait)
}

// lockBeside is lockToServe for a process that does not serve: at once or not at all.
// The context that it returns ends when another one wants to serve.
func (c place) lockBeside(ctx context.Context) (_ context.Context, unlock func(), err error) {
	open, err := c.lock(ctx, servingLock, 0)
	if err != nil {
		return ctx, nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			free, err := c.lock(ctx, wantedLock, 0)
			if err != nil {
				end(err)
				return
			}
			free()
			select {
			case <-ctx.Done():
				return
			case <-time.After(wantGlance):
			}
		}
	}()
	return ctx, func() {
		end(nil)
		<-gone
		open()
	}, nil
}

// lock takes a lock beside the database, and waits so long for it.
func (c place) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	l, err := files.ParseLayout(c.Layout)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(c.database(l))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(wait); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) || ctx.Err() != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = errServed
			}
			return nil, errors.Join(fmt.Errorf("lock %s: %w", c.database(l), err), f.Close())
		}
		time.Sleep(lockGlance)
	}
}
