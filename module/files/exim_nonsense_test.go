package files_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// fool is an address where something answers that is no filter, and what it does with
// each connection until the test ends.
func fool(t *testing.T, does func(c net.Conn, over <-chan struct{})) *lab.Filter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				does(c, over)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(over)
		all.Wait()
	})
	return &lab.Filter{Addr: l.Addr().String()}
}

// patience is how long Exim waits for filters in these tests, in seconds.
const patience = 1

// fools are ways to be no filter. What they say begins as the filter's answer does, where
// there is such a beginning.
func fools(answer string) map[string]func(net.Conn, <-chan struct{}) {
	read := func(c net.Conn) { go func() { _, _ = io.Copy(io.Discard, c) }() } // until it is closed
	say := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, over <-chan struct{}) {
			read(c)
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite()
			<-over
		}
	}
	sayAndWait := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, over <-chan struct{}) {
			read(c)
			_, _ = io.WriteString(c, text)
			<-over
		}
	}
	neverEnd := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, over <-chan struct{}) {
			read(c)
			_, err := io.WriteString(c, text)
			for err == nil {
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
					_, err = io.WriteString(c, strings.Repeat("nonsense ", 100))
				}
			}
		}
	}
	r := rand.New(rand.NewPCG(3, 8))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	half := answer[:len(answer)/2]
	return map[string]func(net.Conn, <-chan struct{}){
		"hangs up":                       func(net.Conn, <-chan struct{}) {},
		"says nothing":                   sayAndWait(""),
		"says nothing and ends":          say(""),
		"says noise":                     say(string(noise)),
		"says another protocol":          say("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"says half and ends":             say(half),
		"says half and then nothing":     sayAndWait(half),
		"never ends":                     neverEnd(""),
		"never ends, after half":         neverEnd(half),
		"says NUL":                       say("\x00\x00\x00\n\x00"),
		"says a line that is never done": sayAndWait(strings.Repeat("x", 100_000)),
	}
}

// quiet are those that come to an end or fall silent. For what Exim asks by ${readsocket
// its limit is on silence: the alarm of who is never silent can come when nobody waits for
// it (Exim 4.96), and is then missed.
func quiet(all map[string]func(net.Conn, <-chan struct{})) map[string]func(net.Conn, <-chan struct{}) {
	maps.DeleteFunc(all, func(how string, _ func(net.Conn, <-chan struct{})) bool { return strings.HasPrefix(how, "never ends") })
	return all
}

// hasty are macros for Exim with little patience.
func hasty(t *testing.T, root string) {
	t.Helper()
	lab.Put(t, root, files.Debian.Hooks()+"/macros.conf", fmt.Sprintf("MD_WAIT_GREYLIST = %[1]ds\nMD_WAIT_SPAM = %[1]ds\nMD_WAIT_VIRUS = %[1]ds\n", patience))
}

// answered is what Exim says to a letter, in bounded time.
func answered(t *testing.T, x *lab.Exim, what, to, text string) string {
	t.Helper()
	began := time.Now()
	got := sent(t, x, to, text)
	if took := time.Since(began); took > 20*patience*time.Second {
		t.Errorf("%s: the answer took %v", what, took)
	}
	return got
}

// What is no scanner has scanned nothing: the letter waits, or where the administrator
// wants it so passes with a header that says so. It is in no case lost.
func TestClamdThatTalksNonsenseHasScannedNothing(t *testing.T) {
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	hasty(t, root)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post"})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	passed := 0
	for how, does := range fools("stream: OK\x00") {
		clamd := fool(t, func(c net.Conn, over <-chan struct{}) { // it is asked whether it lives, and then sent a letter
			command := make([]byte, len("nPING\n"))
			if _, err := io.ReadFull(c, command); err == nil && string(command) == "nPING\n" {
				_, _ = io.WriteString(c, "PONG\n")
				return
			}
			does(c, over)
		})
		putFilters(t, root, judges{clamd: clamd})
		if got := answered(t, x, how, "post@on.example", letterOf(how)); got != noScanner {
			t.Errorf("clamd %s: %s", how, got)
		}
		putFilters(t, root, judges{clamd: clamd}, "virus_down: pass")
		if got := answered(t, x, how, "post@on.example", letterOf(how)); got != "taken" {
			t.Errorf("clamd %s, to pass: %s", how, got)
		}
		passed++
	}
	for _, l := range inbox(t, x, "post@on.example", passed) {
		if !strings.Contains(l, "X-Virus-Status: not scanned\r\n") {
			t.Errorf("it does not say that it was not scanned:\n%s", l)
		}
	}
	if p, err := x.PanicLog(); err != nil || strings.Count(p, "\n") != strings.Count(p, "malware acl condition") {
		t.Errorf("panic log: %v\n%s", err, p)
	}
}

// Nor is one that does not answer whether it lives given the letter.
func TestClamdThatIsNotThereAtAllHasScannedNothing(t *testing.T) {
	root := lab.NewRoot(t)
	hasty(t, root)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	x := lab.Start(t, root, lab.Options{})
	for how, does := range quiet(fools("PONG\n")) {
		putFilters(t, root, judges{clamd: fool(t, does)})
		if got := answered(t, x, how, "x@on.example", letterOf(how)); got != noScanner {
			t.Errorf("clamd %s: %s", how, got)
		}
	}
}

func TestSpamdThatTalksNonsenseHasJudgedNothing(t *testing.T) {
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	hasty(t, root)
	lab.PutDomain(t, root, "on.example", filtered("spamassassin")...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post", Spamassassin: true})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	passed := 0
	for how, does := range fools("SPAMD/1.1 0 EX_OK\r\nContent-length: 1000\r\nSpam: True ; 99.0 / 5.0\r\n\r\n") {
		spamd := fool(t, does)
		putFilters(t, root, judges{spamd: spamd}, "spam_down: defer")
		if got := answered(t, x, how, "post@on.example", letterOf(how)); got != noSpamd {
			t.Errorf("spamd %s, to defer: %s", how, got)
		}
		putFilters(t, root, judges{spamd: spamd})
		if got := answered(t, x, how, "post@on.example", letterOf(how)); got != "taken" {
			t.Errorf("spamd %s: %s", how, got)
		}
		passed++
	}
	for _, l := range inbox(t, x, "post@on.example", passed) {
		if !strings.Contains(l, "X-Spam-Status: not checked\r\n") || strings.Contains(l, "X-Spam-Flag") || strings.Contains(l, "X-Spam-Score") {
			t.Errorf("it does not say that it was not judged:\n%s", l)
		}
	}
}

func TestPostgreyThatTalksNonsenseHoldsNothingUp(t *testing.T) {
	root := lab.NewRoot(t)
	hasty(t, root)
	lab.PutDomain(t, root, "on.example", filtered("greylist")...)
	x := lab.Start(t, root, lab.Options{})
	for how, does := range quiet(fools("action=defer_if_permit greylisted\n\n")) {
		putFilters(t, root, judges{postgrey: fool(t, does)})
		began := time.Now()
		if r := ask(t, x, "x@on.example"); r.Code != 250 {
			t.Errorf("postgrey %s: %s", how, replyLine(r))
		}
		if took := time.Since(began); took > 20*patience*time.Second {
			t.Errorf("postgrey %s: the answer took %v", how, took)
		}
	}
	noPanic(t, x)
}

// A scanner that takes a letter and then nothing more does not keep Exim for ever, however
// long the letter is.
func TestScannerThatStopsReadingIsGivenUp(t *testing.T) {
	root := lab.NewRoot(t)
	hasty(t, root)
	lab.PutDomain(t, root, "spam.example", filtered("spamassassin")...)
	lab.PutDomain(t, root, "virus.example", filtered("avcheck")...)
	x := lab.Start(t, root, lab.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	deaf := &lab.Filter{Addr: l.Addr().String()} // the kernel takes the connection, and nobody reads
	putFilters(t, root, judges{clamd: deaf, spamd: deaf}, "spam_down: defer")
	long := strings.Repeat(strings.Repeat("x", 70)+"\n", 1<<20/71)
	if got := answered(t, x, "deaf spamd", "x@spam.example", letterOf(long[:900_000])); got != noSpamd {
		t.Errorf("spamd: %s", got)
	}
	if got := answered(t, x, "deaf clamd, a short letter", "x@virus.example", letterOf("short")); got != noScanner {
		t.Errorf("clamd: %s", got)
	}
	if got := answered(t, x, "deaf clamd, a long letter", "x@virus.example", letterOf(strings.Repeat(long, 12))); got != noScanner {
		t.Errorf("clamd, long: %s", got)
	}
}
