package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"maildomain/module/mail"
)

// mark begins every file that is ours, with the version of its format.
const mark = "# maildomain 1:"

// header is the first line of every file that is ours.
const header = mark + " written from the database; a change made here is reported, not kept\n"

// A File is what one path below the root is to hold.
type File struct {
	Path  string // as os.Root takes it
	Body  []byte // nil: the file is not to be there
	Mode  fs.FileMode
	Group string // its group, where the module runs as root and the group exists
	Bare  bool   // it carries no mark of ours, for others read it: it is ours by its name
	Newer bool   // it is to be at least a second newer than the one that it replaces: Dovecot looks at whole seconds
}

// errSeparator is the error of a value that would be read back as something else.
var errSeparator = errors.New("a value may not hold a line break, a NUL or white space at its ends")

// lines writes a file of "key: value" lines for Exim's lsearch (Exim
// specification, section 9.3). It cannot emit a line that reads back as anything
// but its key and value.
type lines struct {
	b   bytes.Buffer
	err error
}

func newLines() *lines {
	var l lines
	l.b.WriteString(header)
	return &l
}

// plainKey says that a key is of the alphabet that has no meaning to Exim and Dovecot.
func plainKey(key string) bool {
	return key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789._-@+=") == ""
}

func (l *lines) set(key, value string) {
	if l.err != nil {
		return
	}
	// A key ends at the first white space or colon; a leading quote or # means something else.
	if !plainKey(key) {
		l.err = fmt.Errorf("write key %q: %w", key, errSeparator)
		return
	}
	if value == "" || strings.ContainsAny(value, "\n\r\x00") || strings.TrimSpace(value) != value {
		l.err = fmt.Errorf("write value %q of %s: %w", value, key, errSeparator)
		return
	}
	l.b.WriteString(key)
	l.b.WriteString(": ")
	l.b.WriteString(value)
	l.b.WriteByte('\n')
}

// file is the text as a file that Exim's group may read.
func (l *lines) file(layout Layout, p string) (File, error) {
	if l.err != nil {
		return File{}, fmt.Errorf("render %s: %w", p, l.err)
	}
	return File{Path: p, Body: l.b.Bytes(), Mode: 0o640, Group: layout.EximGroup}, nil
}

// DomainPath is where the settings of a mail domain stand.
func (l Layout) DomainPath(n mail.Name) string { return path.Join(l.Domains(), n.String()) }

// DomainFile is the settings of a mail domain; signing are the selectors that its
// letters are signed with.
func (l Layout) DomainFile(d mail.Domain, signing ...string) (File, error) {
	state := "active"
	if !d.Active {
		state = "suspended"
	}
	t := newLines()
	t.set("state", state)
	t.set("defaction", string(d.Defaction))
	if d.Defaction.Forwards() {
		t.set("redirval", d.Redirval.String())
	}
	t.set("greylist", mail.Flag(d.Greylist))
	t.set("spamassassin", mail.Flag(d.Spamassassin))
	t.set("avcheck", mail.Flag(d.Avcheck))
	if len(signing) > 0 {
		t.set("dkim", strings.Join(signing, " : "))
	}
	if d.Mailboxes > 0 { // Exim then waits for a file of mailboxes that is missing, and refuses nobody
		t.set("mailboxes", "on")
	}
	if d.SendAny {
		t.set("sendany", "on")
	}
	if d.MailRate >= 0 {
		t.set("mailrate", strconv.FormatInt(d.MailRate, 10))
	}
	return t.file(l, l.DomainPath(d.Name))
}

// DomainIPsFile is the outgoing addresses of the domains that have their own.
func (l Layout) DomainIPsFile(ips []mail.SourceIP) (File, error) {
	t := newLines()
	for _, s := range ips {
		t.set(s.Name.String(), s.IP.String())
	}
	return t.file(l, l.DomainIPs())
}
