package files

import (
	"fmt"
	"path"
)

// A Layout says where a distribution keeps what Exim and Dovecot read. Every
// path in it is relative to a root, slash-separated and without a leading
// slash, as os.Root takes it; EximProgram alone is absolute, for it is run and
// not written.
type Layout struct {
	Name         string // what ParseLayout knows it by
	Exim         string // Exim's directory: settings, keys, lists, hooks
	EximConf     string // Exim's main configuration file
	EximProgram  string // Exim itself
	EximUser     string // the user Exim runs as
	EximGroup    string // its group, which may read what the module writes for Exim
	Dovecot      string // Dovecot's directory
	DovecotGroup string // the group that may read Dovecot's user files
	DovecotRun   string // Dovecot's sockets
	Mail         string // the mailboxes' letters, DOMAIN/BOX/Maildir
	MailUser     string // the user and group that own them
	State        string // the module's own: database, trash, locks
}

// Debian is the layout of Debian and its derivatives.
var Debian = Layout{
	Name:         "debian",
	Exim:         "etc/exim4",
	EximConf:     "etc/exim4/exim4.conf",
	EximProgram:  "/usr/sbin/exim4",
	EximUser:     "Debian-exim",
	EximGroup:    "Debian-exim",
	Dovecot:      "etc/dovecot",
	DovecotGroup: "dovecot",
	DovecotRun:   "run/dovecot",
	Mail:         "var/vmail",
	MailUser:     "vmail",
	State:        "var/lib/maildomain",
}

// RHEL is the layout of Red Hat Enterprise Linux and its rebuilds, with Exim
// from EPEL.
var RHEL = Layout{
	Name:         "rhel",
	Exim:         "etc/exim",
	EximConf:     "etc/exim/exim.conf",
	EximProgram:  "/usr/sbin/exim",
	EximUser:     "exim",
	EximGroup:    "exim",
	Dovecot:      "etc/dovecot",
	DovecotGroup: "dovecot",
	DovecotRun:   "run/dovecot",
	Mail:         "var/vmail",
	MailUser:     "vmail",
	State:        "var/lib/maildomain",
}

// ParseLayout returns the layout called name, "debian" or "rhel".
func ParseLayout(name string) (Layout, error) {
	for _, l := range []Layout{Debian, RHEL} {
		if l.Name == name {
			return l, nil
		}
	}
	return Layout{}, fmt.Errorf("unknown layout %q: want debian or rhel", name)
}

// Domains is the directory of settings files, one a mail domain. Exim searches
// it by name: nothing else may stand in it.
func (l Layout) Domains() string { return path.Join(l.Exim, "domains") }

// Mailboxes is the directory of mailbox files, one a mail domain.
func (l Layout) Mailboxes() string { return path.Join(l.Exim, "mailboxes") }

// Users is the directory of Dovecot's passwd-files, one a mail domain.
func (l Layout) Users() string { return path.Join(l.Dovecot, "users") }

// Certs is the directory of the certificates that Dovecot serves.
func (l Layout) Certs() string { return path.Join(l.Dovecot, "certs") }

// Trash is the directory of mail that was deleted and can be brought back. It is
// root's, and on the file system of the mailboxes.
func (l Layout) Trash() string { return path.Join(l.Mail, ".trash") }

// DomainIPs is the file of outgoing addresses, one line a mail domain.
func (l Layout) DomainIPs() string { return path.Join(l.Exim, "domainips") }

// SSL is the directory of keys and certificates that Exim reads.
func (l Layout) SSL() string { return path.Join(l.Exim, "ssl") }

// Ready is the marker file: while it is absent, Exim tells every client to try
// again later, and routes nothing.
func (l Layout) Ready() string { return path.Join(l.Exim, "maildomain.ready") }

// Hooks is the directory of the administrator's own additions to Exim's
// configuration. The module creates it and never writes in it.
func (l Layout) Hooks() string { return path.Join(l.Exim, "maildomain.d") }
