package main

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"maildomain/cmd/panelcore/api"
)

// A batchCall is one line of a batch.
type batchCall struct {
	line     int
	function string
	object   string // what it is for, as far as one can tell
	sent     string // as a line of api.BatchPath
	answered bool
	said     string // the answer in words
}

// batch makes the calls of a file, several at once, and prints a line for each, in
// the order of the file. Each call has a request id made of what it says and where
// it stands: the same file again, within a day, repeats what was answered and does
// only what was not.
func (c *ctlCmd) batch() error {
	if strings.Contains(c.Func, "=") { // each line has its own function
		c.Func, c.Params = "", append([]string{c.Func}, c.Params...)
	}
	calls, err := c.readBatch()
	if err != nil {
		return fmt.Errorf("read %s: %w", c.Batch, err)
	}
	if len(calls) == 0 {
		return nil
	}
	var done, failed atomic.Int64
	stop := progress(len(calls), &done, &failed)
	broken := c.send(byObject(calls), &done, &failed)
	stop()
	if broken != nil && done.Load() == 0 {
		return broken
	}
	out := bufio.NewWriter(os.Stdout)
	for _, b := range calls {
		if !b.answered {
			b.said = "ERROR no answer: give the same file again"
		}
		fmt.Fprintf(out, "%d %s\n", b.line, b.said)
	}
	if err := errors.Join(broken, out.Flush()); err != nil {
		return err
	}
	if failed.Load() > 0 {
		return errToldAlready
	}
	return nil
}

// byObject returns calls of one function that have an object each in the order of
// the objects' names: neighbours stand together in the indexes of a database, so that
// a commit of them writes few pages. Others may build upon one another, and stay in
// the order of the file.
func byObject(calls []*batchCall) []*batchCall {
	sorted := slices.SortedStableFunc(slices.Values(calls), func(a, b *batchCall) int { return strings.Compare(a.object, b.object) })
	for i, b := range sorted {
		if b.function != sorted[0].function || b.object == "" || strings.Contains(b.object, ",") || i > 0 && b.object == sorted[i-1].object {
			return calls
		}
	}
	return sorted
}

// send sends the calls and takes their answers as they come.
func (c *ctlCmd) send(calls []*batchCall, done, failed *atomic.Int64) error {
	req, err := http.NewRequest(http.MethodPost, "http://panelcore"+api.BatchPath, &batchBody{calls: calls})
	if err != nil {
		return err
	}
	req.Header.Set(api.JobsHeader, strconv.Itoa(c.Jobs))
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read answers: %w", err)
		}
		number, rest, _ := strings.Cut(line[:len(line)-1], " ")
		result, said, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(calls) || calls[n].answered {
			return fmt.Errorf("read answers: a line that answers nothing: %.80q", line)
		}
		calls[n].answered, calls[n].said = true, said
		if result == "error" {
			failed.Add(1)
		}
		done.Add(1)
	}
	if left := int64(len(calls)) - done.Load(); left > 0 {
		return fmt.Errorf("the core ended before it answered %d calls", left)
	}
	return nil
}

// A batchBody is read as the lines of the calls.
type batchBody struct {
	calls []*batchCall
	next  []byte
}

func (b *batchBody) Read(p []byte) (int, error) {
	const much = 16 << 10
	if len(b.next) == 0 {
		for b.next = b.next[:0]; len(b.calls) > 0 && len(b.next) < much; b.calls = b.calls[1:] {
			b.next = append(append(b.next, b.calls[0].sent...), '\n')
			b.calls[0].sent = ""
		}
	}
	if len(b.next) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.next)
	b.next = b.next[n:]
	return n, nil
}

// call is the call that stands in a line of the file.
func (c *ctlCmd) call(line int, function string, params []string) (*batchCall, error) {
	form, err := c.form(function, params)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	text := form.Encode()
	id := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", line, c.User, text))
	sent := hex.EncodeToString(id[:20]) + " " + text
	if len(sent) >= api.MaxBatchLine {
		return nil, fmt.Errorf("line %d: more than %d bytes", line, api.MaxBatchLine)
	}
	object := cmp.Or(form.Get("elid"), form.Get("name"))
	return &batchCall{line: line, function: function, object: strings.ToLower(object), sent: sent}, nil
}

// readBatch reads the calls: a CSV file whose first row names the parameters of
// the function on the command line, or a call a line, as on the command line.
func (c *ctlCmd) readBatch() ([]*batchCall, error) {
	f := os.Stdin
	if c.Batch != "-" {
		var err error
		if f, err = os.Open(c.Batch); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	if strings.EqualFold(filepath.Ext(c.Batch), ".csv") {
		return c.readCSV(f)
	}
	var calls []*batchCall
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		words, err := split(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		function := c.Func
		if !strings.Contains(words[0], "=") {
			function, words = words[0], words[1:]
		}
		b, err := c.call(n, function, append(words, c.Params...))
		if err != nil {
			return nil, err
		}
		calls = append(calls, b)
	}
	return calls, lines.Err()
}

func (c *ctlCmd) readCSV(r io.Reader) ([]*batchCall, error) {
	rows := csv.NewReader(r)
	names, err := rows.Read()
	if err != nil {
		return nil, err
	}
	var calls []*batchCall
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return calls, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		var params []string
		for i, v := range row {
			params = append(params, strings.TrimSpace(names[i])+"="+v)
		}
		b, err := c.call(line, c.Func, append(params, c.Params...))
		if err != nil {
			return nil, err
		}
		calls = append(calls, b)
	}
}

// split parts a line at its blanks, but for those between double quotes.
func split(line string) (words []string, err error) {
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case (r == ' ' || r == '\t') && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// progress shows on a terminal how far a batch is, until stop.
func progress(total int, done, failed *atomic.Int64) (stop func()) {
	if i, err := os.Stderr.Stat(); err != nil || i.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	const width = 40
	draw := func() {
		n := done.Load()
		full := int(n) * width / max(total, 1)
		fmt.Fprintf(os.Stderr, "\r[%s%s] %d of %d, %d failed ", strings.Repeat("=", full), strings.Repeat(" ", width-full), n, total, failed.Load())
	}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				draw()
			case <-ended:
				draw()
				fmt.Fprintln(os.Stderr)
				return
			}
		}
	})
	return func() { close(ended); wg.Wait() }
}
