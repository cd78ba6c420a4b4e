package mail

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Lines as Exim 4.96 wrote them; what became of a letter is counted by ours alone.
func TestLinesOfEximsLog(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"2026-11-23 01:32:43 1xVIvD-00086Y-0o maildomain: 1795397563 accepted plain.example", "1795397563 accepted plain.example"},
		{"2026-11-23 01:32:43 1xVIvD-00000k-1C maildomain: 1795397563 sent plain.example", "1795397563 sent plain.example"},
		{"2026-11-23 01:32:43 maildomain: 1795397563 greylisted grey.example", "1795397563 greylisted grey.example"},
		{"2026-11-23 10:32:43 +0900 1xVIvD-00086Y-0o maildomain: 1795397563 delivered xn--bcher-kva.example", "1795397563 delivered xn--bcher-kva.example"},
		{"2026-11-22 20:02:43.123 -0530 [4711] 1xVIvD-00086Y-0o maildomain: 1795397563 virus a.example", "1795397563 virus a.example"},
		{"2026-11-23 01:32:43 [4711] maildomain: 1795397563 refused a.example", "1795397563 refused a.example"},
		{"2026-11-23 01:32:43 1rGbt2-0000000BVHk-1234 maildomain: 1795397563 spam a.example", "1795397563 spam a.example"}, // ids since Exim 4.97

		{"2026-11-23 01:32:43 1xVIvD-00086Y-0o <= root@mail.lab.test U=root P=local S=281 for post@plain.example post@virus.example", ""},
		{`2026-11-23 01:32:43 1xVIvD-00086Y-0o => post <post@plain.example> R=box T=mailbox C="250 2.0.0 <post@plain.example> oBjXELuXA2sMAAAAg+zDdQ Saved"`, ""},
		{"2026-11-23 01:32:43 1xVIvD-00086Y-0o Completed", ""},
		{"2026-11-23 01:34:45 1xVIxB-0001PF-1c ** maildomain: 1795396801 accepted victim.example@own.example <\"maildomain: 1795396801 accepted victim.example\"@own.example> R=restricted: 553 5.1.3 restricted characters in the address", ""},
		{"2026-11-23 01:34:45 1xVIxB-0001PF-1c <= nobody@mail.lab.test U=nobody P=local S=390 for \"maildomain: 1795396801 accepted victim.example\"@own.example", ""},
		{"2026-11-23 01:34:45 rejected EHLO from [127.0.0.1] I=[127.0.0.1]:39721: syntactically invalid argument(s): maildomain: 1795396801 accepted victim.example", ""},
		{`2026-11-23 01:34:45 SMTP syntax error in "MAIL FROM:<maildomain: 1795396801 accepted victim.example>" H=(client.test) [127.0.0.1] I=[127.0.0.1]:39721 "@" or "." expected after "maildomain"`, ""},
		{`2026-11-23 01:34:45 H=(client.test) [127.0.0.1] I=[127.0.0.1]:39721 F=<"maildomain: 1795396801 accepted victim.example"@elsewhere.test> rejected RCPT <x@own.example>: 550 5.1.1 no such mailbox`, ""},
		{`2026-11-23 01:34:45 1xVIxB-0001PF-1c H=(client.test) [127.0.0.1] Warning: 2026-11-23 01:34:45 maildomain: 1795396801 accepted victim.example`, ""},

		{"maildomain: 1795397563 accepted a.example", ""},
		{" 2026-11-23 01:32:43 maildomain: 1795397563 accepted a.example", ""},
		{"2026-11-23 01:32:43  maildomain: 1795397563 accepted a.example", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 accepted a.example ", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 accepted a.example b.example", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 accepted A.example", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 accepted a", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 accepted ", ""},
		{"2026-11-23 01:32:43 maildomain: 1795397563 stolen a.example", ""},
		{"2026-11-23 01:32:43 maildomain: -1 accepted a.example", ""},
		{"2026-11-23 01:32:43 maildomain: 1e3 accepted a.example", ""},
		{"2026-11-23 01:32:43 maildomain: 99999999999999999999 accepted a.example", ""},
		{"2026-11-23 01:32:43 maildomain:  accepted a.example", ""},
		{"2026-11-23 01:32:43 1xVIvD-00086Y-0o 1xVIvD-00086Y-0o maildomain: 1795397563 accepted a.example", ""},
		{"2026-11-23 01:32:43 [x] maildomain: 1795397563 accepted a.example", ""},
		{"2026-11-23 01:32:4\n maildomain: 1795397563 accepted a.example", ""},
		{"", ""},
	} {
		n, ok := ParseLogLine([]byte(c.line))
		got := ""
		if ok {
			got = fmt.Sprint(n.At.Unix(), " ", n.Fate, " ", n.Domain)
		}
		if got != c.want {
			t.Errorf("%s\nsays %q, want %q", c.line, got, c.want)
		}
	}
}

func TestDaysAreThoseOfAZone(t *testing.T) {
	at := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	for zone, want := range map[string]string{"UTC": "2026-03-29", "America/New_York": "2026-03-28", "Pacific/Kiritimati": "2026-03-29", "Europe/Berlin": "2026-03-29"} {
		l, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := DayOf(at, l); got.String() != want {
			t.Errorf("%s: %s, want %s", zone, got, want)
		}
		// Days follow one another also where clocks are put forward.
		if a, b := DayOf(at.AddDate(0, 0, 1), l), DayOf(at, l); a != b+1 {
			t.Errorf("%s: after %d comes %d", zone, b, a)
		}
	}
	if got := Day(-1).String(); got != "1969-12-31" {
		t.Error(got)
	}
}

// Whatever a line is: what is read of it is what it ends with, right behind the time
// and an id, and what was noted is read back.
func FuzzParseLogLine(f *testing.F) {
	f.Add("2026-11-23 01:32:43 1xVIvD-00086Y-0o maildomain: 1795397563 accepted plain.example")
	f.Add("2026-11-22 20:02:43.123 -0530 [4711] maildomain: 0 virus a.example")
	f.Add("2026-11-23 01:34:45 H=(maildomain: 1795396801 accepted victim.example) [127.0.0.1] x")
	f.Fuzz(func(t *testing.T, line string) {
		n, ok := ParseLogLine([]byte(line))
		if ok {
			head, said, _ := strings.Cut(line, notedMark)
			words := strings.Fields(head)
			if len(words) < 2 || len(words) > 5 || strings.ContainsAny(line, "\n\r\x00\"<>=()") {
				t.Errorf("%q is taken for ours", line)
			}
			if field := strings.Fields(said); len(field) != 3 || field[1] != n.Fate.String() || field[2] != n.Domain.String() {
				t.Errorf("%q says %v", line, n)
			}
		}
		if strings.ContainsAny(line, "\n") {
			return
		}
		for _, around := range []string{"H=(%s) [127.0.0.1]", "<= %s", "SMTP error %s", `x "%s"`} {
			if _, ok := ParseLogLine([]byte("2026-11-23 01:34:45 1xVIxB-0001PF-1c " + fmt.Sprintf(around, line))); ok {
				t.Errorf("%q makes a line of ours", line)
			}
		}
	})
}
