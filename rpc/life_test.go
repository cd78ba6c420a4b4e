package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"maildomain/rpc/wire"
)

func TestCallsWaitForTheRegistration(t *testing.T) {
	h := hold()
	close(h.end)
	s := serve(t, Config{Call: h.call, RegisterWait: time.Hour, Register: wire.Register{Version: "1.2", Digest: "d", Metadata: "<mgrdata>&</mgrdata>"}})
	p := s.connect(t)
	reg := p.nextRequest("core.register")
	var r wire.Register
	if err := json.Unmarshal(reg.Params, &r); err != nil || r.Protocol != 1 || r.Version != "1.2" || r.Metadata != "<mgrdata>&</mgrdata>" {
		t.Fatalf("registration %+v, %v", r, err)
	}
	p.call(1, wire.Call{Func: "f"})
	p.send(health)
	p.want(healthAnswer)
	h.none(t)
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"protocol":1,"core":{"name":"panelcore","version":"7"}}}`, reg.ID)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok","id":"f"}}`)
	if got := s.log.find(t, "registered"); got["core"] != "panelcore" || got["core_version"] != "7" {
		t.Errorf("log line %v", got)
	}
}

// Somebody with socat need not know what core.register is.
func TestCallsAreServedWhenTheRegistrationHasNoAnswer(t *testing.T) {
	s := serve(t, Config{RegisterWait: time.Millisecond})
	p := s.dial(t)
	p.call(1, wire.Call{Func: "f"})
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
	s.log.find(t, "core.register has no answer")
}

func TestCoreThatDoesNotAgreeIsLeft(t *testing.T) {
	for _, answer := range []string{
		`"result":{"protocol":2,"core":{"name":"x","version":"y"}}`, `"result":{}`, `"result":null`, `"result":"x"`,
		`"error":{"code":-32601,"message":"no such method"}`, `"error":{"code":-32010,"message":"protocol 1 is not spoken here"}`,
	} {
		h := hold()
		s := serve(t, Config{Call: h.call, RegisterWait: time.Hour})
		p := s.connect(t)
		reg := p.nextRequest("core.register")
		p.call(1, wire.Call{Func: "f"})
		p.send(`{"jsonrpc":"2.0","id":%s,%s}`, reg.ID, answer)
		p.wantEnd()
		if got := s.log.find(t, "not registered"); got["level"] != "error" {
			t.Errorf("log line %v", got)
		}
		s.log.find(t, `"func":"f"`, "unavailable") // the call that waited is over, too
		h.none(t)
	}
}

func TestRegistrationThatIsTooLongIsLogged(t *testing.T) {
	s := serve(t, Config{Register: wire.Register{Metadata: strings.Repeat("x", wire.MaxMessage)}})
	s.connect(t).wantEnd()
	s.log.find(t, "not registered", errTooLongSent.Error())
}

// asUID runs f on a thread of that user's, which ends with it.
func asUID(uid int, f func() error) error {
	err := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
			err <- e
			return
		}
		err <- f()
	}()
	return <-err
}

func TestPeerOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot connect as somebody else")
	}
	s := serve(t, Config{AllowUIDs: []uint32{33}})
	path := s.ln.Addr().String()
	for _, f := range []string{path, path[:strings.LastIndexByte(path, '/')]} {
		if err := os.Chmod(f, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		uid int
		ok  bool
	}{{0, true}, {33, true}, {34, false}, {65534, false}} {
		var p *peer
		err := asUID(c.uid, func() error {
			nc, err := net.DialUnix("unix", nil, s.ln.Addr().(*net.UnixAddr))
			if err == nil {
				p = &peer{t, nc, bufio.NewReader(nc)}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.nc.Close()
		if c.ok {
			p.nextRequest("core.register")
			continue
		}
		p.wantEnd()
		if got := s.log.find(t, "connection refused"); got["peer_uid"] != float64(c.uid) {
			t.Errorf("log line %v", got)
		}
	}
}

// A clock is set by hand.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers chan timer // that were asked for
}

type timer struct {
	after time.Duration
	c     chan time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_000_000, 0), timers: make(chan timer, 1000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	t := timer{d, make(chan time.Time, 1)}
	c.timers <- t
	return t.c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// fire lets the time of t go by.
func (c *clock) fire(t timer) {
	c.advance(t.after)
	t.c <- c.Now()
}

// until waits for a state of the server that nothing else tells of.
func (s *served) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		s.srv.mu.Lock()
		ok := is()
		s.srv.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server is not %s", what)
		}
	}
}

// settle waits until all that was sent has been dealt with.
func (s *served) settle(t *testing.T) {
	t.Helper()
	s.until(t, "at rest", func() bool {
		for c := range s.srv.conns {
			if !c.quiet() {
				return false
			}
		}
		return s.srv.active == 0
	})
}

func TestIdleServerEnds(t *testing.T) {
	clock := newClock()
	s := serve(t, Config{Idle: 5 * time.Minute, Now: clock.Now, After: clock.After})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	p.next()
	s.settle(t)
	clock.fire(await(t, clock.timers, "the idle timer"))
	if err := await(t, s.end, "Serve"); err != nil {
		t.Fatal(err)
	}
	p.wantEnd()
	if since := clock.Now().Sub(newClock().now); since != 5*time.Minute {
		t.Errorf("after %s", since)
	}

	// The socket is open, for the next process.
	q := s.connect(t)
	q.call(1, wire.Call{Func: "f"})
	next := serveOn(t, s.ln, Config{RegisterWait: time.Millisecond})
	q.nextRequest("core.register")
	q.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
	next.stop()
	if err := await(t, next.end, "Serve"); err != nil {
		t.Error(err)
	}
}

func TestServerWithoutIdleLimitStays(t *testing.T) {
	clock := newClock()
	s := serve(t, Config{Now: clock.Now, After: clock.After})
	s.core(t)
	s.settle(t)
	s.stop()
	await(t, s.end, "Serve")
	if len(clock.timers) > 0 {
		t.Error("a timer was set")
	}
}

func TestServerWithACallIsNotIdle(t *testing.T) {
	clock, h := newClock(), hold()
	s := serve(t, Config{Idle: time.Minute, Now: clock.Now, After: clock.After, Call: h.call})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	await(t, h.began, "f")
	for range 5 {
		clock.fire(await(t, clock.timers, "the idle timer"))
	}
	last := await(t, clock.timers, "the idle timer")
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok","id":"f"}}`)
	s.settle(t)
	clock.fire(last) // a minute after the end of the call
	if err := await(t, s.end, "Serve"); err != nil {
		t.Error(err)
	}
}

// The time to the idle end counts from the last call, not from when it was looked at.
func TestIdleTimeCountsFromTheLastCall(t *testing.T) {
	clock := newClock()
	s := serve(t, Config{Idle: time.Minute, Now: clock.Now, After: clock.After})
	p := s.core(t)
	first := await(t, clock.timers, "the idle timer")
	clock.advance(40 * time.Second)
	p.call(1, wire.Call{Func: "f"})
	p.next()
	s.settle(t)
	first.after = 20 * time.Second
	clock.fire(first)
	rest := await(t, clock.timers, "the idle timer")
	if rest.after != 40*time.Second {
		t.Errorf("waits another %s", rest.after)
	}
	clock.fire(rest)
	if err := await(t, s.end, "Serve"); err != nil {
		t.Error(err)
	}
}

func TestServerWithWorkOfItsOwnIsNotIdle(t *testing.T) {
	clock, asked := newClock(), make(chan bool)
	s := serve(t, Config{Idle: time.Minute, Now: clock.Now, After: clock.After, Working: func() bool { return <-asked }})
	for range 3 {
		clock.fire(await(t, clock.timers, "the idle timer"))
		asked <- true
	}
	clock.fire(await(t, clock.timers, "the idle timer"))
	asked <- false
	if err := await(t, s.end, "Serve"); err != nil {
		t.Error(err)
	}
}

func TestHealthDoesNotKeepTheServer(t *testing.T) {
	clock := newClock()
	s := serve(t, Config{Idle: time.Minute, Now: clock.Now, After: clock.After})
	p := s.core(t)
	idle := await(t, clock.timers, "the idle timer")
	clock.advance(30 * time.Second)
	p.send(health)
	p.want(healthAnswer)
	s.settle(t)
	idle.after = 30 * time.Second
	clock.fire(idle) // a minute since the connection came
	if err := await(t, s.end, "Serve"); err != nil {
		t.Error(err)
	}
}

// A line that has come, or begun to, is not left behind.
func TestConnectionWithUnreadBytesIsNotQuiet(t *testing.T) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err := net.DialUnix("unix", nil, ln.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{nc: ours, stream: newStream(ours, zerolog.Nop(), time.Second)}
	if c.quiet() {
		t.Error("quiet while the reader is busy")
	}
	c.stream.between.Store(true)
	if !c.quiet() {
		t.Error("not quiet with nothing to read")
	}
	if _, err := io.WriteString(theirs, "{"); err != nil {
		t.Fatal(err)
	}
	if c.quiet() {
		t.Error("quiet with a byte to read")
	}
	ours.Close()
	if c.quiet() {
		t.Error("quiet with a socket that cannot be asked")
	}
}

func TestStoppedServerAnswersWhatRunsAndBeginsNothing(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	await(t, h.began, "f")
	s.stop()
	s.until(t, "stopping", func() bool { return s.srv.closing })
	p.call(2, wire.Call{Func: "late"})
	p.send(`{"jsonrpc":"2.0","id":3,"method":"x"}`)
	p.want(badAnswer("3", -32601, "there is no method x")) // all lines before it have been read
	h.none(t)
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok","id":"f"}}`)
	p.wantEnd() // without an answer to the late one
	if err := await(t, s.end, "Serve"); err != nil {
		t.Error(err)
	}
	h.none(t)
}

func TestStoppedServerDoesNotWaitForEver(t *testing.T) {
	clock, stuck := newClock(), make(chan struct{})
	began := make(chan struct{}, 1)
	s := serve(t, Config{Now: clock.Now, After: clock.After, Call: func(context.Context, wire.Call) (any, error) {
		began <- struct{}{}
		<-stuck // whatever its context says
		return struct{}{}, nil
	}})
	defer close(stuck)
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	await(t, began, "f")
	s.stop()
	tm := await(t, clock.timers, "the timer of the drain")
	if tm.after != 30*time.Second {
		t.Errorf("waits %s", tm.after)
	}
	clock.fire(tm)
	if err := await(t, s.end, "Serve"); err == nil || err.Error() != "stop: 1 calls still ran after 30s" {
		t.Errorf("Serve returned %v", err)
	}
	p.wantEnd()
}

func TestServeNeedsAListenerWithDeadlines(t *testing.T) {
	s := NewServer(Config{})
	if err := s.Serve(t.Context(), struct{ net.Listener }{closedListener{}}); err == nil {
		t.Error("served")
	}
}

type closedListener struct{ net.Listener }

func (closedListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func TestServeReturnsWhatIsWrongWithTheListener(t *testing.T) {
	s := serve(t, Config{})
	p := s.core(t)
	s.ln.Close()
	if err := await(t, s.end, "Serve"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	p.wantEnd()
}

// Servers come and go on one socket, because they are idle or stopped, while
// callers come and go, too. A caller whose connection ends without an answer calls
// again: the module has not begun its call. So each call is answered, and none
// begins twice.
func TestNoCallIsLostWhileServersComeAndGo(t *testing.T) {
	const callers, calls = 20, 30
	var mu sync.Mutex
	begun, servers, repeats := map[string]int{}, 0, 0

	dir := t.TempDir()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			once, end := context.WithCancel(ctx)
			srv := NewServer(Config{
				Idle:         time.Nanosecond,
				RegisterWait: time.Nanosecond,
				WireError:    plainWireError,
				Call: func(_ context.Context, c wire.Call) (any, error) {
					mu.Lock()
					begun[c.Session.RequestID]++
					if len(begun)%50 == 0 {
						end() // SIGTERM
					}
					mu.Unlock()
					return wire.OK{Kind: wire.KindOK, ID: c.Session.RequestID}, nil
				},
			})
			err := srv.Serve(once, ln)
			end()
			if err != nil {
				served <- err
				return
			}
			mu.Lock()
			servers++
			mu.Unlock()
		}
		served <- nil
	}()

	call := func(id string) (answered bool, err error) {
		nc, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			return false, err
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintf(nc, `{"jsonrpc":"2.0","id":1,"method":"module.call","params":{"func":"f","session":{"request_id":%q}}}`+"\n", id); err != nil {
			return false, nil
		}
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return false, err
			case err != nil:
				return false, nil
			case strings.Contains(line, `"kind":"ok","id":"`+id+`"`):
				return true, nil
			case !strings.Contains(line, "core.register"):
				return false, fmt.Errorf("answer %s", line)
			}
		}
	}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j := range calls {
				id := fmt.Sprintf("%d.%d", i, j)
				for {
					ok, err := call(id)
					if err != nil {
						t.Errorf("call %s: %v", id, err)
						return
					}
					if ok {
						break
					}
					mu.Lock()
					repeats++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	stop()
	if err := await(t, served, "the last server"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(begun) != callers*calls {
		t.Errorf("%d calls begun", len(begun))
	}
	for id, n := range begun {
		if n != 1 {
			t.Errorf("call %s begun %d times", id, n)
		}
	}
	if servers < 3 {
		t.Errorf("only %d servers came and went", servers)
	}
	t.Logf("%d calls, %d servers, %d repeats", len(begun), servers, repeats)
}

// The contract promises that a shell and socat are a core.
func TestSocatIsAUsableClient(t *testing.T) {
	socat, err := exec.LookPath("socat")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("socat is not installed: apt-get install socat")
		}
		t.Skip("socat is not installed: apt-get install socat")
	}
	s := serve(t, Config{RegisterWait: time.Hour})
	cmd := exec.Command(socat, "-t", "20", "-", "UNIX-CONNECT:"+s.ln.Addr().String())
	cmd.Stdin = strings.NewReader(health + "\n" + `{"jsonrpc":"2.0","id":2,"method":"module.call","params":{"func":"emaildomain"}}` + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("socat: %v", err)
	}
	for _, want := range []string{`"method":"core.register"`, healthAnswer, `{"jsonrpc":"2.0","id":2,"result":{"kind":"ok"}}`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("socat printed\n%s\nwithout %s", out, want)
		}
	}
}
