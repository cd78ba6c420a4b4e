package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
)

type renew struct {
	place
	proof
	journal
}

// Run does what is due, by the panel's settings as they were last. Where a process
// serves, or is to serve meanwhile, that one does it: Run says so, and that is no error.
func (c *renew) Run(ctx context.Context) (err error) {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	whole := ctx
	ctx, unlock, err := c.lockBeside(ctx)
	if errors.Is(err, errServed) {
		fmt.Println("the module is running, and does what is due by itself")
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	w, err := c.existing(ctx, module.Panel{}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	changes, err := c.record(c.Root, w.module)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, changes.close()) }()
	w.module.WithoutPanel()
	if err := c.askAt(c.Root, w.module); err != nil {
		return err
	}
	if err := start(ctx, w.module, log); err != nil {
		return err
	}
	err = errors.Join(w.module.Renew(ctx), served(ctx, w.module))
	if whole.Err() == nil && errors.Is(context.Cause(ctx), errServed) {
		fmt.Println("the module was called, and goes on with it")
		err = nil
	}
	return errors.Join(err, w.module.Close(context.WithoutCancel(ctx)))
}

// servedLimit is for the mail servers to show certificates that are new.
const servedLimit = 2 * time.Minute

// served has the mail servers show certificates that are new, and looks whether they do.
// All that is ordered is there by now: one reload is enough, and nobody waits for it.
func served(ctx context.Context, m *module.Module) (err error) {
	if m.Reloading() {
		err = m.ApplyCertificates(ctx)
	}
	for end := time.Now().Add(servedLimit); (m.Reloading() || m.Proving()) && time.Now().Before(end); {
		err = errors.Join(err, m.ReloadCertificates(ctx), m.LookServed(ctx))
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(retryFirst):
		}
	}
	return err
}
