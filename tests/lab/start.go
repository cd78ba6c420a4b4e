package lab

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"maildomain/tests/sink"
)

// Start runs Exim over root for the length of a test, in a directory of the
// test's, with a sink for foreign mail unless o names one. It ends the test in
// the manner of Need where that is impossible. When the test fails, Exim's logs
// are shown.
func Start(t testing.TB, root string, o Options) *Exim {
	t.Helper()
	x := Prepare(t, root, o)
	if err := x.Serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x
}

// Prepare is Start without the daemon: for Route and Run, which need none.
func Prepare(t testing.TB, root string, o Options) *Exim {
	t.Helper()
	NeedRoot(t)
	Need(t, "exim4")
	if o.Dovecot {
		NeedDovecot(t)
	}
	o.Root = root
	own := o.Dir == ""
	if own {
		o.Dir = t.TempDir()
	}
	var letters *sink.Server
	if o.Sink == "" {
		var err error
		if letters, err = sink.Listen("127.0.0.1:0", nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := letters.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Sink = letters.Addr()
	}
	x, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	x.Sink = letters
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			x.show(t)
		}
		if own {
			x.removeDir()
		}
	})
	return x
}

// removeDir removes the directory of the test. An Exim that a program of the test called may
// be delivering in the background yet, and writes there for a moment.
func (x *Exim) removeDir() {
	for end := time.Now().Add(30 * time.Second); os.RemoveAll(x.opts.Dir) != nil && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
}

func (x *Exim) show(t testing.TB) {
	logs := map[string]func() (string, error){"Exim's main log": x.Log, "Exim's panic log": x.PanicLog}
	if x.Dovecot != nil {
		logs["Dovecot's log"] = x.Dovecot.Log
	}
	for name, read := range logs {
		if text, err := read(); err == nil && text != "" {
			lines := strings.SplitAfter(text, "\n")
			t.Logf("end of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-50):], ""))
		}
	}
}

// Rcpt asks the running Exim whether it takes mail, as a stranger from the network.
func (x *Exim) Rcpt(ctx context.Context, from, to string) (Reply, error) {
	return Client{Addr: x.Addr()}.Rcpt(ctx, from, to)
}

// Send hands the running Exim a letter, as a stranger from the network.
func (x *Exim) Send(ctx context.Context, from, to, text string) (Reply, error) {
	return Client{Addr: x.Addr()}.Send(ctx, from, []string{to}, text)
}
