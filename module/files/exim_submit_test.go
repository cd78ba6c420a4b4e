package files_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"maildomain/tests/lab"
)

// person is a client that logs in as a person's program does, over STARTTLS.
func person(t *testing.T, x *lab.Exim, login string) lab.Client {
	t.Helper()
	c, err := x.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return lab.Client{Addr: x.Services().Submission, TLS: c, Login: login, Password: lab.Secret}
}

// session is an open session at the submission port, encrypted and logged in.
func session(t *testing.T, x *lab.Exim, login string) *talk {
	t.Helper()
	k := open(t, x.Services().Submission)
	k.want(220, "")
	k.want(250, "EHLO client.test")
	k.startTLS(t)
	k.want(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+lab.Secret)))
	return k
}

// sentence is a reply whose lines Exim has broken, on one line.
func sentence(r lab.Reply) string {
	words := strings.Fields(replyLine(r))
	code := " " + words[1]
	return words[0] + code + strings.ReplaceAll(strings.Join(words[1:], " ")[len(words[1]):], code, "")
}

func TestPasswordsAreNotTakenInClearNorByOtherServersPort(t *testing.T) {
	x, _ := boxes(t)
	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00post@box.example\x00"+lab.Secret))
	k := open(t, x.Services().Submission)
	k.want(220, "")
	if offers := k.want(250, "EHLO client.test"); strings.Contains(offers, "AUTH") || !strings.Contains(offers, "STARTTLS") {
		t.Errorf("offered in clear: %s", offers)
	}
	k.want(503, plain)
	k.want(530, "MAIL FROM:<post@box.example>")

	k = open(t, x.Addr())
	k.want(220, "")
	k.want(250, "EHLO client.test")
	if offers := k.startTLS(t); strings.Contains(offers, "AUTH") {
		t.Errorf("offered at the port of servers: %s", offers)
	}
	k.want(503, plain)
	noFault(t, x)
}

func TestLogInsAndLettersOfOneSessionAreBounded(t *testing.T) {
	x, _ := boxes(t)
	k := open(t, x.Services().Submission)
	k.want(220, "")
	k.want(250, "EHLO client.test")
	k.startTLS(t)
	wrong := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00post@box.example\x00wrong"))
	for range 3 {
		k.want(535, wrong)
	}
	if got := k.want(554, wrong); !strings.Contains(got, "too many log-ins") {
		t.Error(got)
	}
	if _, err := k.conn.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}

	// The path to a login's file grows with each letter.
	k = session(t, x, "post@box.example")
	for range 100 {
		k.want(550, "MAIL FROM:<both@box.example>")
	}
	k.want(421, "MAIL FROM:<post@box.example>")
}

func TestWhoHasNotLoggedInSendsNothingAtThePortForPeople(t *testing.T) {
	x, _ := boxes(t)
	c := person(t, x, "")
	if r, err := c.Rcpt(limited(t), stranger, "post@box.example"); err != nil || r.To != "MAIL" || r.Code != 530 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestPersonSendsOverStartTLSAndOverTLSFromTheStart(t *testing.T) {
	x, _ := boxes(t)
	byTLS := person(t, x, "POST@Box.Example")
	byTLS.Addr, byTLS.FromStart = x.Services().Submissions, true
	for i, c := range []lab.Client{person(t, x, "post@box.example"), byTLS} {
		r, err := c.Send(limited(t), "post@box.example", []string{"friend@foreign.test"}, "From: Post <post@box.example>\nSubject: hi\n\nhi\n")
		if err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
		l := letters(t, x.Sink, i+1)[i]
		head, _, _ := strings.Cut(string(l.Data), "\r\n\r\n")
		if l.From != "post@box.example" || !strings.Contains(head, "\r\nMessage-Id: <") || !strings.Contains(head, "\r\nDate: ") {
			t.Errorf("from <%s>:\n%s", l.From, head)
		}
		for _, private := range []string{"127.0.0.1", "client.test", "Sender:", "authenticated"} {
			if strings.Contains(head, private) {
				t.Errorf("tells %s:\n%s", private, head)
			}
		}
	}
	noFault(t, x)
}

func TestWrongPasswordIsRefused(t *testing.T) {
	x, _ := boxes(t)
	for login, password := range map[string]string{
		"post@box.example": "Secret", "info@box.example": lab.Secret, "post@foreign.test": lab.Secret, "root": "",
	} {
		c := person(t, x, login)
		c.Password = password
		if r, err := c.Rcpt(limited(t), "post@box.example", "post@box.example"); err != nil || r.To != "AUTH" || r.Code != 535 {
			t.Errorf("%s: %v, %v", login, r, err)
		}
	}
	noFault(t, x)
}

func TestLoginSendsOnlyAsItsOwnAddresses(t *testing.T) {
	x, root := boxes(t)
	lab.PutDomain(t, root, "free.example", append(action("error"), "sendany: on")...)
	lab.PutBoxes(t, root, "free.example", lab.Box{Name: "me"}, lab.Box{Name: "colleague"})
	const post, me = "post@box.example", "me@free.example"
	from := func(a string) string { return "From: " + a + "\n" }
	for name, c := range map[string]struct {
		login, envelope, header string
		want                    string // where it is refused; empty: it is not
	}{
		"itself":                         {post, post, from("Post <post@box.example>"), ""},
		"itself in capitals":             {post, "POST@BOX.EXAMPLE", from("POST@Box.Example"), ""},
		"itself with a tag":              {post, "post+shop@box.example", from("post+shop@box.example"), ""},
		"its alias":                      {post, "info@box.example", from("sales@box.example"), ""},
		"two addresses of its own":       {post, post, from("post@box.example, info@box.example") + "Sender: post@box.example\n", ""},
		"the answer of a program":        {post, "", from(post), ""},
		"another box":                    {post, "both@box.example", from(post), "MAIL"},
		"another box's alias":            {post, "nap@box.example", from(post), "MAIL"},
		"a name that is caught":          {post, "nobody@box.example", from(post), "MAIL"},
		"another box with a tag":         {post, "a+b@box.example", from(post), "MAIL"},
		"another tenant":                 {post, "caught@other.example", from(post), "MAIL"},
		"a foreign sender":               {post, stranger, from(post), "MAIL"},
		"own name elsewhere":             {post, "post@other.example", from(post), "MAIL"},
		"a domain below":                 {post, "post@sub.box.example", from(post), "MAIL"},
		"quoted":                         {post, `"post"@box.example`, from(post), "MAIL"},
		"foreign From":                   {post, post, from("boss@bank.test"), "."},
		"another tenant's From":          {post, post, from("Caught <caught@other.example>"), "."},
		"a colleague's From":             {post, post, from("both@box.example"), "."},
		"From with two, one forged":      {post, post, from("post@box.example, boss@bank.test"), "."},
		"two lines From":                 {post, post, from(post) + from("boss@bank.test"), "."},
		"two lines From, forged first":   {post, post, from("boss@bank.test") + "X: y\n" + "from : post@box.example\n", "."},
		"forged Sender":                  {post, post, from(post) + "Sender: boss@bank.test\n", "."},
		"two lines Sender":               {post, post, from(post) + "Sender: post@box.example\nSender: boss@bank.test\n", "."},
		"group":                          {post, post, from("friends: post@box.example, boss@bank.test;"), "."},
		"empty group":                    {post, post, from("nobody:;"), "."},
		"forged behind a comment":        {post, post, from("boss@bank.test (post@box.example)"), "."},
		"own in the name":                {post, post, from(`"post@box.example" <boss@bank.test>`), "."},
		"forged in the name":             {post, post, from(`"boss@bank.test" <post@box.example>`), ""},
		"encoded address":                {post, post, from("=?utf-8?q?boss=40bank.test?="), "."},
		"broken":                         {post, post, from("<post@box.example"), "."},
		"broken, then forged":            {post, post, from("post@box.example <boss@bank.test"), "."},
		"folded":                         {post, post, "From:\n boss@bank.test\n", "."},
		"no From, so Exim adds it":       {post, post, "Subject: x\n", ""},
		"route":                          {post, post, from("<@box.example:boss@bank.test>"), "."},
		"any of the domain":              {me, "whoever@free.example", from("colleague@free.example"), ""},
		"any, but of another domain":     {me, "post@box.example", from(me), "MAIL"},
		"any, but From another's domain": {me, me, from(post), "."},
	} {
		r, err := person(t, x, c.login).Send(limited(t), c.envelope, []string{"friend@foreign.test"}, c.header+"Subject: x\n\nx\n")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if refused := map[bool]string{true: "", false: r.To}[r.OK()]; refused != c.want {
			t.Errorf("%s: %v, want it refused at %q", name, r, c.want)
		}
		if !r.OK() && !strings.HasPrefix(sentence(r), "550 5.7.1 ") {
			t.Errorf("%s: %v", name, r)
		}
	}
	if r, _ := person(t, x, post).Rcpt(limited(t), "boss@bank.test", post); sentence(r) != "550 5.7.1 post@box.example may send as itself and its aliases, not as boss@bank.test" {
		t.Errorf("the sentence: %v", r)
	}
	noFault(t, x)
}

// A session that is open when the mailbox is suspended sends no further letter.
func TestSuspendedLoginCannotSendInAnOpenSession(t *testing.T) {
	x, root := boxes(t)
	k, other, idle := session(t, x, "post@box.example"), session(t, x, "caught@other.example"), session(t, x, "post@box.example")
	idle.want(250, "MAIL FROM:<post@box.example>")
	idle.want(250, "RCPT TO:<friend@foreign.test>")
	idle.want(250, "RSET")
	for _, c := range []*talk{k, other} {
		from := map[*talk]string{k: "post@box.example", other: "caught@other.example"}[c]
		c.want(250, "MAIL FROM:<"+from+">")
		c.want(250, "RCPT TO:<friend@foreign.test>")
		c.want(354, "DATA")
		c.want(250, "From: "+from+"\r\n\r\nx\r\n.")
	}
	lab.PutBoxes(t, root, "box.example", lab.Box{Name: "post", Suspended: true, Aliases: []string{"info"}})
	lab.PutDomain(t, root, "other.example", suspend(action("error"))...)
	if got := k.want(550, "MAIL FROM:<post@box.example>"); !strings.Contains(got, "suspended") {
		t.Error(got)
	}
	other.want(550, "MAIL FROM:<caught@other.example>")
	idle.want(550, "MAIL FROM:<post@box.example>")
	noFault(t, x)
}

func TestLettersAnHourAreLimited(t *testing.T) {
	x, root := boxes(t)
	lab.PutDomain(t, root, "other.example", append(action("error"), "mailrate: 3")...)
	const me = "caught@other.example"
	lab.PutBoxes(t, root, "other.example", lab.Box{Name: "caught"}, lab.Box{Name: "second"})
	for i := range 5 {
		r, err := person(t, x, []string{me, "Caught@Other.Example"}[i%2]).Send(limited(t), me, []string{"friend@foreign.test"}, "From: "+me+"\n\nx\n")
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: ".", false: "MAIL"}[i < 3]; r.To != want || r.OK() != (i < 3) {
			t.Errorf("letter %d: %v", i+1, r)
		}
		if i >= 3 && sentence(r) != "450 4.7.1 caught@other.example has sent all the letters of this hour, try again later" {
			t.Errorf("letter %d: %v", i+1, r)
		}
	}
	if r, err := person(t, x, "second@other.example").Rcpt(limited(t), "second@other.example", "friend@foreign.test"); err != nil || !r.OK() {
		t.Errorf("another login of the domain: %v, %v", r, err)
	}
	lab.PutDomain(t, root, "other.example", append(action("error"), "mailrate: 0")...)
	if r, err := person(t, x, "second@other.example").Rcpt(limited(t), "second@other.example", "friend@foreign.test"); err != nil || r.Code != 450 {
		t.Errorf("none at all: %v, %v", r, err)
	}
	noFault(t, x)
}

func TestHostileLoginNamesAreRefused(t *testing.T) {
	x, _ := boxes(t)
	someone := person(t, x, "")
	var all sync.WaitGroup
	few := make(chan struct{}, 8) // the servers take so many clients of one address, and let each wait
	for _, login := range []string{
		"a@../../etc/passwd", "a@../users/box.example", "../box.example@.", "post@..", "post@.", "post@", "@box.example", "@", "*@box.example", "p*@box.example",
		"post@box.example\n", "post@box.example:x", "'post'@box.example", `"post"@box.example`, "post@box.example@box.example", "post%box.example",
		"\x00post@box.example", "nobody@box.example\x00post@box.example", "post@BOX.example/", "$post@box.example", "%u@box.example", "%d", "pöst@box.example",
		strings.Repeat("a", 64<<10) + "@box.example", "post@" + strings.Repeat("a.", 32<<10) + "example", "# maildomain 1@box.example", "#@box.example",
	} {
		all.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			short := fmt.Sprintf("%.40q", login)
			c := someone
			c.Login, c.Password = login, lab.Secret
			r, err := c.Rcpt(limited(t), "post@box.example", "friend@foreign.test")
			if err == nil && (r.To != "AUTH" || r.Code/100 != 5) {
				t.Errorf("SMTP %s: %v", short, r)
			}
			if l, err := x.IMAP(limited(t), login, lab.Secret); err == nil {
				t.Errorf("IMAP %s: logged in", short)
				_ = l.Close()
			}
			if strings.ContainsAny(login, "\n\x00") {
				return // a line of POP3 has neither
			}
			if _, err := x.POP3(limited(t), login, lab.Secret); err == nil {
				t.Errorf("POP3 %s: logged in", short)
			}
		})
	}
	all.Wait()
	if _, err := x.POP3(limited(t), "post@box.example", lab.Secret); err != nil {
		t.Errorf("afterwards nobody can log in: %v", err)
	}
	noPanic(t, x)
}
