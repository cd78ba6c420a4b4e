package tests

import (
	"fmt"
	"strings"
	"testing"

	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// A person asks at the panel what is really served, and is told of each port.
func TestCheckTellsWhatEachMailServerShows(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "exim4")
	lab.NeedDovecot(t)
	p := lab.FreeAddrs(t, 8)
	w := world.Start(t, world.Options{Module: []string{"--servers", fmt.Sprintf(
		"smtp=%s submissions=%s submission=%s imap=%s imaps=%s pop3=%s pop3s=%s", p[0], p[1], p[2], p[3], p[4], p[5], p[6])}})
	x := lab.Start(t, w.Root, lab.Options{Dovecot: true, Listen: p[0],
		Services: lab.Services{Submissions: p[1], Submission: p[2], IMAP: p[3], IMAPS: p[4], POP3: p[5], POP3S: p[6], Sieve: p[7]}})
	w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "secure", "on", "secure_alias", "mail.a.example imap.a.example", "sok", "ok")
	// seen is what the check says of the certificate for the two names: the same, or
	// nothing. Each name is looked for by itself, and Dovecot may read its certificates
	// anew in between.
	seen := func() (status, said, at string) {
		var rows []map[string]string
		for _, row := range w.Must(t, "user1", "emaildomain.check", "elid", "a.example").Elems {
			if row["why"] == "certificate of a mail name" {
				rows = append(rows, row)
			}
		}
		if len(rows) != 2 {
			t.Fatalf("%d names are told of, and not two", len(rows))
		}
		last := rows[1]
		if status, said = last["status"], last["said"]; status != rows[0]["status"] || said != rows[0]["said"] {
			return "", "", ""
		}
		return status, said, last["seen"]
	}
	soon(t, w, "the certificate is served everywhere", func() bool {
		status, _, at := seen()
		return status == "right" && strings.Count(at, "mail.a.example imap.a.example") == 7
	})
	x.Dovecot.Stop()
	soon(t, w, "it is told that Dovecot is gone", func() bool {
		status, _, at := seen()
		return status == "right" && strings.Contains(at, "imaps "+p[4]+": nobody listens there")
	})
	if err := x.Stop(); err != nil {
		t.Fatal(err)
	}
	soon(t, w, "it is told that nobody answers", func() bool {
		status, said, _ := seen()
		return status == "unknown" && strings.Contains(said, "smtp "+p[0])
	})
}
