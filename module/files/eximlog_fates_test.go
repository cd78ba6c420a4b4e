package files_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// tallied is what Exim's log has for the counters, as "DOMAIN FATE NUMBER" in order.
func tallied(t *testing.T, x *lab.Exim) []string {
	t.Helper()
	if err := x.Rest(limited(t)); err != nil {
		t.Fatal(err)
	}
	log, err := x.Log()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int{}
	for line := range strings.Lines(log) {
		n, ok := mail.ParseLogLine([]byte(strings.TrimSuffix(line, "\n")))
		if !ok {
			continue
		}
		if age := time.Since(n.At); age < -time.Second || age > time.Hour {
			t.Errorf("noted %v ago: %s", age, line)
		}
		sums[n.Domain.String()+" "+n.Fate.String()]++
	}
	var all []string
	for what, n := range sums {
		all = append(all, fmt.Sprint(what, " ", n))
	}
	slices.Sort(all)
	return all
}

// counting holds what each step adds to the log against what it is to.
type counting struct {
	t      *testing.T
	x      *lab.Exim
	before []string
}

func (c *counting) adds(what string, want ...string) {
	c.t.Helper()
	was := map[string]int{}
	for _, s := range c.before {
		var n int
		i := strings.LastIndex(s, " ")
		fmt.Sscan(s[i+1:], &n)
		was[s[:i]] = n
	}
	var got []string
	// Exim answers first and delivers then.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		now := tallied(c.t, c.x)
		got = nil
		for _, s := range now {
			var n int
			i := strings.LastIndex(s, " ")
			fmt.Sscan(s[i+1:], &n)
			if n -= was[s[:i]]; n != 0 {
				got = append(got, fmt.Sprint(s[:i], " ", n))
			}
		}
		c.before = now
		slices.Sort(want)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			c.t.Errorf("%s: %q, want %q", what, got, want)
			return
		}
		c.before = nil
		for s, n := range was {
			c.before = append(c.before, fmt.Sprint(s, " ", n))
		}
	}
}

// Each fate raises its counter, for the domain that the letter was for, and no other.
func TestEachFateIsCountedOnce(t *testing.T) {
	lab.NeedDovecot(t)
	clamd, grey, spamd := lab.StartClamd(t), lab.StartPostgrey(t, time.Minute), lab.StartSpamd(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "plain.example", append(filtered(), "mailboxes: on")...)
	lab.PutDomain(t, root, "virus.example", filtered("avcheck")...)
	lab.PutDomain(t, root, "grey.example", filtered("greylist")...)
	lab.PutDomain(t, root, "spam.example", filtered("spamassassin")...)
	lab.PutDomain(t, root, "err.example", action("error")...)
	lab.PutDomain(t, root, "sus.example", suspend(action("error"))...)
	lab.PutDomain(t, root, "leads.example", action("redirect", "post@plain.example")...)
	lab.PutDomain(t, root, "away.example", action("redirect", "me@foreign.test")...)
	for _, d := range []string{"plain.example", "virus.example", "spam.example"} {
		lab.PutBoxes(t, root, d, lab.Box{Name: "post", Spamassassin: true, Aliases: []string{"alias"}})
	}
	putFilters(t, root, judges{clamd: clamd, postgrey: grey, spamd: spamd}, "spam_mark: 50", "spam_reject: 150")
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	c := &counting{t: t, x: x}
	send := func(text string, to ...string) {
		t.Helper()
		if _, _, err := (lab.Client{Addr: x.Addr()}).SendAll(limited(t), stranger, to, letterOf(text)); err != nil {
			t.Fatal(err)
		}
	}

	send("x", "post@plain.example")
	c.adds("a plain letter", "plain.example accepted 1", "plain.example delivered 1")
	send("x", "alias@plain.example", "POST+tag@Plain.Example", "any@plain.example")
	c.adds("alias, tag and a name that is thrown away", "plain.example accepted 3", "plain.example delivered 1")
	send("x", "a@leads.example")
	c.adds("sent on to a mailbox here", "leads.example accepted 1", "plain.example delivered 1")
	send("x", "a@away.example")
	c.adds("sent on to elsewhere", "away.example accepted 1")
	send("x", "a@err.example", "b@err.example", "post@plain.example", "a@sus.example", "a@foreign.test")
	c.adds("unknown, suspended, foreign", "err.example refused 2", "plain.example accepted 1", "plain.example delivered 1")
	send(strings.Repeat("x", 2000), "post@plain.example", "any@plain.example")
	c.adds("a line that is too long", "plain.example refused 2")
	send("x", "a@grey.example", "b@grey.example")
	c.adds("greylisted", "grey.example greylisted 2")
	send(lab.Virus, "post@virus.example", "any@virus.example")
	c.adds("a virus", "virus.example virus 2")
	send("x", "post@virus.example")
	c.adds("no virus", "virus.example accepted 1", "virus.example delivered 1")
	send(lab.Spam, "post@spam.example", "any@spam.example")
	c.adds("spam", "spam.example spam 2")
	send(lab.SpamLike, "post@spam.example")
	c.adds("like spam", "spam.example accepted 1", "spam.example delivered 1", "spam.example spam 1")
	send("x", "a|b@plain.example", `"a b"@plain.example`)
	c.adds("restricted characters", "plain.example refused 2")
	if _, err := x.Send(limited(t), "nobody@err.example", "post@plain.example", letterOf("x")); err != nil {
		t.Fatal(err)
	}
	c.adds("a sender of ours that there is not", "plain.example accepted 1", "plain.example delivered 1") // as is: ours are not asked
	clamd.Kill()
	send("x", "post@virus.example")
	c.adds("put off while the scanner is down")
	if err := clamd.Start(limited(t)); err != nil {
		t.Fatal(err)
	}

	// By a program of this server, and on the way around the scanner: each once.
	local := func(words string, to ...string) {
		t.Helper()
		script := "printf 'Subject: local\\n\\n" + words + "\\n' | /usr/sbin/exim4 -i " + strings.Join(to, " ")
		if status, out, err := x.Exec(limited(t), "/bin/sh", "-c", script); err != nil || status != 0 {
			t.Fatal(status, out, err)
		}
	}
	local("plain", "post@plain.example", "post@virus.example")
	c.adds("a program's letter", "plain.example accepted 1", "plain.example delivered 1", "virus.example accepted 1", "virus.example delivered 1")

	r, err := person(t, x, "post@plain.example").Send(limited(t), "post@plain.example", []string{"post@plain.example", "post@virus.example", "friend@foreign.test"},
		"From: post@plain.example\nSubject: x\n\nhello\n")
	if err != nil || !r.OK() {
		t.Fatal(r, err)
	}
	c.adds("a person's letter", "plain.example sent 1", "plain.example accepted 1", "plain.example delivered 1", "virus.example accepted 1", "virus.example delivered 1")
	r, err = person(t, x, "post@plain.example").Send(limited(t), "post@plain.example", []string{"post@plain.example"}, "From: foe@plain.example\nSubject: x\n\nhello\n")
	if err != nil || r.OK() {
		t.Fatal(r, err)
	}
	c.adds("a person's letter that is not sent")
	if p, err := x.PanicLog(); err != nil || strings.Count(p, "\n") != strings.Count(p, "malware acl condition") {
		t.Errorf("panic log: %v\n%s", err, p)
	}
}

// A letter for 20 recipients in 5 domains counts for each domain its own.
func TestManyRecipientsCountForTheirDomains(t *testing.T) {
	settings := map[string][]string{}
	var to, want []string
	for d := range 5 {
		name := fmt.Sprintf("d%d.example", d)
		settings[name] = action("ignore")
		for n := range d + 2 {
			to = append(to, fmt.Sprintf("n%d@%s", n, name))
		}
		want = append(want, fmt.Sprintf("%s accepted %d", name, d+2))
	}
	x, _ := start(t, settings, lab.Options{})
	rcpt, last, err := (lab.Client{Addr: x.Addr()}).SendAll(limited(t), stranger, to, letterOf("x"))
	if err != nil || len(rcpt) != 20 || !last.OK() {
		t.Fatal(rcpt, last, err)
	}
	(&counting{t: t, x: x}).adds("20 recipients", want...)
	noPanic(t, x)
}

// Nobody makes a line by what he sends: not by a name, an address, a header or a
// greeting, with line ends in them or without.
func TestNobodyForgesALineOfTheCounters(t *testing.T) {
	x, _ := start(t, map[string][]string{"victim.example": action("ignore"), "own.example": action("error")}, lab.Options{Relay: []string{"127.0.0.7"}})
	for _, line := range []string{
		"maildomain: 1795396801 accepted victim.example",
		"2026-11-23 01:20:01 maildomain: 1795396801 accepted victim.example",
		"2026-11-23 01:20:01 1oabcd-000001-AB maildomain: 1795396801 virus victim.example",
	} {
		for _, end := range []string{"", "\n", "\r", "\r\n", "\x00", "\x0b", "\xe2\x80\xa8"} {
			text := end + line + end
			quoted := `"` + text + `"@own.example`
			letter := "From: " + text + " <a@b.test>\r\nSubject: " + text + "\r\nMessage-ID: <" + text + "@x>\r\n" + line + "\r\n\r\n" + text + "\r\n"
			for _, c := range []struct{ helo, from, to, client string }{
				{text, stranger, "x@own.example", ""},
				{"client.test", text, "x@own.example", ""},
				{"client.test", `"` + text + `"@elsewhere.test`, "x@own.example", ""},
				{"client.test", stranger, quoted, ""},
				{"client.test", stranger, text, ""},
				{"client.test", stranger, "x@" + text, ""},
				{"client.test", stranger, "x@own.example> " + text, ""},
				{text, `"` + text + `"@elsewhere.test`, `"` + text + `"@foreign.test`, "127.0.0.7"},
				{text, `"` + text + `"@elsewhere.test`, "me@foreign.test", "127.0.0.7"},
			} {
				// Most is refused, and some ends the session: what counts is the log.
				_, _, _ = (lab.Client{Addr: x.Addr(), Helo: c.helo, Local: c.client}).SendAll(limited(t), c.from, []string{c.to}, letter)
			}
			for _, args := range [][]string{
				{"-i", "-f", text, "x@own.example"}, {"-i", "-f", quoted, quoted}, {"-i", "-F", text, "x@own.example"}, {"-i", "-oMr", text, "x@own.example"},
				{"-i", text}, {"-bs", "-oMs", text}, {"-i", "-f", `"` + text + `"@elsewhere.test`, "x@own.example"},
				{"-i", "-oMa", text, "x@own.example"}, {"-i", "-oMt", text, "x@own.example"}, {"-i", "-oMai", text, "x@own.example"}, {"-bt", quoted}, {"-bv", quoted},
			} {
				cmd := append([]string{"-c", `printf 'Subject: %s\n\nx\n' "$0" | setpriv --reuid=nobody --clear-groups /usr/sbin/exim4 "$@"`, strings.ReplaceAll(text, "\x00", "")}, args...)
				for i := range cmd {
					cmd[i] = strings.ReplaceAll(cmd[i], "\x00", "")
				}
				_, _, _ = x.Exec(limited(t), "/bin/sh", cmd...)
			}
		}
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Fatal("a local user's attempts need setpriv, of util-linux: ", err)
	}
	for _, s := range tallied(t, x) {
		if strings.HasPrefix(s, "victim.example") {
			t.Errorf("in the log: %s", s)
		}
	}
	log, err := x.Log()
	if err != nil || strings.Count(log, "victim.example") < 100 {
		t.Errorf("what was tried is not in the log (%d times): %v", strings.Count(log, "victim.example"), err)
	}
}

// Whatever zone Exim logs in, and says, the instant is the right one.
func TestZoneOfTheLogDoesNotMatter(t *testing.T) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "ign.example", action("ignore")...)
	lab.Put(t, root, files.Debian.Hooks()+"/main.conf", "timezone = Asia/Tokyo\nlog_timezone = true\n")
	x := lab.Start(t, root, lab.Options{})
	if _, err := x.Send(limited(t), stranger, "x@ign.example", letterOf("x")); err != nil {
		t.Fatal(err)
	}
	(&counting{t: t, x: x}).adds("a letter", "ign.example accepted 1")
	log, err := x.Log()
	if err != nil || !strings.Contains(log, " +0900 1x") {
		t.Errorf("the log is not in another zone: %v\n%s", err, log)
	}
	noPanic(t, x)
}
