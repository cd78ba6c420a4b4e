package lab

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"maildomain/module/files"
)

// A Box is a mailbox as the files of the module have it.
type Box struct {
	Name      string
	Password  string // with its scheme, as Dovecot has it; default {PLAIN}secret
	Suspended bool
	Quota     int64    // bytes; 0 is unlimited
	Aliases   []string // other names in the domain
	Forward   []string // addresses
	DontSave  bool     // forward only

	Greylist, Spamassassin bool
}

// Secret is the password of a Box that has no other.
const Secret = "secret"

// Locked stands in the place of a password that no word fits.
const Locked = "{CRYPT}!"

// PutBoxes writes the files of a domain's mailboxes by hand, all of them, and makes
// the directories of those that have none. Without boxes it removes the files.
func PutBoxes(t testing.TB, root, domain string, boxes ...Box) {
	t.Helper()
	exim, dovecot := filepath.Join(files.Debian.Mailboxes(), domain), filepath.Join(files.Debian.Users(), domain)
	if len(boxes) == 0 {
		for _, name := range []string{exim, dovecot} {
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	names, users := "# maildomain 1: a test\n", "# maildomain 1: a test\n"
	for _, b := range boxes {
		state, keep, password := "active", "yes", b.Password
		if password == "" {
			password = "{PLAIN}" + Secret
		}
		if b.Suspended {
			state, password = "suspended", Locked
		}
		if b.DontSave {
			keep = "no"
		}
		names += fmt.Sprintf("%s: kind=box state=%s greylist=%s spamassassin=%s keep=%s", b.Name, state, onOff(b.Greylist), onOff(b.Spamassassin), keep)
		if len(b.Forward) > 0 {
			names += " forward=" + strings.Join(b.Forward, ",")
		}
		names += "\n"
		for _, a := range b.Aliases {
			names += fmt.Sprintf("%s: kind=alias to=%s@%s\n", a, b.Name, domain)
		}
		users += fmt.Sprintf("%s:%s::::/%s/%s/%s::userdb_quota_rule=*:bytes=%d\n", b.Name, password, files.Debian.Mail, domain, b.Name, b.Quota)
		makeBox(t, root, domain, b.Name)
	}
	put(t, root, dovecot, users, files.Debian.DovecotGroup)
	Put(t, root, exim, names)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func makeBox(t testing.TB, root, domain, box string) {
	t.Helper()
	uid, gid, err := ids(files.Debian.MailUser)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, files.Debian.Mail, domain)
	if err := makeDir(dir, 0o710, 0, gid); err != nil {
		t.Fatal(err)
	}
	if err := makeDir(filepath.Join(dir, box), 0o700, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// put writes a file below root by hand, readable by a group, and renames it into
// place as the module does.
func put(t testing.TB, root, name, text, group string) {
	t.Helper()
	g, err := user.LookupGroup(group)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	part, err := os.CreateTemp(filepath.Join(root, "etc"), "put")
	if err != nil {
		t.Fatal(err)
	}
	_, err = part.WriteString(text)
	for _, step := range []func() error{
		func() error { return err },
		func() error { return part.Chown(0, gid) },
		func() error { return part.Chmod(0o640) },
		part.Close,
		func() error { return os.Rename(part.Name(), filepath.Join(root, name)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
