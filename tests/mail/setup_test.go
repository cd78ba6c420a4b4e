package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An installer runs setup.sh with a PATH of its own, in which swaks and strace
// are missing, apt-get only takes notes, and the user is whoever the test says.
type installer struct {
	t      *testing.T
	bin    string // the PATH
	policy string // in the place of /usr/sbin/policy-rc.d
}

func newInstaller(t *testing.T, uid, aptGet string) installer {
	t.Helper()
	i := installer{t, t.TempDir(), filepath.Join(t.TempDir(), "policy-rc.d")}
	for _, real := range []string{"sh", "rm", "cat", "chmod", "mktemp"} {
		path, err := exec.LookPath(real)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(i.bin, real)); err != nil {
			t.Fatal(err)
		}
	}
	for _, there := range []string{"exim4", "dovecot", "getent", "socat", "systemd-analyze", "systemd-socket-activate", "systemd-sysusers", "unshare", "mount", "xmllint", "gcc", "postgrey", "spamd", "clamd", "chromium", "npm", "named", "named-checkzone", "opendkim-genkey", "dkimverify"} {
		i.program(there, "exit 0")
	}
	i.program("id", "echo "+uid)
	i.program("apt-get", `echo "$DEBIAN_FRONTEND apt-get $*" >>`+i.bin+`/log
if [ -x "$POLICY_RC_D" ]; then "$POLICY_RC_D" || echo "policy $?" >>`+i.bin+"/log; fi\n"+aptGet)
	return i
}

func (i installer) program(name, text string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		i.t.Fatal(err)
	}
}

func (i installer) run(args ...string) (out, log string, err error) {
	i.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"../setup.sh"}, args...)...)
	cmd.Env = []string{"PATH=" + i.bin, "POLICY_RC_D=" + i.policy}
	b, err := cmd.CombinedOutput()
	notes, readErr := os.ReadFile(filepath.Join(i.bin, "log"))
	if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
		i.t.Fatal(readErr)
	}
	return string(b), string(notes), err
}

const aptInstall = "noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends --no-remove "

func TestSetupInstallsOnlyWhatIsMissing(t *testing.T) {
	const python = "/usr/lib/python3/dist-packages"
	for _, file := range []string{"/usr/include/stdio.h", "/usr/lib/dovecot/managesieve", python + "/nacl", python + "/authheaders", python + "/spf.py"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is missing, which the test takes to be there", file)
		}
	}
	for what, packages := range map[string]string{"mail": "swaks", "test": "swaks strace"} {
		i := newInstaller(t, "0", "exit 0")
		out, log, err := i.run(what)
		if err != nil || out != "installing: "+packages+"\n" || log != aptInstall+packages+"\npolicy 101\n" {
			t.Errorf("%s: %v\n%s\n%s", what, err, out, log)
		}
		if _, err := os.Stat(i.policy); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the policy stands still", what)
		}
		i.program("swaks", "exit 0")
		i.program("strace", "exit 0")
		if out, again, err := i.run(what); err != nil || out != "" || again != log {
			t.Errorf("%s with nothing missing: %v\n%s\n%s", what, err, out, again)
		}
	}
}

func TestSetupLeavesAPolicyThatStands(t *testing.T) {
	i := newInstaller(t, "0", "exit 0")
	if err := os.WriteFile(i.policy, []byte("#!/bin/sh\nexit 42\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, log, err := i.run("mail"); err != nil || !strings.HasSuffix(log, "policy 42\n") {
		t.Errorf("%v\n%s\n%s", err, out, log)
	}
	if b, err := os.ReadFile(i.policy); err != nil || string(b) != "#!/bin/sh\nexit 42\n" {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestSetupFetchesTheListsOnceAndTriesAgain(t *testing.T) {
	i := newInstaller(t, "0", `case "$*" in
*update*) >"${0%/*}/updated" ;;
*) [ -e "${0%/*}/updated" ] || { echo "E: Unable to locate package"; exit 100; } ;;
esac`)
	if out, log, err := i.run("mail"); err != nil || strings.Count(log, " install ") != 2 || strings.Count(log, " update\n") != 1 || out != "installing: swaks\n" {
		t.Errorf("%v\n%s\n%s", err, out, log)
	}
	broken := newInstaller(t, "0", "echo E: no network; exit 100")
	out, _, err := broken.run("mail")
	if err == nil || !strings.Contains(out, "E: no network\n") || !strings.Contains(out, "could not install: swaks\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(broken.policy); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the policy stands still")
	}
}

func TestSetupTellsAnOrdinaryUserWhatIsMissing(t *testing.T) {
	i := newInstaller(t, "1000", "exit 0")
	out, log, err := i.run("mail")
	if err != nil || out != "missing: the Debian package swaks; root installs it with apt-get install swaks\n" || log != "" {
		t.Errorf("%v\n%s\n%s", err, out, log)
	}
	if out, _, err := i.run("all"); err == nil || !strings.HasPrefix(out, "usage: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSetupMakesTheUserThatMailboxesBelongTo(t *testing.T) {
	const command = "useradd --system --user-group --home-dir /var/vmail --no-create-home --shell /usr/sbin/nologin vmail"
	for uid, want := range map[string]string{"0": "making the user vmail\n", "1000": "missing: the user vmail; root makes it with " + command + "\n"} {
		i := newInstaller(t, uid, "exit 0")
		i.program("swaks", "exit 0")
		i.program("getent", `echo "getent $*" >>`+i.bin+"/log; exit 2")
		i.program("useradd", `echo "useradd $*" >>`+i.bin+"/log")
		out, log, err := i.run("mail")
		asked := "getent passwd vmail\n"
		if uid == "0" {
			asked += command + "\n"
		}
		if err != nil || out != want || log != asked {
			t.Errorf("user %s: %v\n%s\n%s", uid, err, out, log)
		}
	}
}
