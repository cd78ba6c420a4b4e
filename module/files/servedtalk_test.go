package files_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
)

// A server that says its part, a piece for each line that it hears, and then holds
// the connection open.
func says(t *testing.T, pieces ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		r := bufio.NewReader(c)
		for i, p := range pieces {
			if i > 0 {
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
			if p == hangUp {
				return
			}
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, r) // until the asker has enough
	}()
	return l.Addr().String()
}

const hangUp = "(hangs up)"

func askOne(t *testing.T, service files.Service, addr string, limit time.Duration) files.Shown {
	t.Helper()
	a := files.Asker{Servers: []files.Server{{Service: service, Addr: addr}}, Limit: limit}
	return a.Ask(t.Context(), mail.StoredName("a.example"))[0]
}

func TestServerThatShowsNoCertificateIsTold(t *testing.T) {
	const ehlo = "250-mail.example greets you\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
	long := strings.Repeat("* OK more\r\n", 3000)
	for what, c := range map[string]struct {
		service files.Service
		pieces  []string
		err     error  // nil: another one, it could not be asked
		says    string // is in the error
	}{
		"put off":                {files.ServiceSMTP, []string{"421 4.3.2 try again later\r\n"}, nil, "421 4.3.2 try again later"},
		"refused":                {files.ServiceSMTP, []string{"554 no\r\n"}, nil, "554 no"},
		"no TLS":                 {files.ServiceSubmission, []string{"220-a\r\n220 b\r\n", "250-mail\r\n250 XSTARTTLS\r\n"}, files.ErrNoTLS, "TLS"},
		"no EHLO":                {files.ServiceSMTP, []string{"220 a\r\n", "502 what\r\n"}, nil, "502"},
		"no certificate":         {files.ServiceSMTP, []string{"220 a\r\n", ehlo, "454 TLS not available\r\n"}, files.ErrHandshake, "454 TLS not available"},
		"about to end":           {files.ServiceSMTP, []string{"220 a\r\n", ehlo, "421 goodbye\r\n"}, nil, "421"},
		"before TLS":             {files.ServiceSMTP, []string{"220 a\r\n", ehlo, "220 go\r\n250 injected\r\n"}, nil, "before TLS"},
		"HTTP":                   {files.ServiceSMTP, []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, nil, "HTTP/1.1"},
		"no TLS after all":       {files.ServiceSMTP, []string{"220 a\r\n", ehlo, "220 go\r\n", "what is this?\r\n"}, files.ErrHandshake, ""},
		"hangs up":               {files.ServiceSMTP, []string{hangUp}, nil, "hangs up"},
		"hangs up in the middle": {files.ServiceIMAP, []string{"* OK hello\r\n", hangUp}, nil, "hangs up"},
		"HTTP by TLS":            {files.ServiceIMAPS, []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, files.ErrHandshake, ""},
		"IMAP put off":           {files.ServiceIMAP, []string{"* BYE too many\r\n"}, nil, "BYE too many"},
		"IMAP goodbye":           {files.ServiceIMAP, []string{"* OK hello\r\n", "* BYE too many\r\n"}, nil, "BYE too many"},
		"IMAP without TLS":       {files.ServiceIMAP, []string{"* OK hello\r\n", "* CAPABILITY IMAP4rev1\r\na OK done\r\n"}, files.ErrNoTLS, "TLS"},
		"IMAP, no certificate":   {files.ServiceIMAP, []string{"* OK hello\r\n", "* capability imap4rev1 starttls\r\nA ok done\r\n", "b BAD not now\r\n"}, files.ErrHandshake, "not now"},
		"IMAP nonsense":          {files.ServiceIMAP, []string{"* OK hello\r\n", "lorem ipsum\r\n"}, nil, "lorem ipsum"},
		"IMAP without end":       {files.ServiceIMAP, []string{"* OK hello\r\n", long}, nil, "no end"},
		"one line without end":   {files.ServicePOP3, []string{strings.Repeat("x", 1<<17)}, nil, ""},
		"POP3 put off":           {files.ServicePOP3, []string{"-ERR [SYS/TEMP] later\r\n"}, nil, "later"},
		"POP3 without CAPA":      {files.ServicePOP3, []string{"+OK\r\n", "-ERR what\r\n"}, nil, "what"},
		"POP3 without TLS":       {files.ServicePOP3, []string{"+OK\r\n", "+OK\r\nUSER\r\n.\r\n"}, files.ErrNoTLS, "TLS"},
		"POP3, no certificate":   {files.ServicePOP3, []string{"+OK\r\n", "+OK\r\nUSER\r\nSTLS\r\n.\r\n", "-ERR TLS is not there\r\n"}, files.ErrHandshake, "not there"},
		"POP3 nonsense":          {files.ServicePOP3, []string{"* OK IMAP here\r\n"}, nil, "IMAP here"},
	} {
		t.Run(what, func(t *testing.T) {
			s := askOne(t, c.service, says(t, c.pieces...), 20*time.Second)
			if s.Err == nil || s.Fingerprint != [32]byte{} {
				t.Fatal("a certificate was shown")
			}
			for _, e := range []error{files.ErrNobodyListens, files.ErrNoTLS, files.ErrHandshake} {
				if errors.Is(s.Err, e) != (e == c.err) {
					t.Errorf("%v, want %v", s.Err, c.err)
				}
			}
			if text := s.Err.Error(); !strings.Contains(text, c.says) || len(text) > 300 || strings.ContainsAny(text, "\r\n") {
				t.Errorf("%q, want %q", text, c.says)
			}
		})
	}
}

// A server that says nothing is given up, at whatever point it stops.
func TestServerThatHangsIsGivenUp(t *testing.T) {
	for what, c := range map[string]struct {
		service files.Service
		pieces  []string
	}{
		"at once":           {files.ServiceSMTP, nil},
		"in the middle":     {files.ServiceIMAP, []string{"* OK hello\r\n", "* CAPABILITY STARTTLS\r\n"}},
		"in the handshake":  {files.ServicePOP3S, nil},
		"after its promise": {files.ServicePOP3, []string{"+OK\r\n", "+OK\r\nSTLS\r\n.\r\n", "+OK\r\n"}},
	} {
		s := askOne(t, c.service, says(t, c.pieces...), 50*time.Millisecond)
		if !errors.Is(s.Err, context.DeadlineExceeded) || errors.Is(s.Err, files.ErrHandshake) {
			t.Errorf("%s: %v", what, s.Err)
		}
	}
}

func TestPortWhereNobodyListensIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s := askOne(t, files.ServiceIMAPS, addr, 0); !errors.Is(s.Err, files.ErrNobodyListens) {
		t.Error(s.Err)
	}
	a := files.Asker{Servers: files.StandardServers(), Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}
	for _, s := range a.Ask(t.Context(), mail.Name{}) {
		if s.Err == nil || errors.Is(s.Err, files.ErrNobodyListens) {
			t.Errorf("%s: %v", s.Server, s.Err)
		}
	}
}

func TestServersReadBackAsTheyWereWritten(t *testing.T) {
	var words []string
	for _, s := range files.StandardServers() {
		words = append(words, s.String())
	}
	text := strings.Join(words, " ")
	for _, given := range []string{"", " ", text, " " + text + "\n"} {
		ss, err := files.ParseServers(given)
		if err != nil || len(ss) != 7 {
			t.Fatalf("%q: %v, %v", given, ss, err)
		}
		for i, s := range ss {
			if s.String() != words[i] {
				t.Errorf("%q: %s", given, s)
			}
		}
	}
	if ss, err := files.ParseServers("imaps=[::1]:993 imaps=mail.example:993"); err != nil || len(ss) != 2 || ss[0].Addr != "[::1]:993" {
		t.Error(ss, err)
	}
	for _, given := range []string{"smtp", "smtp=", "smtp=25", "smtp=:25", "smtp=127.0.0.1", "smtp=127.0.0.1:0", "smtp=127.0.0.1:x", "smtp=127.0.0.1:65536",
		"http=127.0.0.1:80", "=127.0.0.1:25", "imap=::1:143", "imap=[::1]:143 imap=[::1]:143"} {
		if ss, err := files.ParseServers(given); err == nil {
			t.Errorf("%q is taken: %v", given, ss)
		}
	}
}
