package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// local has a program of this server hand over a letter for post@on.example.
func local(t *testing.T, x *lab.Exim, words string) {
	t.Helper()
	script := "printf 'Subject: local\\n\\n" + words + "\\n' | /usr/sbin/exim4 -i post@on.example"
	if status, out, err := x.Exec(limited(t), "/bin/sh", "-c", script); err != nil || status != 0 {
		t.Fatal(status, out, err)
	}
}

// A letter that is sent on, or that a program of this server hands over, comes to a
// domain that has letters scanned by no other way than the scanner.
func TestNoWayLeadsAroundTheVirusScan(t *testing.T) {
	lab.NeedDovecot(t)
	clamd := lab.StartClamd(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post"})
	lab.PutBoxes(t, root, "off.example",
		lab.Box{Name: "post", Forward: []string{"post@on.example"}},
		lab.Box{Name: "many", Forward: []string{"post@on.example", "friend@foreign.test"}, DontSave: true})
	putFilters(t, root, judges{clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	for _, to := range []string{"post@off.example", "many@off.example"} {
		for _, words := range []string{lab.Virus, "plain"} {
			if got := sent(t, x, to, letterOf(words)); got != "taken" {
				t.Fatalf("%s: %s", to, got)
			}
		}
	}
	local(t, x, lab.Virus)
	local(t, x, "plain")
	local(t, x, strings.Repeat("x", 2000)) // no other server takes such a line, and this one of its own programs
	waitLog(t, x, "R=unscanned T=to_ourselves")
	for _, l := range inbox(t, x, "post@on.example", 4) {
		if strings.Contains(l, lab.Virus) {
			t.Errorf("a virus arrived:\n%s", l)
		}
	}
	inbox(t, x, "post@off.example", 2)
	if log, err := x.Log(); err != nil || strings.Count(log, "rejected after DATA: "+hasVirus) != 3 {
		t.Errorf("refused on the way: %v\n%s", err, log)
	}
	noFault(t, x)
}

// The way by the scanner makes no answer of a letter that another server's filter has
// seen, and no letter of an answer.
func TestAnswersStayAnswersOnTheWayToTheScanner(t *testing.T) {
	lab.NeedDovecot(t)
	clamd := lab.StartClamd(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post"})
	lab.PutBoxes(t, root, "off.example", lab.Box{Name: "away"},
		lab.Box{Name: "many", Forward: []string{"post@on.example", "friend@foreign.test"}, DontSave: true})
	putFilters(t, root, judges{clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true, Relay: []string{"127.0.0.2"}})
	const seen = "X-Sieve: CMU Sieve 3.0\nFrom: Somebody <else@elsewhere.test>\nSubject: seen before\n\n"
	if got := sent(t, x, "many@off.example", seen+"of a stranger.\n"); got != "taken" {
		t.Error(got)
	}
	gateway := lab.Client{Addr: x.Addr(), Local: "127.0.0.2"}
	if r, err := gateway.Send(limited(t), stranger, []string{"post@on.example"}, seen+"by a gateway.\n"); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	got := strings.Join(inbox(t, x, "post@on.example", 2), "")
	if !strings.Contains(got, "of a stranger.") || !strings.Contains(got, "by a gateway.") || strings.Count(got, "Return-Path: <"+stranger+">") != 2 {
		t.Errorf("letters that a filter has seen:\n%s", got)
	}
	manage(t, x, "away@off.example").put(`require ["vacation"]; vacation "I am away.";`)
	r, err := x.Send(limited(t), "many@off.example", "away@off.example", "From: many@off.example\nTo: away@off.example\nSubject: x\n\nx\n")
	if err != nil || r.Code != 250 {
		t.Fatal(r, err)
	}
	for _, l := range inbox(t, x, "post@on.example", 3) {
		if strings.Contains(l, "I am away.") != strings.Contains(l, "Return-Path: <>") {
			t.Errorf("not as it was:\n%s", l)
		}
	}
	if log, err := x.Log(); err != nil || !strings.Contains(log, "H=(answer.invalid)") {
		t.Errorf("the answer was not scanned: %v\n%s", err, log)
	}
	noFault(t, x)
}

// What this machine says when it has a letter scanned is nobody else's to say.
func TestNobodyElseIsTakenForThisServer(t *testing.T) {
	clamd := lab.StartClamd(t)
	x, root := start(t, map[string][]string{"on.example": filtered("avcheck"), "off.example": filtered()}, lab.Options{Relay: []string{"127.0.0.2"}})
	putFilters(t, root, judges{clamd: clamd})
	const tooLong = "554 5.6.0 a line is longer than 998 octets"
	for name, c := range map[string]lab.Client{"a stranger": {Addr: x.Addr()}, "a host that may relay": {Addr: x.Addr(), Local: "127.0.0.2"}} {
		for _, c.Helo = range []string{"scan.invalid", "answer.invalid"} {
			for _, l := range []struct{ to, words, want string }{
				{"x@off.example", strings.Repeat("x", 2000), tooLong},
				{"x@on.example", lab.Virus, hasVirus},
				{"x@on.example", "plain", "250 OK"}, // though from somebody who is nobody's box here
			} {
				if r, err := c.Send(limited(t), stranger, []string{l.to}, letterOf(l.words)); err != nil || !strings.HasPrefix(replyLine(r), l.want) {
					t.Errorf("%s, %.20s: %s, %v, want %s", name, l.words, replyLine(r), err, l.want)
				}
			}
		}
	}
	noPanic(t, x)
}

// A file of filters that is gone or cannot be read says nothing: who has letters scanned
// gets none that was not.
func TestLettersWaitWhileFiltersCannotBeRead(t *testing.T) {
	lab.NeedDovecot(t)
	clamd := lab.StartClamd(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post"})
	lab.PutBoxes(t, root, "off.example", lab.Box{Name: "post"},
		lab.Box{Name: "many", Forward: []string{"post@on.example", "post@off.example"}, DontSave: true})
	putFilters(t, root, judges{clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	name := filepath.Join(root, files.Debian.Filters())
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	local(t, x, lab.Virus)
	local(t, x, "missing.")
	if got := sent(t, x, "many@off.example", letterOf("sent on.", lab.Virus)); got != "taken" {
		t.Error(got)
	}
	if r := ask(t, x, "post@on.example"); r.Code != 451 {
		t.Errorf("missing: %s", replyLine(r))
	}
	inbox(t, x, "post@off.example", 1)
	if err := os.Mkdir(name, 0o755); err != nil { // it can be read no better
		t.Fatal(err)
	}
	local(t, x, "unreadable.")
	runQueue(t, x)
	if q, err := x.Queue(limited(t)); err != nil || len(q) != 4 {
		t.Errorf("queue: %+v, %v", q, err)
	}
	inbox(t, x, "post@on.example", 0)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	putFilters(t, root, judges{clamd: clamd})
	runQueue(t, x)
	if l := strings.Join(inbox(t, x, "post@on.example", 2), ""); !strings.Contains(l, "missing.") || !strings.Contains(l, "unreadable.") {
		t.Errorf("arrived:\n%s", l)
	}
	if log, err := x.Log(); err != nil || strings.Count(log, "rejected after DATA: "+hasVirus) != 2 ||
		strings.Count(log, " accepted on.example") != 2 || strings.Count(log, " virus on.example") != 2 {
		t.Errorf("refused on the way: %v\n%s", err, log)
	}
}
