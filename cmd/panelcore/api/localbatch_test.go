package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/api"
	"maildomain/cmd/panelcore/internal/paneltest"
)

// A stream is a batch under way.
type stream struct {
	t       *testing.T
	in      *io.PipeWriter
	answers *bufio.Reader
	server  *http.Server
	panel   *paneltest.Panel
}

// openBatch begins a batch on the control socket of a panel of its own.
func openBatch(t *testing.T, user, jobs string) (*stream, *http.Response) {
	t.Helper()
	p := paneltest.Start(t, paneltest.Options{})
	dir, err := os.MkdirTemp("", "batch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, panel: p, server: api.NewLocal(p.Core, zerolog.New(p.Log))}
	go s.server.Serve(api.Local(l, os.Geteuid(), zerolog.Nop()))
	t.Cleanup(func() { s.server.Close() })
	body, in := io.Pipe()
	s.in = in
	t.Cleanup(func() { in.Close() })
	req, err := http.NewRequest(http.MethodPost, "http://panel"+api.BatchPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.UserHeader, user)
	req.Header.Set(api.JobsHeader, jobs)
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	s.answers = bufio.NewReader(resp.Body)
	return s, resp
}

func (s *stream) send(lines ...string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, strings.Join(lines, "\n")+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// receive reads so many answers, and returns them in the order of what they answer.
func (s *stream) receive(n int) (got []string) {
	s.t.Helper()
	for range n {
		line, err := s.answers.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, strings.TrimSuffix(line, "\n"))
	}
	slices.Sort(got)
	return got
}

func TestBatchAnswersEachLineAsSoonAsItIsKnown(t *testing.T) {
	s, _ := openBatch(t, "user1", "4")
	s.send("id0 func=thing.quick&out=text")
	if got := s.receive(1); got[0] != "0 ok OK" { // while the body has not ended
		t.Errorf("answered %q", got)
	}
	s.send("id1 func=thing.slow&ms=3000&out=text", "id2 func=thing.quick&out=text")
	if got := s.receive(1); got[0] != "2 ok OK" {
		t.Errorf("before the slow call is answered %q", got)
	}
	s.send(
		"id3 func=thing.edit&name=taken&sok=ok&out=text",
		"id4 func=user&out=text",
		"nothing",
		"id6 func=%zz",
		"id7 func=thing.quick&out=json",
		"a/b func=thing.quick&out=text",
		"id9 func=thing.session&out=text",
	)
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	got := s.receive(8)
	for i, want := range []string{
		"1 ok OK", "3 error ERROR exists(name): taken already", "4 error ERROR access(func): ", "5 error ERROR an id and a form are expected",
		"6 error ERROR the form cannot be read", `7 ok {"doc":{"$lang":"en","$func":"thing.quick","ok":{}`, "8 error ERROR value(request_id): ",
		"9 form ",
	} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("answered %q, want %q", got[i], want)
		}
	}
	if rest, err := io.ReadAll(s.answers); err != nil || len(rest) > 0 {
		t.Errorf("at the end %q, %v", rest, err)
	}
	if n := strings.Count(s.panel.Log.String(), `"message":"call"`); n != 8 {
		t.Errorf("%d lines of calls in the log", n)
	}
}

func TestBatchMakesManyCallsAndLosesNone(t *testing.T) {
	s, _ := openBatch(t, "admin", "48")
	const n = 2000
	sent := make(chan error, 1)
	go func() {
		var failed error
		for i := range n {
			_, err := fmt.Fprintf(s.in, "id%d func=thing.quick&out=text\n", i)
			failed = errors.Join(failed, err)
		}
		sent <- errors.Join(failed, s.in.Close())
	}()
	answered := map[string]int{}
	for _, l := range s.receive(n) {
		number, said, _ := strings.Cut(l, " ")
		if answered[number]++; said != "ok OK" {
			t.Errorf("answered %q", l)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if len(answered) != n {
		t.Errorf("%d of %d calls were answered", len(answered), n)
	}
}

// A core that stops answers what it has begun, and does not wait for the rest of
// the file.
func TestBatchEndsWhenTheCoreStops(t *testing.T) {
	s, _ := openBatch(t, "user1", "2")
	s.send("id0 func=thing.quick&out=text")
	s.receive(1)
	s.send("id1 func=thing.slow&ms=200&out=text")
	paneltest.Eventually(t, "the slow call runs", func() bool { return s.panel.Count(t, "thing.slow") == 1 })
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(s.answers)
	if string(rest) != "1 ok OK\n" || err != nil {
		t.Errorf("at the end %q, %v", rest, err)
	}
}

func TestBatchIsNotServedOtherwise(t *testing.T) {
	for _, jobs := range []string{"", "0", "-1", "many"} {
		if _, resp := openBatch(t, "user1", jobs); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q jobs: %s", jobs, resp.Status)
		}
	}
	p := paneltest.Start(t, paneltest.Options{})
	resp, err := http.Post(strings.TrimSuffix(p.URL, api.Path)+api.BatchPath, "text/plain", strings.NewReader("id func=thing.quick\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a batch on the panel's public address: %s", resp.Status)
	}
}
