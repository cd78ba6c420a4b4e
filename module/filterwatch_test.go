package module

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// fakeFilters are filters that can be made to misbehave, by the address that they are
// dialled at.
type fakeFilters struct {
	t *testing.T

	mu    sync.Mutex
	how   map[string]string // by address: what it does with a question; unset: it answers
	asked map[string]int
}

// Where they are, and what they say when they are well.
var fakeAnswers = map[string]string{
	"127.0.0.1:1": "action=DUNNO\n\n", "127.0.0.1:2": "SPAMD/1.5 0 PONG\r\n", "127.0.0.1:3": "PONG\n",
}

var fakeAddrs = map[string]string{"postgrey": "127.0.0.1:1", "spamd": "127.0.0.1:2", "clamd": "127.0.0.1:3"}

func (f *fakeFilters) dial(_ context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[address]++
	if network != "tcp" || fakeAnswers[address] == "" {
		f.t.Errorf("dialled: %s %s", network, address)
	}
	how := f.how[address]
	switch how {
	case "refuses":
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case "takes no connection in time":
		return nil, context.DeadlineExceeded
	}
	ours, theirs := net.Pipe()
	go func() {
		defer func() { _ = theirs.Close() }()
		if how == "hangs up" {
			return
		}
		_, _ = theirs.Read(make([]byte, 1024))
		switch answer := fakeAnswers[address]; how {
		case "":
			_, _ = io.WriteString(theirs, answer)
		case "says nothing":
			_, _ = theirs.Read(make([]byte, 1)) // until it is given up
		case "says half":
			_, _ = io.WriteString(theirs, answer[:4])
		case "never ends":
			for err := error(nil); err == nil; {
				_, err = io.WriteString(theirs, strings.Repeat("PONG action=", 100))
			}
		case "says what nobody knows":
			_, _ = io.WriteString(theirs, "SPAMD/1.5 76 Bad header\r\n")
		}
	}()
	return &hurried{ours, f.t, how == "says nothing"}, nil
}

// hurried is a connection whose time limit must be a short one, and comes at once where
// it is all that there is to wait for.
type hurried struct {
	net.Conn
	t      *testing.T
	silent bool
}

func (c *hurried) SetDeadline(end time.Time) error {
	if left := time.Until(end); left > filterWait {
		c.t.Errorf("a filter may take %v", left)
	}
	if c.silent {
		end = time.Now().Add(100 * time.Millisecond)
	}
	return c.Conn.SetDeadline(end)
}

// filterWorld is a world with three filters, all of them fakes, and a domain for each
// that has it on.
func filterWorld(t *testing.T) (*world, *fakeFilters) {
	w := newWorld(t)
	f := &fakeFilters{t: t, how: map[string]string{}, asked: map[string]int{}}
	w.filterWatch.reach = f.dial
	for name, addr := range fakeAddrs {
		w.set(t, name, addr)
	}
	for _, d := range []string{"grey.example", "spam.example", "virus.example", "all.example", "none.example"} {
		add(t, w, as("user1"), d)
	}
	change(t, w, as("user1"), "grey.example", dnsEdit("greylist", "on"))
	change(t, w, as("user1"), "spam.example", dnsEdit("spamassassin", "on"))
	change(t, w, as("user1"), "virus.example", dnsEdit("avcheck", "on"))
	change(t, w, as("user1"), "all.example", dnsEdit("greylist", "on", "spamassassin", "on", "avcheck", "on"))
	return w, f
}

// notes are the notes in the list of domains, those that are none left out.
func (w *world) notes(t *testing.T) map[string]string {
	t.Helper()
	ds, _, err := w.ListDomains(t.Context(), as("user1"), mail.Query{Sort: "name", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]string{}
	for _, d := range ds {
		if d.Note != "" {
			notes[d.Name.String()] = d.Note
		}
	}
	return notes
}

func (w *world) askFilters(t *testing.T) {
	t.Helper()
	if err := w.AskFilters(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// However a filter fails, health and the list say so while it does, and no longer.
func TestFilterThatFailsIsSeenWhileItDoes(t *testing.T) {
	w, f := filterWorld(t)
	if states, err := w.FilterStates(t.Context()); err != nil || states["clamd"] != FilterUnasked {
		t.Errorf("before anybody asked: %v, %v", states, err)
	}
	healthy := func(what string) {
		t.Helper()
		w.pass(askEvery)
		w.askFilters(t)
		h, err := w.Health(t.Context())
		if err != nil || !h.OK || !maps.Equal(h.Filters, map[string]FilterState{"postgrey": FilterAnswers, "spamd": FilterAnswers, "clamd": FilterAnswers}) {
			t.Errorf("%s: %+v, %v", what, h, err)
		}
		if n := w.notes(t); len(n) != 0 {
			t.Errorf("%s: notes %v", what, n)
		}
	}
	healthy("all answer")
	for name, domain := range map[string]string{"postgrey": "grey.example", "spamd": "spam.example", "clamd": "virus.example"} {
		for how, want := range map[string]FilterState{
			"refuses": FilterDown, "takes no connection in time": FilterSlow, "says nothing": FilterSlow,
			"hangs up": FilterNonsense, "says half": FilterNonsense, "never ends": FilterNonsense, "says what nobody knows": FilterNonsense,
		} {
			f.set(fakeAddrs[name], how)
			w.pass(askEvery)
			w.askFilters(t)
			h, err := w.Health(t.Context())
			if err != nil || h.OK || h.Filters[name] != want {
				t.Errorf("%s %s: %+v, %v, want %s", name, how, h, err, want)
			}
			if n := w.notes(t); !maps.Equal(n, map[string]string{domain: "filter_" + name, "all.example": "filter_" + name}) {
				t.Errorf("%s %s: notes %v", name, how, n)
			}
			f.set(fakeAddrs[name], "")
			healthy(name + " is back")
		}
	}
	for _, a := range fakeAddrs {
		f.set(a, "refuses")
	}
	w.pass(askEvery)
	w.askFilters(t)
	if n := w.notes(t); n["all.example"] != "filter_clamd" || n["none.example"] != "" || len(n) != 4 {
		t.Errorf("all are down: %v", n)
	}
	if log := w.log.String(); strings.Count(log, "a filter does not answer") != strings.Count(log, "a filter answers again")+3 {
		t.Errorf("the log: %s", log)
	}
}

func (f *fakeFilters) set(address, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.how[address] = how
}

// Filters are asked once a minute, every five seconds while one fails, and at once when
// others are set; whoever reads a list or health asks nobody.
func TestFiltersAreAskedSeldom(t *testing.T) {
	w, f := filterWorld(t)
	count := func(during time.Duration) (n int) {
		t.Helper()
		f.mu.Lock()
		before := f.asked[fakeAddrs["clamd"]]
		f.mu.Unlock()
		for end := w.tick().Add(during); w.tick().Before(end); { // whoever looks at this clock puts it on
			w.askFilters(t)
			w.notes(t)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.asked[fakeAddrs["clamd"]] - before
	}
	w.askFilters(t)
	if n := count(10 * time.Minute); n < 9 || n > 11 {
		t.Errorf("asked %d times in ten minutes", n)
	}
	w.pass(-time.Hour)
	if n := count(5 * time.Second); n != 1 {
		t.Errorf("asked %d times when the clock was put back", n)
	}
	f.set(fakeAddrs["spamd"], "refuses")
	w.pass(askEvery)
	w.askFilters(t)
	if n := count(time.Minute); n < 6 || n > 13 {
		t.Errorf("asked %d times in a minute while another is down", n)
	}
	f.set(fakeAddrs["spamd"], "")
	w.pass(askAgain)
	w.askFilters(t)
	w.set(t, "spamd", "off")
	if n := count(5 * time.Second); n != 1 {
		t.Errorf("asked %d times when others were set", n)
	}
	states, err := w.FilterStates(t.Context())
	if err != nil || states["spamd"] != FilterOff || states["clamd"] != FilterAnswers {
		t.Errorf("%v, %v", states, err)
	}
	h, err := w.Health(t.Context())
	if _, used := h.Filters["spamd"]; err != nil || used {
		t.Errorf("%+v, %v", h, err)
	}
}

// A filter that is not used any more, or elsewhere, is not held to what it last said.
func TestStateIsOfTheFilterThatIsUsed(t *testing.T) {
	w, f := filterWorld(t)
	f.set(fakeAddrs["clamd"], "refuses")
	w.askFilters(t)
	if n := w.notes(t); len(n) != 2 {
		t.Fatalf("notes %v", n)
	}
	w.set(t, "clamd", "off")
	if h, err := w.Health(t.Context()); err != nil || !h.OK {
		t.Errorf("%+v, %v", h, err)
	}
	w.askFilters(t)
	if n := w.notes(t); len(n) != 0 {
		t.Errorf("notes %v", n)
	}
}

// What a list shows of DNS comes back when the filter does.
func TestNoteOfAFilterHidesAnother(t *testing.T) {
	w, f := filterWorld(t)
	was := []mail.Domain{{Avcheck: true, Note: "dns"}, {Note: "dns"}, {Spamassassin: true, Note: "ssl"}}
	f.set(fakeAddrs["clamd"], "hangs up")
	w.askFilters(t)
	w.noteFilters(was)
	if was[0].Note != "filter_clamd" || was[1].Note != "dns" || was[2].Note != "ssl" {
		t.Errorf("%+v", was)
	}
}

// Being told to stop says nothing about filters.
func TestStoppedLookNotesNothing(t *testing.T) {
	w, f := filterWorld(t)
	w.askFilters(t)
	w.pass(askEvery)
	ctx, cancel := context.WithCancel(t.Context())
	w.filterWatch.reach = func(ctx context.Context, network, address string) (net.Conn, error) {
		cancel()
		return nil, errors.Join(ctx.Err(), os.ErrDeadlineExceeded)
	}
	if err := w.AskFilters(ctx); err != nil {
		t.Fatal(err)
	}
	w.filterWatch.reach = f.dial
	if states, err := w.FilterStates(t.Context()); err != nil || states["clamd"] != FilterAnswers {
		t.Errorf("%v, %v", states, err)
	}
}

// The real ones answer the questions, are missed when they are killed, and found again.
func TestRealFiltersAnswer(t *testing.T) {
	real := map[string]*lab.Filter{"postgrey": lab.StartPostgrey(t, time.Minute), "spamd": lab.StartSpamd(t), "clamd": lab.StartClamd(t)}
	w := newWorld(t)
	for name, f := range real {
		w.set(t, name, f.Addr)
	}
	states := func() map[string]FilterState {
		t.Helper()
		w.pass(askEvery)
		w.askFilters(t)
		h, err := w.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h.Filters
	}
	all := map[string]FilterState{"postgrey": FilterAnswers, "spamd": FilterAnswers, "clamd": FilterAnswers}
	for range 3 { // postgrey has seen that letter before
		if got := states(); !maps.Equal(got, all) {
			t.Errorf("all run: %v", got)
		}
	}
	for name, f := range real {
		f.Kill()
		want := maps.Clone(all)
		want[name] = FilterDown
		if got := states(); !maps.Equal(got, want) {
			t.Errorf("%s was killed: %v", name, got)
		}
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(); !maps.Equal(got, all) {
		t.Errorf("all run again: %v", got)
	}
}
