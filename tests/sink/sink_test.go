package sink

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const text = "Subject: hello\r\n\r\n.a dot first\r\n"

func listen(t *testing.T, each func(Letter) error) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", each)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send delivers text from the loopback address local.
func send(t *testing.T, s *Server, local string) error {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	conn, err := d.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "client.test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := errors.Join(c.Hello("client.test"), c.Mail("a@b.example"), c.Rcpt("c@d.example"), c.Rcpt("e@f.example")); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return w.Close()
}

func TestSinkKeepsWhoSentWhatToWhom(t *testing.T) {
	s := listen(t, nil)
	if err := send(t, s, "127.0.0.77"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Wait(t.Context(), 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("Wait = %d letters, %v", len(got), err)
	}
	l := got[0]
	if l.Peer.String() != "127.0.0.77" || l.Helo != "client.test" || l.From != "a@b.example" ||
		strings.Join(l.To, " ") != "c@d.example e@f.example" || string(l.Data) != text {
		t.Errorf("letter %+v, data %q", l, l.Data)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := listen(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.Wait(ctx, 1); !errors.Is(err, context.Canceled) || len(got) != 0 {
		t.Errorf("Wait = %v, %v", got, err)
	}
}

func TestLetterThatCannotBeKeptIsPutOff(t *testing.T) {
	s := listen(t, func(Letter) error { return errors.New("disk full") })
	err := send(t, s, "127.0.0.1")
	if err == nil || !strings.HasPrefix(err.Error(), "451") {
		t.Errorf("answer %v, want 451", err)
	}
	if n := len(s.Letters()); n != 0 {
		t.Errorf("%d letters kept", n)
	}
}

func TestFullSinkPutsOff(t *testing.T) {
	s := listen(t, nil)
	s.mu.Lock()
	s.letters = make([]Letter, MaxLetters)
	s.mu.Unlock()
	if err := send(t, s, "127.0.0.1"); err == nil || !strings.HasPrefix(err.Error(), "452") {
		t.Errorf("answer %v, want 452", err)
	}
}

func TestDirWritesOneFileALetter(t *testing.T) {
	var told bytes.Buffer
	d := &Dir{
		Path: filepath.Join(t.TempDir(), "mail", "sent"), Out: &told,
		Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
	s := listen(t, d.Take)
	for range 2 {
		if err := send(t, s, "127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"20300102T030405.000-0001.eml", "20300102T030405.000-0002.eml"} {
		b, err := os.ReadFile(filepath.Join(d.Path, name))
		if err != nil {
			t.Fatal(err)
		}
		want := "X-Sink-Peer: 127.0.0.1\r\nX-Sink-Helo: client.test\r\nX-Sink-From: <a@b.example>\r\n" +
			"X-Sink-To: <c@d.example>\r\nX-Sink-To: <e@f.example>\r\n" + text
		if string(b) != want {
			t.Errorf("%s:\n%q\nwant\n%q", name, b, want)
		}
		if !strings.Contains(told.String(), name) {
			t.Errorf("not told of %s: %q", name, told.String())
		}
	}
	if entries, _ := os.ReadDir(d.Path); len(entries) != 2 {
		t.Errorf("%d files, want 2", len(entries))
	}
}

func TestClosedSinkRefusesConnections(t *testing.T) {
	s, err := Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}
