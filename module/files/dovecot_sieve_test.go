package files_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"maildomain/tests/lab"
)

// What a person's filter sends goes out by way of Exim, from the box.
func TestSieveRuleFilesAndSendsOnAndAnswers(t *testing.T) {
	x, _ := boxes(t)
	conn, err := net.Dial("tcp", x.Services().Sieve)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	s := sieve{t, conn}
	s.until("OK")
	if _, err := io.WriteString(conn, "AUTHENTICATE \"PLAIN\" \""+base64.StdEncoding.EncodeToString([]byte("\x00post@box.example\x00"+lab.Secret))+"\"\r\n"); err != nil {
		t.Fatal(err)
	}
	s.until("OK")
	script := `require ["fileinto", "vacation", "copy", "mailbox"];
if header :contains "subject" "bill" { fileinto :create "Bills"; }
if header :contains "subject" "copy" { redirect :copy "friend@foreign.test"; }
if header :contains "subject" "answer" { vacation "I am away."; }
`
	s.command(fmt.Sprintf("PUTSCRIPT \"main\" {%d+}\r\n%s", len(script), script))
	s.command(`SETACTIVE "main"`)
	for _, subject := range []string{"a bill", "a copy", "an answer"} {
		text := "From: " + stranger + "\nTo: post@box.example\nSubject: " + subject + "\n\nhello\n"
		if r, err := x.Send(limited(t), stranger, "post@box.example", text); err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
	}
	inbox(t, x, "post@box.example", 2)
	bills, err := x.Letters(limited(t), "post@box.example", lab.Secret, "Bills")
	if err != nil || len(bills) != 1 || !strings.Contains(bills[0], "Subject: a bill") {
		t.Errorf("filed: %q, %v", bills, err)
	}
	out := map[string]string{}
	for _, l := range letters(t, x.Sink, 2) {
		out[l.To[0]] = l.From
	}
	if from, sent := out["friend@foreign.test"]; !sent || from != "post@box.example" {
		t.Errorf("sent on from <%s>: %v", from, out)
	}
	if from, sent := out[stranger]; !sent || from != "" {
		t.Errorf("answered from <%s>: %v", from, out)
	}
	noFault(t, x)
}

// sieve is a session of ManageSieve (RFC 5804).
type sieve struct {
	t    *testing.T
	conn net.Conn
}

func (s sieve) command(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	s.until("OK")
}

func (s sieve) until(what string) {
	s.t.Helper()
	var got strings.Builder
	buf := make([]byte, 4096)
	_ = s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := s.conn.Read(buf)
		got.Write(buf[:n])
		lines := strings.Split(strings.TrimRight(got.String(), "\r\n"), "\r\n")
		last := lines[len(lines)-1]
		if strings.HasPrefix(last, what) {
			return
		}
		if err != nil || strings.HasPrefix(last, "NO") || strings.HasPrefix(last, "BYE") {
			s.t.Fatalf("managesieve: %v: %s", err, got.String())
		}
	}
}
