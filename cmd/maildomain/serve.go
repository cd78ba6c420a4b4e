package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc"
	"maildomain/rpc/wire"
	"maildomain/systemd"
)

type serve struct {
	place
	proof
	journal
	CoreUser string        `help:"User that the panel core runs as, besides root." placeholder:"NAME"`
	Idle     time.Duration `default:"5m" help:"Exit after this long without a call; 0 never."`
}

// Run serves until a signal comes or nothing has happened for the idle time.
func (c *serve) Run(ctx context.Context) (err error) {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	moved := make(chan os.Signal, 1)
	signal.Notify(moved, syscall.SIGHUP)
	defer signal.Stop(moved)
	ln, err := systemd.Listener()
	if err != nil {
		return err
	}
	if ln == nil {
		return errors.New("no socket was handed over: start maildomain.socket, or let the panel core start the module")
	}
	uids, err := c.allowed()
	if err != nil {
		return err
	}
	unlock, err := c.lockToServe(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	core := rpc.NewCore(0, nil)
	w, err := c.make(ctx, rpc.PanelOf(core), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	changes, err := c.record(c.Root, w.module)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, changes.close()) }()
	if err := c.askAt(c.Root, w.module); err != nil {
		return err
	}
	if err := prepare(ctx, w.module); err != nil {
		return err
	}
	core.Forgot = w.module.Forget
	if err := start(ctx, w.module, log); err != nil {
		return err
	}

	started := time.Now()
	server := rpc.NewServer(rpc.Config{
		Call:      rpc.NewMethods(w.module).Call,
		WireError: rpc.WireError,
		Health:    func(ctx context.Context) wire.Health { return health(ctx, w.module, started, log) },
		Register:  rpc.Registration(version),
		Core:      core,
		Working: func() bool {
			return w.module.Unpublished() || w.module.Underway() || w.module.Awaiting() || w.module.Following() ||
				w.module.Reloading() || w.module.Proving() || w.module.Ordering(ctx)
		},
		Leave: func(ctx context.Context) {
			if err := w.module.Leave(ctx); err != nil {
				log.Error().Err(err).Msg("the panel cannot be asked to call again")
			}
		},
		AllowUIDs: uids,
		Idle:      c.Idle,
		Log:       log,
	})
	background, stop := context.WithCancel(ctx)
	var keepers sync.WaitGroup
	keepers.Go(func() { keep(background, w.module, log) })
	keepers.Go(func() { work(background, w.module, log) })
	keepers.Go(func() { again(background, ordersEvery, "order certificates", w.module.Orders, log) })
	keepers.Go(func() { again(background, retryFirst, "certificates", w.module.ReloadCertificates, log) })
	keepers.Go(func() { look(background, w.module, log) })
	keepers.Go(func() { again(background, retryFirst, "ask filters", w.module.AskFilters, log) })
	keepers.Go(func() { rotate(background, moved, changes, log) })
	keepers.Go(func() {
		if err := systemd.Watchdog(background, func() bool { return true }); err != nil {
			log.Error().Err(err).Msg("the watchdog of systemd cannot be told that we live")
		}
	})
	if err := systemd.Ready(); err != nil {
		log.Error().Err(err).Msg("systemd cannot be told that we are ready")
	}
	served := server.Serve(ctx, ln)
	if err := systemd.Stopping(); err != nil {
		log.Error().Err(err).Msg("systemd cannot be told that we stop")
	}
	stop()
	keepers.Wait()
	ending := context.WithoutCancel(ctx)
	return errors.Join(served, w.module.ForgetAnswers(ending, time.Now()), w.module.Close(ending))
}

// allowed are the users besides root that may connect.
func (c *serve) allowed() ([]uint32, error) {
	if c.CoreUser == "" {
		return nil, nil
	}
	u, err := user.Lookup(c.CoreUser)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user id of %s: %w", c.CoreUser, err)
	}
	return []uint32{uint32(id)}, nil
}

// start makes ready to serve and tells what an unclean stop had left.
func start(ctx context.Context, m *module.Module, log zerolog.Logger) error {
	repairs, err := m.Start(ctx)
	tell(repairs, log)
	return err
}

func tell(repairs []module.Repair, log zerolog.Logger) {
	for _, r := range repairs {
		e := log.Warn()
		if r.Err != nil {
			e = log.Error().Err(r.Err)
		}
		e.Str("file", r.Path).Msg(r.Said())
	}
}

// prepare makes the server's own secrets and certificate, for the name that the
// system has.
func prepare(ctx context.Context, m *module.Module) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	n, err := mail.ParseName(host)
	if err != nil { // a name of one label, or none of a mail server
		if n, err = mail.ParseName(host + ".localdomain"); err != nil {
			n, err = mail.ParseName("mail.localdomain")
		}
	}
	return errors.Join(err, m.Prepare(ctx, n))
}
