package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// extract is Exim's ${extract{key}{data}} (Exim specification, section 11.5): items
// "key=value" with white space between, a value in quotes when it holds any.
func extract(data string) map[string]string {
	got := map[string]string{}
	for item := range strings.FieldsSeq(data) {
		k, v, _ := strings.Cut(item, "=")
		got[k] = v
	}
	return got
}

// readPasswd reads a file as Dovecot's passwd-file does: fields between colons, the
// eighth to the end of the line; lines that begin with # and empty ones are none.
func readPasswd(t rapid.TB, body []byte) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	text, ended := strings.CutSuffix(string(body), "\n")
	if !ended || strings.ContainsAny(text, "\x00\r") {
		t.Fatalf("a line does not end, or ends twice: %q", body)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, ":", 8)
		if _, twice := got[f[0]]; twice {
			t.Fatalf("%q stands twice", f[0])
		}
		got[f[0]] = f[1:]
	}
	return got
}

// Whatever a mailbox accepts, both files read back as exactly that.
func TestWhatAMailboxAcceptsIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := mail.NewDomain(mail.StoredName("a.example"), "user1")
		d.Active = rapid.Bool().Draw(t, "domain active")
		var boxes []mail.Mailbox
		names := map[string]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "boxes") {
			name, ok := mail.ParseBoxName(drawText(t, "name", "info", "A.b", "x=y", "-", "0", "state", "kind=box", "z_z"))
			if !ok || names[name.String()] {
				continue
			}
			b := mail.Mailbox{Domain: d.Name, Name: name, Active: rapid.Bool().Draw(t, "active"), Password: "{ARGON2ID}$argon2id$v=19$m=1,t=2,p=1$AA+/$BB+/"}
			e := mail.MailboxEdit{
				MaxSize: ptr(strconv.FormatInt(rapid.Int64Range(0, 1<<30).Draw(t, "maxsize"), 10)),
				Forward: ptr(drawText(t, "forward", "", "a@b.example", "a@b.example, c=d+e@Пример.рф")),
				Aliases: ptr(drawText(t, "aliases", "", "one", "two two@a.example", "to=x")), Note: ptr(drawText(t, "note", "", "x: y")),
				DontSave: ptr(rapid.Bool().Draw(t, "dontsave")), Greylist: ptr(rapid.Bool().Draw(t, "greylist")),
			}
			if e.Apply(&b) != nil || slices.ContainsFunc(b.Aliases, func(a mail.LocalPart) bool { return names[a.String()] }) {
				continue
			}
			names[name.String()] = true
			for _, a := range b.Aliases {
				names[a.String()] = true
			}
			boxes = append(boxes, b)
		}
		if len(boxes) == 0 {
			return
		}
		exim, err := Debian.MailboxesFile(d.Name, boxes)
		if err != nil {
			t.Fatalf("accepted, and not written: %v", err)
		}
		dovecot, err := Debian.UsersFile(d, boxes)
		if err != nil {
			t.Fatalf("accepted, and not written: %v", err)
		}
		wantExim, wantDovecot := map[string]map[string]string{}, map[string][]string{}
		for _, b := range boxes {
			w := map[string]string{"kind": "box", "state": "active", "greylist": mail.Flag(b.Greylist), "spamassassin": "off", "keep": "yes"}
			if !b.Active {
				w["state"] = "suspended"
			}
			if b.DontSave {
				w["keep"] = "no"
			}
			if len(b.Forward) > 0 {
				w["forward"] = strings.ReplaceAll(b.Values()["forward"], " ", ",")
			}
			wantExim[b.Name.String()] = w
			for _, a := range b.Aliases {
				wantExim[a.String()] = map[string]string{"kind": "alias", "to": b.Address().String()}
			}
			hash := "{CRYPT}!"
			if d.Active && b.Active {
				hash = string(b.Password)
			}
			wantDovecot[b.Name.String()] = []string{hash, "", "", "", "/var/vmail/a.example/" + b.Name.String(), "", fmt.Sprintf("userdb_quota_rule=*:bytes=%d", b.MaxSize<<20)}
		}
		gotExim := map[string]map[string]string{}
		for k, v := range readLsearch(t, exim.Body) {
			gotExim[k] = extract(v)
		}
		if diff := cmp.Diff(wantExim, gotExim); diff != "" {
			t.Errorf("Exim reads (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantDovecot, readPasswd(t, dovecot.Body)); diff != "" {
			t.Errorf("Dovecot reads (-want +got):\n%s", diff)
		}
	})
}

// The writer itself holds, whatever its callers checked.
func FuzzPasswdWriter(f *testing.F) {
	f.Add("info", "{X}y")
	f.Add("a:b", "c\nd::::")
	f.Add("#a", " b")
	f.Fuzz(func(t *testing.T, name, hash string) {
		d := mail.NewDomain(mail.StoredName("a.example"), "user1")
		after := mail.Mailbox{Domain: d.Name, Name: mail.StoredLocalPart("zz-after"), Password: "{X}y", Active: true}
		box := mail.Mailbox{Domain: d.Name, Name: mail.StoredLocalPart(name), Password: mail.PasswordHash(hash), Active: true}
		file, err := Debian.UsersFile(d, []mail.Mailbox{box, after})
		if err != nil || name == "zz-after" {
			return
		}
		got := readPasswd(t, file.Body)
		if len(got) != 2 || got[name] == nil || got[name][0] != hash || got["zz-after"][0] != "{X}y" {
			t.Errorf("%q: %q reads back as %q", name, hash, got)
		}
	})
}

func TestPlanOfMailboxesKeepsTheSafeOrder(t *testing.T) {
	const users, boxes, gate, ips = "etc/dovecot/users/a.example", "etc/exim4/mailboxes/a.example", "etc/exim4/domains/a.example", "etc/exim4/domainips"
	side := func(d *mail.Domain, names ...string) Side {
		s := Side{Domain: d}
		if d != nil {
			counted := *d
			counted.Mailboxes = int64(len(names))
			s.Domain = &counted
		}
		for _, n := range names {
			n, suspended := strings.CutPrefix(n, "-")
			s.Boxes = append(s.Boxes, mail.Mailbox{Domain: mail.StoredName("a.example"), Name: mail.StoredLocalPart(n), Active: !suspended, Password: "{X}y"})
		}
		return s
	}
	plain := newDomain(t, "a.example", mail.DomainEdit{})
	own := newDomain(t, "a.example", mail.DomainEdit{IP: ptr("192.0.2.1")})
	for what, c := range map[string]struct {
		before, after Side
		want          []string
	}{
		"the first mailbox":       {side(plain), side(plain, "a"), []string{users, boxes, gate}},
		"another mailbox":         {side(plain, "a"), side(plain, "a", "b"), []string{users, boxes}},
		"one mailbox less":        {side(plain, "a", "b"), side(plain, "a"), []string{boxes, users}},
		"the last mailbox goes":   {side(plain, "a"), side(plain), []string{gate, "-" + boxes, "-" + users}},
		"a mailbox is suspended":  {side(plain, "a"), side(plain, "-a"), []string{users, boxes}},
		"the domain is suspended": {side(plain, "a"), side(suspended(plain), "a"), []string{users, gate}},
		"the domain goes":         {side(own, "a"), Side{}, []string{"-" + gate, "-" + boxes, "-" + users, ips}},
		"the domain comes back":   {Side{}, side(own, "a"), []string{ips, users, boxes, gate}},
		"nothing":                 {side(plain, "a"), side(plain, "a"), nil},
	} {
		plan, err := Debian.Plan(c.before, c.after, func() ([]mail.SourceIP, error) { return nil, nil })
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []string
		for _, ch := range plan {
			p := ch.Path
			if ch.Body == nil {
				p = "-" + p
			}
			if ch.Newer != (p == users) {
				t.Errorf("%s: newer %v for %s", what, ch.Newer, p)
			}
			got = append(got, p)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// Dovecot looks at whole seconds: two passwords of one length within one are one file
// to it, also where the file was away in between.
func TestEachFileOfUsersIsSecondsNewerThanTheLast(t *testing.T) {
	tree, dir := openTree(t)
	const p = "etc/dovecot/users/a.example"
	put := func(f File) int64 {
		t.Helper()
		must(t, tree.Put(f))
		if f.Body == nil {
			return 0
		}
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(dir, p), &st))
		return st.Mtim.Sec
	}
	users := func(text string, newer bool) File {
		return File{Path: p, Body: []byte(header + text), Mode: 0o640, Group: Debian.DovecotGroup, Newer: newer}
	}
	last := put(users("a:1", true))
	for i := range 6 {
		if i%2 == 1 {
			put(File{Path: p})
		}
		now := put(users(fmt.Sprint("a:", i), true))
		if now <= last {
			t.Errorf("the %d. is of second %d, the one before of %d", i, now, last)
		}
		last = now
	}
	// What another process left there counts, whenever that was.
	future := unix.NsecToTimespec(int64(last+100) * 1e9)
	must(t, unix.UtimesNano(filepath.Join(dir, p), []unix.Timespec{future, future}))
	if now := put(users("a:9", true)); now != last+101 {
		t.Errorf("of second %d, want %d", now, last+101)
	}
	// Other files have the time that they have.
	if now := put(users("a:8", false)); now > last {
		t.Errorf("a file of no such kind is of second %d", now)
	}
	if es, err := os.ReadDir(filepath.Join(dir, "etc/dovecot/maildomain.stage")); err != nil || len(es) > 0 {
		t.Errorf("left in the stage: %v, %v", es, err)
	}
}

func TestFileOfUsersRefusesWhatWouldReadBackOtherwise(t *testing.T) {
	d := mail.NewDomain(mail.StoredName("a.example"), "user1")
	for _, bad := range []string{"a:b", "a\nb", "a\rb", "a\x00b", " a", "a ", "a\n"} {
		for _, b := range []mail.Mailbox{
			{Domain: d.Name, Name: mail.StoredLocalPart(bad), Password: "{X}y", Active: true},
			{Domain: d.Name, Name: mail.StoredLocalPart("x"), Password: mail.PasswordHash(bad), Active: true},
		} {
			if _, err := Debian.UsersFile(d, []mail.Mailbox{b}); !errors.Is(err, errPasswd) {
				t.Errorf("%q was written: %v", bad, err)
			}
		}
	}
}
