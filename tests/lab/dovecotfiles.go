package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"maildomain/module/files"
)

// prepare makes the directories that are laid over the machine's own.
func (d *Dovecot) prepare() ([]mount, error) {
	uid, gid, err := ids(files.Debian.MailUser)
	if err != nil {
		return nil, fmt.Errorf("tests/setup.sh makes that user: %w", err)
	}
	_, dovecot, err := ids(files.Debian.DovecotGroup)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"hooks", "state", "log"} {
		if err := makeDir(d.dir(name), 0o755, 0, 0); err != nil {
			return nil, err
		}
	}
	if err := d.makeRun(); err != nil {
		return nil, err
	}
	if err := d.writeHooks(); err != nil {
		return nil, err
	}
	for _, must := range []string{files.Debian.DovecotConf(), files.Debian.DovecotHooks(), files.Debian.Mail} {
		if _, err := os.Stat(filepath.Join(d.exim.opts.Root, must)); err != nil {
			return nil, fmt.Errorf("run maildomain setup on %s first: %w", d.exim.opts.Root, err)
		}
	}
	conf := filepath.Join(d.exim.opts.Root, files.Debian.Dovecot)
	asDovecots, err := ownershipOf(conf, 0, dovecot)
	if err != nil {
		return nil, err
	}
	mail := filepath.Join(d.exim.opts.Root, files.Debian.Mail)
	asBoxes, err := ownershipOf(mail, uid, gid)
	if err != nil {
		return nil, err
	}
	mounts := []mount{
		{from: conf, over: "/" + files.Debian.Dovecot, owned: asDovecots},
		{from: d.dir("hooks"), over: "/" + files.Debian.DovecotHooks()},
		{from: d.dir("state"), over: stateDir, make: true},
		{from: mail, over: "/" + files.Debian.Mail, owned: asBoxes, make: true},
		{from: d.sockets(), over: runDir, make: true},
	}
	certs, err := d.standIn()
	if certs != "" {
		mounts = append(mounts, mount{from: certs, over: "/" + files.Debian.Certs()})
	}
	return mounts, err
}

// makeRun makes the directory of sockets, and remembers what close is to take away.
func (d *Dovecot) makeRun() error {
	for _, dir := range []string{filepath.Dir(d.sockets()), d.sockets()} {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			d.madeRun = append([]string{dir}, d.madeRun...)
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.Chmod(d.sockets(), 0o755)
}

// The penalty for wrong passwords would make every later log-in of a test wait.
const dovecotOptions = `
log_path = %s
hostname = %s
submission_host = %s
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`

// writeHooks copies the root's hooks, and adds what the lab decides.
func (d *Dovecot) writeHooks() error {
	names, err := filepath.Glob(filepath.Join(d.exim.opts.Root, files.Debian.DovecotHooks(), "*.conf"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("copy hook: %w", err)
		}
		if err := os.WriteFile(filepath.Join(d.dir("hooks"), filepath.Base(name)), text, 0o644); err != nil {
			return fmt.Errorf("write hook: %w", err)
		}
	}
	log, err := filepath.Abs(d.dir("log/dovecot.log"))
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, dovecotOptions, log, d.exim.opts.Hostname, d.exim.Inside())
	s := d.exim.services
	for _, l := range []struct{ service, listener, addr string }{
		{"imap-login", "imap", s.IMAP}, {"imap-login", "imaps", s.IMAPS},
		{"pop3-login", "pop3", s.POP3}, {"pop3-login", "pop3s", s.POP3S},
		{"managesieve-login", "sieve", s.Sieve},
	} {
		a := netip.MustParseAddrPort(l.addr)
		fmt.Fprintf(&b, "service %s {\n  inet_listener %s {\n    address = %s\n    port = %d\n  }\n}\n", l.service, l.listener, a.Addr(), a.Port())
	}
	return os.WriteFile(filepath.Join(d.dir("hooks"), "zz-lab.conf"), []byte(b.String()), 0o644)
}
