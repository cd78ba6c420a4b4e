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
	s := manage(t, x, "post@box.example")
	script := `require ["fileinto", "vacation", "copy", "mailbox"];
if header :contains "subject" "bill" { fileinto :create "Bills"; }
if header :contains "subject" "copy" { redirect :copy "friend@foreign.test"; }
if header :contains "subject" "answer" { vacation "I am away."; }
`
	s.put(script)
	for _, subject := range []string{"a bill", "a copy", "an answer"} {
		text := "From: " + stranger + "\nTo: post@box.example\nSubject: " + subject + "\n\nhello\n"
		r, err := x.Send(limited(t), stranger, "post@box.example", text)
		_, id, found := strings.Cut(r.Text, "OK id=")
		if err != nil || !found {
			t.Fatal(r, err)
		}
		done(t, x, id)
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

// Neither an answer nor a notice says that it is from somebody else.
func TestSieveCannotForgeASender(t *testing.T) {
	x, _ := boxes(t)
	s := manage(t, x, "post@box.example")
	s.refused("PUTSCRIPT", `require ["enotify"]; notify :from "boss@bank.test" "mailto:victim@foreign.test";`)
	for i, from := range []string{"boss@bank.test", "caught@other.example", "both@box.example", "Sales <sales@box.example>"} {
		s.put(`require ["vacation"]; vacation :days 1 :handle "` + from + `" :from "` + from + `" "I am away.";`)
		if r, err := x.Send(limited(t), stranger, "post@box.example", "From: "+stranger+"\nTo: post@box.example\nSubject: x\n\nx\n"); err != nil || r.Code != 250 {
			t.Fatal(r, err)
		}
		inbox(t, x, "post@box.example", i+1) // the letter itself is kept
	}
	out := letters(t, x.Sink, 1)
	if len(out) != 1 || out[0].From != "" || !strings.Contains(string(out[0].Data), "\r\nFrom: Sales <sales@box.example>\r\n") {
		t.Errorf("answered: %+v\n%s", out, out[0].Data)
	}
	if log, err := x.RejectLog(); err != nil || strings.Count(log, "post@box.example may send as itself") != 3 {
		t.Errorf("refused: %v\n%s", err, log)
	}
}

// sieve is a session of ManageSieve (RFC 5804).
type sieve struct {
	t    *testing.T
	conn net.Conn
}

// manage logs in.
func manage(t *testing.T, x *lab.Exim, login string) sieve {
	t.Helper()
	conn, err := net.Dial("tcp", x.Services().Sieve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := sieve{t, conn}
	s.until("OK")
	s.command(`AUTHENTICATE "PLAIN" "` + base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+lab.Secret)) + `"`)
	return s
}

// put makes script the one that is obeyed.
func (s sieve) put(script string) {
	s.t.Helper()
	s.command(fmt.Sprintf("PUTSCRIPT \"main\" {%d+}\r\n%s", len(script), script))
	s.command(`SETACTIVE "main"`)
}

func (s sieve) refused(command, script string) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.conn, "%s \"main\" {%d+}\r\n%s\r\n", command, len(script), script); err != nil {
		s.t.Fatal(err)
	}
	s.until("NO")
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
		for line := range strings.SplitSeq(got.String(), "\r\n") {
			if strings.HasPrefix(line, what) && strings.HasSuffix(got.String(), "\r\n") {
				return
			}
			if err != nil || strings.HasPrefix(line, "NO ") || strings.HasPrefix(line, "BYE") {
				s.t.Fatalf("managesieve: %v: %s", err, got.String())
			}
		}
	}
}
