package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"maildomain/cmd/panelcore/api"
)

// errToldAlready ends the program with 1: what is wrong stands on the screen.
var errToldAlready = errors.New("told already")

type ctlCmd struct {
	User   string   `short:"u" help:"The user as whom to call." default:"admin"`
	Data   string   `help:"Directory of the running core." default:"var" env:"DATA"`
	Lang   string   `help:"Language of the texts: en or ru; else the user's."`
	Out    string   `short:"o" help:"Form of the answer: text, json, sjson or xml." default:"text" enum:"text,json,sjson,xml"`
	Batch  string   `help:"File of calls, one a line, or a CSV file whose first row names parameters; - for standard input. The function and further parameters may stand on the command line." placeholder:"FILE"`
	Jobs   int      `help:"Calls of a batch at once." default:"48"`
	Func   string   `arg:"" optional:"" help:"The function, such as user.edit."`
	Params []string `arg:"" optional:"" name:"name=value" help:"Its parameters."`
}

// Run calls the function. Success is printed to standard output and ends with 0,
// errors go to standard error and end with 1.
func (c *ctlCmd) Run() error {
	if c.Batch != "" {
		return c.batch()
	}
	form, err := c.form(c.Func, c.Params)
	if err != nil {
		return err
	}
	resp, err := c.post(form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := c.print(resp.Body); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.Header.Get(api.ResultHeader) == "error" {
		return errToldAlready
	}
	return nil
}

// form is a call of a function with name=value parameters.
func (c *ctlCmd) form(function string, params []string) (url.Values, error) {
	if function == "" || c.Jobs < 1 {
		return nil, errors.New("a function is expected, and at least one job")
	}
	form := url.Values{"func": {function}, "out": {c.Out}}
	if c.Lang != "" {
		form.Set("lang", c.Lang)
	}
	for _, p := range params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("parameter %q: name=value is expected", p)
		}
		if form.Has(name) {
			return nil, fmt.Errorf("parameter %q: given twice, or not for the function", name)
		}
		form.Set(name, value)
	}
	return form, nil
}

// post makes a call.
func (c *ctlCmd) post(form url.Values) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, "http://panelcore"+api.Path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", form.Get("func"), err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.ask(req)
}

// ask sends a request to the running core over its control socket.
func (c *ctlCmd) ask(req *http.Request) (*http.Response, error) {
	path := socketPath(c.Data)
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	req.Header.Set(api.UserHeader, c.User)
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no core runs on the data directory %s", c.Data)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the control socket %s is only for root and the user that runs the core", path)
	case err != nil:
		return nil, fmt.Errorf("ask the core: %w", err)
	case resp.StatusCode != http.StatusOK:
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("ask the core: %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

// print copies the answer; in the text form the lines of errors go to standard
// error.
func (c *ctlCmd) print(r io.Reader) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	if c.Out != "text" {
		_, err := io.Copy(out, r)
		return err
	}
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "ERROR ") {
			fmt.Fprint(os.Stderr, line)
		} else if _, err := out.WriteString(line); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
