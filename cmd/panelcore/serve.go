package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"

	"maildomain/cmd/panelcore/api"
	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/ui"
)

const (
	maxConnections = 1024             // of people and scripts at once; more wait
	drainLimit     = 20 * time.Second // for calls that are running at the stop
)

type serveCmd struct {
	Listen       string `help:"Address of the panel." default:"127.0.0.1:1500" env:"LISTEN"`
	Data         string `help:"Directory of everything that the core writes." default:"var" env:"DATA"`
	Demo         bool   `help:"Make the demonstration users and parameters when there are no users."`
	Proxy        string `help:"Address of a TLS proxy before the panel; it is believed where a request comes from and that it came over TLS."`
	DemoPassword string `help:"Password of the demonstration users; else a random one is made with them." env:"DEMO_PASSWORD"`
}

// Run serves until SIGTERM or SIGINT.
func (s *serveCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	c, err := core.Open(ctx, core.Options{
		Data: s.Data, Demo: s.Demo, DemoPassword: s.DemoPassword, Version: version, Log: log,
		Launcher: []string{"/proc/self/exe", execModule},
	})
	if err != nil {
		return err
	}
	return errors.Join(s.serve(ctx, c, log), c.Close())
}

func (s *serveCmd) serve(ctx context.Context, c *core.Core, log zerolog.Logger) error {
	demo, err := c.Prepare(ctx)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	defer public.Close()
	local, err := listenLocal(socketPath(s.Data), log)
	if err != nil {
		return err
	}
	defer os.Remove(socketPath(s.Data))
	defer local.Close()

	var proxy netip.Addr
	if s.Proxy != "" {
		if proxy, err = netip.ParseAddr(s.Proxy); err != nil {
			return fmt.Errorf("read the address of the proxy: %w", err)
		}
	}
	failed := make(chan error, 2)
	servers := []*http.Server{withPages(c, api.New(c, log), ui.New(c, log, nil), proxy), api.NewLocal(c, log)}
	go func() { failed <- servers[0].Serve(netutil.LimitListener(public, maxConnections)) }()
	go func() { failed <- servers[1].Serve(local) }()
	learned := make(chan struct{})
	go func() {
		defer close(learned)
		c.Learn(ctx)
	}()
	greet(os.Stdout, public.Addr(), s.Demo, demo)
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn().Err(err).Msg("systemd not notified")
	}

	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info().Msg("stopping")
	}
	drain, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(drain); err != nil {
			log.Warn().Err(err).Msg("calls were still running")
			server.Close()
		}
	}
	if err == nil {
		<-learned // it ends with ctx
	}
	return err
}

// withPages serves pages and ACME challenges beside the address for scripts.
func withPages(c *core.Core, s *http.Server, pages http.Handler, proxy netip.Addr) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(api.Path, s.Handler)
	mux.Handle("/", pages)
	s.Handler = api.BehindProxy(api.Challenges(c, mux), proxy)
	return s
}

// socketPath is where scripts of root and of the core's own user call.
func socketPath(data string) string { return filepath.Join(data, "run", "panelcore.sock") }

func listenLocal(path string, log zerolog.Logger) (net.Listener, error) {
	f, err := core.ListenUnix(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return api.Local(l, os.Geteuid(), log), nil
}

// greet says where the panel is and how one gets in.
func greet(w io.Writer, addr net.Addr, isDemo bool, demo core.Demo) {
	fmt.Fprintf(w, "panel:    http://%s/\n", addr)
	fmt.Fprintf(w, "scripts:  http://%s%s\n", addr, api.Path)
	if !isDemo {
		return
	}
	var names []string
	for _, u := range demo.Users {
		names = append(names, fmt.Sprintf("%s (%s)", u.Name, u.Level))
	}
	if len(names) == 0 {
		fmt.Fprintln(w, "logins:   the panel had users of its own already; no demonstration users were made")
		return
	}
	fmt.Fprintf(w, "logins:   %s\n", strings.Join(names, ", "))
	switch {
	case demo.Password != "":
		fmt.Fprintf(w, "password: %s (the same for all; shown this once)\n", demo.Password)
	case demo.Set:
		fmt.Fprintln(w, "password: the one given in DEMO_PASSWORD")
	default:
		fmt.Fprintln(w, "password: was printed at the first start; DEMO_PASSWORD=… sets a new one")
	}
}
