package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"maildomain/cmd/panelcore/api"
)

// A batchCall is one line of a batch.
type batchCall struct {
	line int
	form url.Values
	said string // the answer in words; empty: not asked yet
	bad  bool
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
	client := c.client()
	todo := make(chan *batchCall)
	var wg sync.WaitGroup
	var done, failed atomic.Int64
	for range min(c.Jobs, len(calls)) {
		wg.Go(func() {
			for b := range todo {
				if b.ask(c, client); b.bad {
					failed.Add(1)
				}
				done.Add(1)
			}
		})
	}
	stop := progress(len(calls), &done, &failed)
	for _, b := range calls {
		todo <- b
	}
	close(todo)
	wg.Wait()
	stop()
	out := bufio.NewWriter(os.Stdout)
	for _, b := range calls {
		fmt.Fprintf(out, "%d %s\n", b.line, b.said)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed.Load() > 0 {
		return errToldAlready
	}
	return nil
}

// ask makes the call. A call that got no answer is bad too: it can be repeated.
func (b *batchCall) ask(c *ctlCmd, client *http.Client) {
	id := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", b.line, c.User, b.form.Encode()))
	resp, err := c.post(client, b.form, hex.EncodeToString(id[:20]))
	if err != nil {
		b.said, b.bad = "ERROR "+err.Error(), true
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		b.said, b.bad = "ERROR "+err.Error(), true
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	b.said = first
	b.bad = resp.StatusCode != http.StatusOK || resp.Header.Get(api.ResultHeader) == "error"
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
		form, err := c.form(function, append(words, c.Params...))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		calls = append(calls, &batchCall{line: n, form: form})
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
		form, err := c.form(c.Func, append(params, c.Params...))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		calls = append(calls, &batchCall{line: line, form: form})
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
