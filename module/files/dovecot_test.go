package files_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/crypto/argon2"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// logsIn says whether IMAP, POP3 and submission let somebody in; they must agree.
func logsIn(t *testing.T, x *lab.Exim, login, password string) bool {
	t.Helper()
	ctx, p := limited(t), person(t, x, login)
	p.Password = password
	var byIMAP, byPOP3, bySMTP error
	var all sync.WaitGroup // a refusal takes half a second
	all.Go(func() {
		c, err := x.IMAP(ctx, login, password)
		if byIMAP = err; err == nil {
			_ = c.Close()
		}
	})
	all.Go(func() { _, byPOP3 = x.POP3(ctx, login, password) })
	all.Go(func() {
		r, err := p.Rcpt(ctx, login, "friend@foreign.test")
		if bySMTP = err; err == nil && r.To == "AUTH" {
			bySMTP = errors.New(r.String())
		}
	})
	all.Wait()
	in := byIMAP == nil
	if in != (byPOP3 == nil) || in != (bySMTP == nil) {
		t.Errorf("%s: imap %v, pop3 %v, submission %v", login, byIMAP, byPOP3, bySMTP)
	}
	if !in && (!strings.Contains(byIMAP.Error(), "AUTHENTICATIONFAILED") || !strings.Contains(byPOP3.Error(), "-ERR [AUTH]") ||
		!strings.HasPrefix(bySMTP.Error(), "AUTH: 535 ")) {
		t.Errorf("%s is told: imap %v, pop3 %v, submission %v", login, byIMAP, byPOP3, bySMTP)
	}
	return in
}

func TestOnlyTheOwnPasswordOfAnActiveBoxLogsIn(t *testing.T) {
	x, _ := boxes(t)
	var all sync.WaitGroup
	for _, c := range []struct {
		login, password string
		want            bool
	}{
		{"post@box.example", lab.Secret, true},
		{"POST@Box.Example", lab.Secret, true},
		{"a+b@box.example", lab.Secret, true},
		{"post@box.example", "wrong", false},
		{"post@box.example", "", false},
		{"post+tag@box.example", lab.Secret, false},
		{"nobody@box.example", lab.Secret, false},
		{"asleep@box.example", lab.Secret, false},
		{"asleep@box.example", "!", false},
		{"post@off.example", lab.Secret, false},
	} {
		all.Go(func() {
			if got := logsIn(t, x, c.login, c.password); got != c.want {
				t.Errorf("%s with %q: %v", c.login, c.password, got)
			}
		})
	}
	all.Wait()
	noFault(t, x)
}

// What the module writes with golang.org/x/crypto/argon2 is what Dovecot reads.
func TestHashMadeInGoIsOneOfDovecots(t *testing.T) {
	x, root := boxes(t)
	salt := []byte("sixteen bytes ..")
	key := argon2.IDKey([]byte("Grüße 🔑"), salt, 2, 19456, 1, 32)
	raw := base64.RawStdEncoding
	hash := fmt.Sprintf("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$%s$%s", raw.EncodeToString(salt), raw.EncodeToString(key))
	lab.PutBoxes(t, root, "other.example", lab.Box{Name: "caught", Password: hash})
	c := person(t, x, "caught@other.example")
	for password, want := range map[string]bool{"Grüße 🔑": true, "Grüße": false} {
		c.Password = password
		r, err := c.Rcpt(limited(t), "caught@other.example", "friend@foreign.test")
		if err != nil || r.OK() != want {
			t.Errorf("%q: %v, %v", password, r, err)
		}
	}
}

// Dovecot goes by the second of the change and by the size. The module sees to it
// that the time differs; Dovecot looks at most once a second.
func TestChangedPasswordOfTheSameLengthIsSeen(t *testing.T) {
	x, root := boxes(t)
	name := filepath.Join(root, files.Debian.Users(), "other.example")
	if !logsIn(t, x, "caught@other.example", lab.Secret) {
		t.Fatal("cannot log in at all")
	}
	for i, password := range []string{"first.", "second", "third."} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		lab.PutBoxes(t, root, "other.example", lab.Box{Name: "caught", Password: "{PLAIN}" + password})
		next := info.ModTime().Add(time.Second)
		if err := os.Chtimes(name, next, next); err != nil {
			t.Fatal(err)
		}
		if now, err := os.Stat(name); err != nil || now.Size() != info.Size() {
			t.Fatalf("change %d: sizes differ, %v", i, err)
		}
	}
	waitRefused(t, x, "caught@other.example", lab.Secret)
	for password, want := range map[string]bool{lab.Secret: false, "first.": false, "second": false, "third.": true} {
		if got := logsIn(t, x, "caught@other.example", password); got != want {
			t.Errorf("%s: %v", password, got)
		}
	}
}

func TestFoldersThatProgramsLookForAreThere(t *testing.T) {
	x, _ := boxes(t)
	c, err := x.IMAP(limited(t), "post@box.example", lab.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, l := range list {
		for _, a := range l.Attrs {
			if strings.Contains("\\Drafts\\Sent\\Junk\\Trash", string(a)) {
				found[l.Mailbox] += string(a)
			}
			if a == imap.MailboxAttrSubscribed {
				found[l.Mailbox] += " subscribed"
			}
		}
	}
	for _, name := range []string{"Drafts", "Sent", "Junk", "Trash"} {
		if got := found[name]; !strings.Contains(got, "\\"+name) || !strings.Contains(got, " subscribed") {
			t.Errorf("%s: %q", name, got)
		}
	}
	noFault(t, x)
}

func TestEncryptionOlderThanTLS12IsRefused(t *testing.T) {
	x, _ := boxes(t)
	c, err := x.TLS()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{x.Services().IMAPS, x.Services().POP3S, x.Services().Submissions} {
		old := c.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if conn, err := tls.Dial("tcp", addr, old); err == nil {
			_ = conn.Close()
			t.Errorf("%s speaks %x", addr, conn.ConnectionState().Version)
		}
		now := c.Clone()
		now.MinVersion = tls.VersionTLS12
		conn, err := tls.Dial("tcp", addr, now)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_ = conn.Close()
	}
}

// An address of this host's that is not the one connected to stands for another host.
func TestPasswordsInClearAreForThisHostAlone(t *testing.T) {
	x, _ := boxes(t)
	for from, want := range map[string]string{"127.0.0.1": "a OK ", "127.0.0.9": "a NO [PRIVACYREQUIRED]"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
		conn, err := d.DialContext(limited(t), "tcp", x.Services().IMAP)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		r := bufio.NewReader(conn)
		greeting, err := r.ReadString('\n')
		if err == nil {
			_, err = io.WriteString(conn, "a LOGIN post@box.example "+lab.Secret+"\r\n")
		}
		var answer string
		for err == nil && !strings.HasPrefix(answer, "a ") {
			answer, err = r.ReadString('\n')
		}
		if err != nil || !strings.HasPrefix(answer, want) {
			t.Errorf("from %s: %q, %v", from, answer, err)
		}
		if disabled := strings.Contains(greeting, "LOGINDISABLED"); disabled != strings.Contains(want, "NO") {
			t.Errorf("from %s: %q", from, greeting)
		}
		_ = conn.Close()
	}
}

// Whoever may write to these sockets reads passwords' answers or fills boxes.
func TestSocketsAreForEximAndRootAlone(t *testing.T) {
	x, root := boxes(t)
	for name, want := range map[string]string{"lmtp": "Debian-exim", "exim-auth": "Debian-exim", "exim-quota": "Debian-exim", "doveadm-server": "root"} {
		info, err := os.Stat(filepath.Join(root, "run/dovecot", name))
		if err != nil {
			t.Error(err)
			continue
		}
		uid := map[string]uint32{"root": 0, "Debian-exim": eximUID(t)}[want]
		if st := info.Sys().(*syscall.Stat_t); st.Uid != uid || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: user %d, mode %v", name, st.Uid, info.Mode())
		}
	}
	noFault(t, x)
}

// A session that runs is ended over a socket; no program and no signal is needed.
func TestSessionsAreEndedOverTheSocketOfDoveadm(t *testing.T) {
	x, _ := boxes(t)
	post, err := x.IMAP(limited(t), "post@box.example", lab.Secret)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x.IMAP(limited(t), "caught@other.example", lab.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	conn, err := x.Dovecot.Dial(limited(t), "doveadm-server")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "VERSION\tdoveadm-server\t1\t2\n\t\tkick\t*@box.example\n\t\tkick\t*@off.example\n"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for buf := make([]byte, 1024); !strings.Contains(got.String(), "-NOTFOUND\n"); {
		n, err := conn.Read(buf)
		if got.Write(buf[:n]); err != nil {
			t.Fatalf("%v: %q", err, got.String())
		}
	}
	if strings.Count(got.String(), "\n+\n") != 2 { // to the greeting, and to the first kick
		t.Errorf("answers: %q", got.String())
	}
	select {
	case <-post.Closed():
	case <-time.After(10 * time.Second):
		t.Error("the session goes on")
	}
	if err := other.Noop().Wait(); err != nil {
		t.Errorf("another domain's session: %v", err)
	}
}

func eximUID(t *testing.T) uint32 {
	t.Helper()
	u, err := user.Lookup(files.Debian.EximUser)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}
