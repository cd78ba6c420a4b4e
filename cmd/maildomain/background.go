package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
)

// Times of the work that goes on beside calls.
const (
	retryFirst   = time.Second
	retryMost    = 5 * time.Minute
	tidyEvery    = time.Hour
	purgeEvery   = time.Minute
	pendingEvery = 5 * time.Second
	ordersEvery  = 2 * time.Second
	measureEvery = 5 * time.Minute
	countEvery   = time.Minute
)

// work does the jobs that may take long: nothing else waits for them.
func work(ctx context.Context, m *module.Module, log zerolog.Logger) {
	due := map[string]time.Time{}
	jobs := []struct {
		name  string
		every time.Duration
		do    func(context.Context) error
	}{
		{"remove what was deleted", purgeEvery, m.Purge},
		{"hand over records and look after keys", pendingEvery, m.Pending},
		{"follow the panel's settings", pendingEvery, m.Follow},
		{"follow the certificates of owners", pendingEvery, m.FollowCertificates},
		{"measure mailboxes", measureEvery, m.Measure},
		{"count letters", countEvery, m.Count},
		{"tidy", tidyEvery, func(ctx context.Context) error {
			return errors.Join(m.ForgetAnswers(ctx, time.Now()), m.EraseLeft(ctx))
		}},
	}
	look := time.NewTicker(retryFirst)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			for _, j := range jobs {
				if now.Before(due[j.name]) {
					continue
				}
				due[j.name] = now.Add(j.every)
				if err := j.do(ctx); err != nil && ctx.Err() == nil {
					log.Error().Err(err).Msg(j.name)
				}
			}
		}
	}
}

// keep does what goes on beside calls and is due soon: it publishes what could not be
// published at once, and ends sessions.
func keep(ctx context.Context, m *module.Module, log zerolog.Logger) {
	look := time.NewTicker(retryFirst)
	defer look.Stop()
	wait := retryFirst
	next := time.Now()
	told := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg(what)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			told("end sessions", m.EndSessions(ctx))
			if m.Underway() {
				told("settle deleted mail", m.Settle(ctx))
			}
			if !m.Unpublished() || now.Before(next) {
				continue
			}
			repairs, err := m.Reconcile(ctx)
			tell(repairs, log)
			if err != nil {
				log.Error().Err(err).Msg("reconcile")
			}
			if wait = min(2*wait, retryMost); !m.Unpublished() {
				wait = retryFirst
			}
			next = now.Add(wait)
		}
	}
}

// again does one thing at once and then each time so much time has passed, beside all
// else: it may take seconds or minutes, and nothing else waits for it.
func again(ctx context.Context, every time.Duration, name string, do func(context.Context) error, log zerolog.Logger) {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg(name)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// rotate goes on in a new file when told that the old one was moved away.
func rotate(ctx context.Context, moved <-chan os.Signal, changes *logFile, log zerolog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-moved:
			if err := changes.reopen(); err != nil {
				log.Error().Err(err).Msg("rotate the log of changes")
			}
		}
	}
}
