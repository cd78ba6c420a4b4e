package systemd

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// notified is a NOTIFY_SOCKET of the test's own.
func notified(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(shortDir(t), "notify")
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return nc
}

// shortDir is a directory whose name leaves room in a socket's path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func hear(t *testing.T, nc *net.UnixConn) string {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	n, err := nc.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// silent says that nothing was said.
func silent(t *testing.T, nc *net.UnixConn) {
	t.Helper()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		b := make([]byte, 4096)
		if n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT); err == nil {
			t.Errorf("said %q", b[:n])
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSystemdIsTold(t *testing.T) {
	nc := notified(t)
	for _, c := range []struct {
		say  func() error
		want string
	}{
		{Ready, "READY=1"},
		{Stopping, "STOPPING=1"},
		{func() error { return Status("12 domains\nREADY=0") }, "STATUS=12 domains READY=0"},
	} {
		if err := c.say(); err != nil {
			t.Error(err)
		}
		if got := hear(t, nc); got != c.want {
			t.Errorf("said %q, want %q", got, c.want)
		}
	}
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"} {
		t.Setenv(name, "")
	}
	for _, say := range []func() error{Ready, Stopping, func() error { return Status("x") }} {
		if err := say(); err != nil {
			t.Error(err)
		}
	}
	if err := Watchdog(t.Context(), func() bool { t.Error("asked"); return true }); err != nil {
		t.Error(err)
	}
	if ln, err := Listener(); ln != nil || err != nil {
		t.Errorf("listener %v, %v", ln, err)
	}
}

func TestSystemdThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(shortDir(t), "none"))
	if err := Ready(); err == nil || !strings.HasPrefix(err.Error(), "notify systemd: ") {
		t.Errorf("error %v", err)
	}
}

func TestWatchdogIsFedWhileTheProcessIsWell(t *testing.T) {
	nc := notified(t)
	ctx, stop := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan error, 1)
	well := make(chan bool)
	go func() { ended <- watch(ctx, ticks, func() bool { return <-well }) }()
	for range 3 {
		well <- true
		if got := hear(t, nc); got != "WATCHDOG=1" {
			t.Errorf("said %q", got)
		}
		ticks <- time.Time{}
	}
	for range 3 {
		well <- false
		ticks <- time.Time{} // taken after the silence
	}
	silent(t, nc)
	well <- true
	if got := hear(t, nc); got != "WATCHDOG=1" {
		t.Errorf("said %q", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWatchdogFollowsTheLimitOfTheUnit(t *testing.T) {
	nc := notified(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- Watchdog(ctx, func() bool { return true }) }()
	for range 4 {
		hear(t, nc)
	}
	if took := time.Since(begun); took < 30*time.Millisecond { // three waits of ten
		t.Errorf("fed four times within %s", took)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	t.Setenv("WATCHDOG_USEC", "soon")
	if err := Watchdog(t.Context(), func() bool { return true }); err == nil {
		t.Error("a limit that is no number is taken")
	}
}
