// Package systemd is what the module says to the service manager and hears from
// it: the listening socket that it hands over, readiness, and the watchdog. Beside
// it stand the units; README.md says what each does.
//
// Without systemd nothing here does anything, and nothing fails.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Listener returns the listening Unix stream socket that this process was started
// with (sd_listen_fds(3)), nil if it was started without one. Anything else that was
// handed over is an error: it says that a unit is not as the module needs it.
//
// Closing the listener leaves the socket's file where it is.
func Listener() (*net.UnixListener, error) {
	files := activation.Files(true)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	switch len(files) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("socket activation: %d sockets were handed over, one is wanted", len(files))
	}
	f := files[0]
	if err := listening(int(f.Fd())); err != nil {
		return nil, fmt.Errorf("socket activation: %s: %w", f.Name(), err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("socket activation: %s: %w", f.Name(), err)
	}
	return ln.(*net.UnixListener), nil
}

// listening says what keeps fd from being a listening Unix stream socket.
func listening(fd int) error {
	for _, o := range []struct {
		option, want int
		otherwise    string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "not a Unix socket"},
		{unix.SO_TYPE, unix.SOCK_STREAM, "not a stream socket"},
		{unix.SO_ACCEPTCONN, 1, "not listening; Accept=yes is not served"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o.option)
		if err != nil {
			return fmt.Errorf("not a socket: %w", err)
		}
		if got != o.want {
			return errors.New(o.otherwise)
		}
	}
	return nil
}

// Ready says that the process answers calls.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Stopping says that the process is about to end.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status is a sentence for `systemctl status`.
func Status(text string) error {
	return notify("STATUS=" + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' ' // a line break would begin another assignment
		}
		return r
	}, text))
}

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// Watchdog tells systemd twice in each WatchdogSec that the process is well, as
// long as alive says so, until ctx ends. It returns at once where no watchdog is
// set.
func Watchdog(ctx context.Context, alive func() bool) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's limit: %w", err)
	}
	if limit == 0 || os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	ticks := time.NewTicker(limit / 2)
	defer ticks.Stop()
	return watch(ctx, ticks.C, alive)
}

func watch(ctx context.Context, ticks <-chan time.Time, alive func() bool) error {
	for {
		if alive() {
			if err := notify(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return nil
		}
	}
}
