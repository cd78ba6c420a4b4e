package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"maildomain/cmd/panelcore/core"
)

// BatchPath is where the control socket takes many calls in one request. A line of
// its body is a call, "ID FORM": an id for repeats, as in the header X-Request-Id,
// and what would be the body of a request of its own. The answer has a line for
// each, "N RESULT TEXT", as soon as it is known and so in any order: which line it
// answers, counted from 0, what ResultHeader would say, and the first line of the
// answer. Lines that got none were not begun, or their end is not known: with
// their ids they can be sent again.
const BatchPath = "/batch"

// JobsHeader says how many calls of a batch are made at once.
const JobsHeader = "X-Panel-Jobs"

// MaxBatchLine is how many bytes a line of a batch may have.
const MaxBatchLine = maxRequest

const (
	maxJobs    = 256
	batchLimit = 90 * time.Second // for the other end to read what was answered
)

var past = time.Unix(1, 0) // as a deadline: at once

// A batch is the endpoint for many calls.
type batch struct {
	*endpoint
	stopping context.Context // ends when no call is to begin any more
}

// newBatch serves until the server begins to shut down.
func newBatch(e *endpoint, s *http.Server) *batch {
	ctx, stop := context.WithCancel(context.Background())
	s.RegisterOnShutdown(stop)
	return &batch{e, ctx}
}

// A batchLine is a call of a batch and then its answer.
type batchLine struct {
	n    int
	text []byte
}

func (b *batch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	jobs, err := strconv.Atoi(r.Header.Get(JobsHeader))
	if r.Method != http.MethodPost || err != nil || jobs < 1 {
		w.Header().Set("Connection", "close") // the body may have no end
		http.Error(w, "a POST of calls, and "+JobsHeader, http.StatusBadRequest)
		return
	}
	c := http.NewResponseController(w)
	// Neither end is to wait for the other to be through.
	if err := errors.Join(c.EnableFullDuplex(), c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Now().Add(batchLimit)), c.Flush()); err != nil {
		b.log.Error().Err(err).Msg("batch not begun")
		return
	}
	defer context.AfterFunc(b.stopping, func() { _ = c.SetReadDeadline(past) })()

	calls, answers := make(chan batchLine), make(chan []byte, maxJobs)
	var makers, writer sync.WaitGroup
	for range min(jobs, maxJobs) {
		makers.Go(func() {
			for l := range calls {
				answers <- b.one(r, l)
			}
		})
	}
	writer.Go(func() { b.write(w, c, answers) })
	if err := b.read(r, calls); err != nil && b.stopping.Err() == nil {
		b.log.Warn().Err(err).Msg("batch broken off")
	}
	close(calls)
	makers.Wait()
	close(answers)
	writer.Wait()
}

// read passes on the lines of a batch until it ends.
func (b *batch) read(r *http.Request, calls chan<- batchLine) error {
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(make([]byte, 64<<10), MaxBatchLine)
	for n := 0; lines.Scan(); n++ {
		if b.stopping.Err() != nil {
			return nil
		}
		calls <- batchLine{n, bytes.Clone(lines.Bytes())}
	}
	return lines.Err()
}

// write writes answers, together what comes together. Where it cannot, no more
// calls are read: nobody is there to know of them.
func (b *batch) write(w http.ResponseWriter, c *http.ResponseController, answers <-chan []byte) {
	var broken error
	for a := range answers {
		if broken != nil {
			continue
		}
		_, broken = w.Write(a)
		if broken == nil && len(answers) == 0 {
			broken = errors.Join(c.SetWriteDeadline(time.Now().Add(batchLimit)), c.Flush())
		}
		if broken != nil {
			_ = c.SetReadDeadline(past)
		}
	}
}

// one makes a call and returns the line of its answer.
func (b *batch) one(r *http.Request, l batchLine) []byte {
	begun := time.Now()
	line := strconv.AppendInt(nil, int64(l.n), 10)
	q, err := readLine(l.text, r.Header.Get(UserHeader))
	if err != nil {
		b.log.Info().Err(err).Str("remote", "local").Msg("no request")
		return fmt.Appendf(line, " error ERROR %v\n", err)
	}
	n, by := b.answer(context.WithoutCancel(r.Context()), q)
	if q.out != "text" {
		n.Add(b.echo(q))
	}
	line = append(append(append(line, ' '), result(n)...), ' ')
	start := len(line)
	line = formats[q.out].appendTo(line, n)
	if i := bytes.IndexByte(line[start:], '\n'); i >= 0 {
		line = line[:start+i]
	}
	b.access(q, n, by, time.Since(begun))
	return append(line, '\n')
}

// readLine reads the call that a line is.
func readLine(line []byte, user string) (*query, error) {
	id, text, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return nil, errors.New("an id and a form are expected")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, errors.New("the form cannot be read")
	}
	q := &query{params: make(map[string]string, len(form)), clientID: string(id), localUser: user}
	for name, values := range form {
		q.params[name] = values[0]
	}
	q.sort()
	return q, nil
}

// NewLocal returns a server for the control socket, whose calls name their user
// in the header X-Panel-User. Serve it on a listener from Local only.
func NewLocal(c *core.Core, log zerolog.Logger) *http.Server {
	e := &endpoint{core: c, log: log, identify: byHeader}
	s := server(e, log)
	mux := http.NewServeMux()
	mux.Handle("/", s.Handler)
	mux.Handle(BatchPath, newBatch(e, s))
	s.Handler = mux
	return s
}
