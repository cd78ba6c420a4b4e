// Package core is the panel core: who may call, what can be called, and the
// modules that do it. It knows users, sessions and connections; what the
// functions of a module mean it learns from the module's registration and
// never looks into. The wire forms of an answer are package api's.
package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// Options of a Core. The zero value of a limit means the one named beside it.
type Options struct {
	Data         string // directory of everything the core writes
	Demo         bool   // make the demonstration users and parameters when there are no users
	DemoPassword string // password of the demonstration users; empty: random when they are made, else kept
	Version      string
	Log          zerolog.Logger
	Now          func() time.Time // nil: time.Now
	Launcher     []string         // command that ends in ExecModule, to which a module's command is appended

	CallLimit    time.Duration // of one call with its repeats: 60 s
	QueueLimit   time.Duration // of waiting for a free place on a connection: 5 s
	ConnectLimit time.Duration // from dialling to the registration: 10 s
	StopLimit    time.Duration // from SIGTERM to SIGKILL of a module: 10 s
	QuickExit    time.Duration // a program that ends sooner, without having registered, is held back: 5 s
	BackOff      time.Duration // first pause of a program held back, doubled up to five times: 1 s
	ZonePause    time.Duration // between two looks for zones that are to be passed on: 10 s
	WakePause    time.Duration // between two looks for modules that are to be called: 10 s
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		limit *time.Duration
		value time.Duration
	}{
		{&o.CallLimit, time.Minute}, {&o.QueueLimit, 5 * time.Second}, {&o.ConnectLimit, 10 * time.Second},
		{&o.StopLimit, 10 * time.Second}, {&o.QuickExit, 5 * time.Second}, {&o.BackOff, time.Second},
		{&o.ZonePause, 10 * time.Second}, {&o.WakePause, 10 * time.Second},
	} {
		if *d.limit == 0 {
			*d.limit = d.value
		}
	}
}

// A Core serves the calls of sessions. Its methods may be called at once.
type Core struct {
	opt      Options
	log      zerolog.Logger
	lock     *os.File
	db       *database
	users    *userTable
	params   *paramTable
	hashing  *hashing
	logins   *logins
	attempts *attempts
	progress *progress
	sessions *sessions
	zones    *zones
	modules  []*module

	challenges *challenges

	editing     sync.Mutex // users and parameters change one at a time
	registering sync.Mutex
	registry    atomic.Pointer[registry]

	running context.Context // ends with Close
	end     context.CancelFunc
	dials   sync.WaitGroup
	waking  sync.Mutex     // held while an instant is kept at which a module is to be called
	passing sync.WaitGroup // zones to the name server, and calls that modules asked for
}

// Open opens the data directory, reads the users and parameters, and prepares the
// modules that modules.d names; those with a program of their own get their
// socket now, and are started at the first call.
func Open(ctx context.Context, opt Options) (_ *Core, err error) {
	opt.fill()
	c := &Core{opt: opt, log: opt.Log}
	c.running, c.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{{".", 0o755}, {"run", 0o755}, {"log", 0o750}, {"modules.d", 0o755}} {
		if err := os.MkdirAll(filepath.Join(opt.Data, d.name), d.mode); err != nil {
			return nil, fmt.Errorf("make data directory: %w", err)
		}
	}
	if c.lock, err = lockData(opt.Data); err != nil {
		return nil, err
	}
	if c.db, err = openDatabase(ctx, filepath.Join(opt.Data, "panelcore.db")); err != nil {
		return nil, err
	}
	c.hashing = newHashing(hashesAtOnce, 5*time.Second)
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	c.logins = newLogins(opt.Now, c.hashing)
	c.attempts = newAttempts(opt.Now)
	c.progress = newProgress()
	c.sessions = newSessions(opt.Now)
	c.challenges = newChallenges(opt.Now)
	if err := c.registerOwn(); err != nil {
		return nil, err
	}
	if c.zones, err = openZones(ctx, c); err != nil {
		return nil, err
	}
	drops, err := readDropIns(opt.Data)
	if err != nil {
		return nil, err
	}
	for _, d := range drops {
		m, err := newModule(c, d)
		if err != nil {
			return nil, err
		}
		c.modules = append(c.modules, m)
	}
	c.passing.Go(c.keepPassing)
	c.passing.Go(c.keepWaking)
	return c, nil
}

func (c *Core) load(ctx context.Context) error {
	users, err := c.db.users(ctx)
	if err != nil {
		return err
	}
	params, err := c.db.params(ctx)
	if err != nil {
		return err
	}
	c.users, c.params = newUserTable(users), newParamTable(params)
	return nil
}

// Learn dials each module once, so that their functions are known before the
// first call. A module that does not answer is logged and asked again later.
func (c *Core) Learn(ctx context.Context) {
	var wg sync.WaitGroup
	for _, m := range c.modules {
		wg.Go(func() {
			if _, err := m.connection(ctx); err != nil {
				c.log.Warn().Err(err).Str("module", m.name).Msg("module not reached; it is asked again at the first call")
			}
		})
	}
	wg.Wait()
}

// Close ends the connections and stops the programs that the core started. Calls
// still running are answered with an error.
func (c *Core) Close() error {
	for _, m := range c.modules {
		m.retire()
	}
	c.end()
	c.dials.Wait()
	var wg sync.WaitGroup
	for _, m := range c.modules {
		wg.Go(m.close)
	}
	wg.Wait()
	c.passing.Wait()
	c.waking.Lock() // no instant is being kept any more
	defer c.waking.Unlock()
	var err error
	if c.db != nil {
		err = c.db.close()
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// lockData keeps a second core off the same data directory: two would own the
// same sockets and start each module twice.
func lockData(data string) (*os.File, error) {
	path := filepath.Join(data, "run", "panelcore.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data directory: another panelcore runs on %s", data)
		}
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	return f, nil
}
