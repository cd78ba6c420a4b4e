package lab

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"testing"

	"maildomain/module/files"
)

// packages are the Debian packages that bring the programs that tests run.
var packages = map[string]string{
	"exim4":                   "exim4-daemon-heavy",
	"dovecot":                 "dovecot-core",
	"swaks":                   "swaks",
	"strace":                  "strace",
	"socat":                   "socat",
	"systemd-analyze":         "systemd",
	"systemd-socket-activate": "systemd",
	"unshare":                 "util-linux",
	"mount":                   "mount",
}

// Need ends the test unless the programs are installed: skipped on a person's
// machine, failed under CI (environment variable CI set), in both cases with the
// name of the missing package.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if installed(p) {
			continue
		}
		pkg, known := packages[p]
		if !known {
			pkg = p
		}
		missing(t, "%s is not installed: apt-get install %s", p, pkg)
	}
}

// NeedDovecot ends the test unless Dovecot is installed, with all that its
// configuration asks for, in the manner of Need.
func NeedDovecot(t testing.TB) {
	t.Helper()
	Need(t, "dovecot")
	for _, part := range [][2]string{
		{"imap", "imapd"}, {"pop3", "pop3d"}, {"lmtp", "lmtpd"}, {"managesieve", "managesieved"},
		{"modules/lib90_sieve_plugin.so", "sieve"},
	} {
		if _, err := os.Stat("/usr/lib/dovecot/" + part[0]); err != nil {
			missing(t, "dovecot-%[1]s is not installed: apt-get install dovecot-%[1]s", part[1])
		}
	}
	if _, err := user.Lookup(files.Debian.MailUser); err != nil {
		missing(t, "there is no user %s: tests/setup.sh test, run by root, makes it", files.Debian.MailUser)
	}
}

// installed looks in sbin too, which an ordinary user's PATH lacks.
func installed(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	_, err := exec.LookPath("/usr/sbin/" + program)
	return err == nil
}

// NeedRoot ends the test unless it runs as root, in the manner of Need.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "this test needs root, for a private mount namespace")
	}
}

// NeedIPv6 ends the test unless this machine has ::1, in the manner of Need.
func NeedIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "this machine has no ::1: ip -6 addr add ::1/128 dev lo")
		return
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
