package api_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"maildomain/cmd/panelcore/api"
	"maildomain/cmd/panelcore/internal/paneltest"
)

// TestControlSocketIsForRootAndTheOwnUser: the operating system says who dials,
// even where the file would let anyone.
func TestControlSocketIsForRootAndTheOwnUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("left out: becoming another user needs root")
	}
	dir, err := os.MkdirTemp("", "local")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	log := &paneltest.Log{}
	const own, other = 65533, 65534
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.Serve(api.Local(l, own, zerolog.New(log)))
	defer server.Close()
	for uid, want := range map[int]bool{0: true, own: true, other: false} {
		if got := answered(t, path, uid); got != want {
			t.Errorf("user id %d: answered %v", uid, got)
		}
	}
	if got := log.String(); strings.Count(got, "refused") != 1 || !strings.Contains(got, `"uid":65534`) {
		t.Error(got)
	}
}

// answered makes a request as the user uid and says whether it was answered.
func answered(t *testing.T, path string, uid int) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	// The effective user of this one thread at the time of connect is what the
	// other end sees.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return false
	}
	n, err := unix.Read(fd, make([]byte, 100))
	return err == nil && n > 0
}
