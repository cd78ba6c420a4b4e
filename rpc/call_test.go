package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/rpc/wire"
)

func by(id string) wire.Session {
	return wire.Session{User: "user1", Level: "user", Lang: "ru", RequestID: id, RemoteIP: "127.0.0.9"}
}

// held is a function of the table that tells of each call and ends when it may.
type held struct {
	began chan wire.Call
	end   chan struct{}
}

func hold() held { return held{make(chan wire.Call, 200), make(chan struct{})} }

func (h held) call(ctx context.Context, c wire.Call) (any, error) {
	h.began <- c
	select {
	case <-h.end:
		return wire.OK{Kind: wire.KindOK, ID: c.Func}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("hold: %w", ctx.Err())
	}
}

func (h held) none(t *testing.T) {
	t.Helper()
	select {
	case c := <-h.began:
		t.Fatalf("%s has begun", c.Func)
	default:
	}
}

func TestCallGetsWhatTheCoreSent(t *testing.T) {
	got := make(chan wire.Call, 1)
	s := serve(t, Config{Call: func(_ context.Context, c wire.Call) (any, error) {
		got <- c
		return wire.Form{Kind: wire.KindForm, Values: map[string]string{"name": "<пример.рф>"}}, nil
	}})
	p := s.core(t)
	p.send(`{"jsonrpc":"2.0","id":"a<\"","method":"module.call","params":{"func":"f","params":{"name":"пример","null":""},"session":{"user":"u","level":"admin","lang":"en","su_by":"root","request_id":"r","remote_ip":"::1"},"more":1}}`)
	p.want(`{"jsonrpc":"2.0","id":"a<\"","result":{"kind":"form","values":{"name":"<пример.рф>"},"slists":null,"hidden":null}}`)
	c := <-got
	if want := (wire.Session{User: "u", Level: "admin", Lang: "en", SuBy: "root", RequestID: "r", RemoteIP: "::1"}); c.Session != want {
		t.Errorf("session %+v", c.Session)
	}
	if c.Func != "f" || len(c.Params) != 2 || c.Params["name"] != "пример" {
		t.Errorf("call %+v", c)
	}
}

func TestParamsThatAreNoObjectOfStringsAreRefused(t *testing.T) {
	h := hold()
	p := serve(t, Config{Call: h.call}).core(t)
	for _, params := range []string{
		`[]`, `"x"`, `null`, `{}`, `{"func":7}`, `{"func":"f","params":[]}`, `{"func":"f","params":{"a":1}}`, `{"func":"f","params":{"a":null}}`,
		`{"func":"f","params":{"a":{}}}`, `{"func":"f","params":{"a":["x"]}}`, `{"func":"f","session":[]}`, `{"func":"f","session":{"request_id":7}}`,
		`{"func":"f","session":{"request_id":"` + strings.Repeat("x", maxRequestID+1) + `"}}`,
	} {
		p.send(`{"jsonrpc":"2.0","id":1,"method":"module.call","params":%s}`, params)
		if got := p.next(); !strings.Contains(got, `"code":-32602`) {
			t.Errorf("%s: %s", params, got)
		}
	}
	p.send(`{"jsonrpc":"2.0","id":1,"method":"module.call"}`)
	p.want(badAnswer("1", -32602, "params are missing"))
	p.send(`{"jsonrpc":"2.0","method":"module.call","params":{"func":"f"}}`) // no id, nobody to answer
	p.send(health)
	p.want(healthAnswer)
	h.none(t)
}

func TestCallWithoutParamsHasNone(t *testing.T) {
	got := make(chan wire.Call, 1)
	p := serve(t, Config{Call: func(_ context.Context, c wire.Call) (any, error) { got <- c; return struct{}{}, nil }}).core(t)
	for _, params := range []string{`{"func":"f"}`, `{"func":"f","params":null}`, `{"func":"f","params":{}}`} {
		p.send(`{"jsonrpc":"2.0","id":1,"method":"module.call","params":%s}`, params)
		p.want(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		if c := <-got; c.Params == nil || len(c.Params) != 0 {
			t.Errorf("%s: params %#v", params, c.Params)
		}
	}
}

func TestCallHasOneLogLine(t *testing.T) {
	clock := time.Unix(0, 0)
	var mu sync.Mutex
	s := serve(t, Config{
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return clock },
		Call: func(_ context.Context, c wire.Call) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			clock = clock.Add(25 * time.Millisecond)
			if c.Func == "bad" {
				return nil, errors.New("disk on fire at /secret")
			}
			return wire.List{Kind: wire.KindList}, nil
		},
	})
	p := s.core(t)
	c := wire.Call{Func: "emaildomain", Session: by("r1")}
	c.Session.SuBy = "admin"
	p.call(1, c)
	p.next()
	got := s.log.find(t, `"message":"call"`)
	for field, want := range map[string]any{"level": "info", "func": "emaildomain", "user": "user1", "user_level": "user", "su_by": "admin",
		"request_id": "r1", "remote_ip": "127.0.0.9", "duration": 25.0, "result": "list"} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}

	c.Func = "bad"
	p.call(2, c)
	p.want(`{"jsonrpc":"2.0","id":2,"error":{"code":-32010,"message":"internal error [r1]","data":{"type":"internal","object":"","value":"","msg":"internal error [r1]"}}}`)
	got = s.log.find(t, `"message":"call"`)
	if got["level"] != "error" || got["error"] != "internal" || got["cause"] != "disk on fire at /secret" {
		t.Errorf("log line %v", got)
	}
}

func TestCallWithoutRequestIDIsGivenOne(t *testing.T) {
	ids := make(chan string, 2)
	s := serve(t, Config{Call: func(_ context.Context, c wire.Call) (any, error) {
		ids <- c.Session.RequestID
		return nil, errors.New("x")
	}})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	answer, id := p.next(), <-ids
	if !strings.HasPrefix(id, "auto-") || !strings.Contains(answer, "["+id+"]") {
		t.Errorf("id %q, answer %s", id, answer)
	}
	s.log.find(t, id)
	p.call(2, wire.Call{Func: "f"})
	if again := <-ids; again == id {
		t.Error("the same id twice")
	}
}

func TestPanicEndsOneCallOnly(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: func(ctx context.Context, c wire.Call) (any, error) {
		if c.Func == "panic" {
			var none []string
			return none[len(c.Params)], nil
		}
		return h.call(ctx, c)
	}})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f"})
	await(t, h.began, "f")
	p.call(2, wire.Call{Func: "panic", Session: by("r2")})
	p.want(`{"jsonrpc":"2.0","id":2,"error":{"code":-32010,"message":"internal error [r2]","data":{"type":"internal","object":"","value":"","msg":"internal error [r2]"}}}`)
	got := s.log.find(t, `"message":"call"`, "r2")
	if got["cause"] != "panic: runtime error: index out of range [0] with length 0" || !strings.Contains(fmt.Sprint(got["stack"]), "call_test.go") {
		t.Errorf("log line %v", got)
	}
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok","id":"f"}}`)
}

func TestPanicInHealthEndsIt(t *testing.T) {
	s := serve(t, Config{Health: func(context.Context) wire.Health { panic("no") }})
	p := s.core(t)
	p.send(health)
	if got := p.next(); !strings.Contains(got, `"internal error"`) {
		t.Error(got)
	}
	p.call(1, wire.Call{Func: "f"})
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
}

func TestResultThatIsTooLongIsAnError(t *testing.T) {
	s := serve(t, Config{Call: func(context.Context, wire.Call) (any, error) {
		return wire.OK{Kind: wire.KindOK, ID: strings.Repeat("x", wire.MaxMessage)}, nil
	}})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f", Session: by("r")})
	p.want(`{"jsonrpc":"2.0","id":1,"error":{"code":-32010,"message":"internal error [r]","data":{"type":"internal","object":"","value":"","msg":"internal error [r]"}}}`)
	if got := s.log.find(t, `"message":"call"`); got["cause"] != errTooLongSent.Error() {
		t.Errorf("log line %v", got)
	}
}

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	p := serve(t, Config{Call: func(context.Context, wire.Call) (any, error) { return func() {}, nil }}).core(t)
	p.call(1, wire.Call{Func: "f"})
	if got := p.next(); !strings.Contains(got, `"code":-32010`) {
		t.Error(got)
	}
}

func TestCallsRunAtOnceAndTheSixtyFifthIsBusy(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p := s.core(t)
	for i := range wire.MaxCalls {
		p.call(i, wire.Call{Func: "f"})
	}
	for range wire.MaxCalls {
		await(t, h.began, "calls to begin")
	}
	p.call(1000, wire.Call{Func: "g", Session: by("r")})
	p.want(`{"jsonrpc":"2.0","id":1000,"error":{"code":-32001,"message":"too many calls at once on this connection","data":{"type":"busy","object":"","value":"","msg":"ru"}}}`)
	s.log.find(t, `"func":"g"`, `"error":"busy"`)

	// The limit is of one connection, and health is not a call.
	q := s.core(t)
	q.call(1, wire.Call{Func: "h"})
	await(t, h.began, "the call of the other connection")
	p.send(health)
	p.want(healthAnswer)

	close(h.end)
	for range wire.MaxCalls {
		p.next()
	}
	q.next()
}

// A core that keeps as many calls under way as it may sends the next one as soon
// as it has an answer.
func TestPlaceOfACallIsFreeWhenItsAnswerIsThere(t *testing.T) {
	p := serve(t, Config{}).core(t)
	for i := range wire.MaxCalls {
		p.call(i, wire.Call{Func: "f"})
	}
	for i := range 5000 {
		if got := p.next(); !strings.Contains(got, `"ok"`) {
			t.Fatal(got)
		}
		p.call(i, wire.Call{Func: "f"})
	}
}

func TestCancelEndsTheCallOfThatID(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p, q := s.core(t), s.core(t)
	p.call(1, wire.Call{Func: "f", Session: by("one")})
	await(t, h.began, "f")
	p.call(2, wire.Call{Func: "g", Session: by("two")})
	await(t, h.began, "g")
	q.send(`{"jsonrpc":"2.0","method":"module.cancel","params":{"request_id":"one"}}`)
	p.want(`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"cancelled by the core","data":{"type":"cancelled","object":"","value":"","msg":"ru"}}}`)
	q.send(`{"jsonrpc":"2.0","id":5,"method":"module.cancel","params":{"request_id":"unknown"}}`)
	q.want(`{"jsonrpc":"2.0","id":5,"result":{}}`)
	q.send(`{"jsonrpc":"2.0","id":6,"method":"module.cancel","params":{"request_id":6}}`)
	if got := q.next(); !strings.Contains(got, `-32602`) {
		t.Error(got)
	}
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":2,"result":{"kind":"ok","id":"g"}}`)
}

// What happened has happened, although the core did not want it any more.
func TestCallThatIsDoneIsNotCancelled(t *testing.T) {
	h, cancelled := hold(), make(chan struct{})
	p := serve(t, Config{Call: func(ctx context.Context, c wire.Call) (any, error) {
		h.began <- c
		<-ctx.Done()
		close(cancelled)
		return wire.OK{Kind: wire.KindOK}, nil
	}}).core(t)
	p.call(1, wire.Call{Func: "f", Session: by("one")})
	await(t, h.began, "f")
	p.send(`{"jsonrpc":"2.0","method":"module.cancel","params":{"request_id":"one"}}`)
	await(t, cancelled, "the cancellation")
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
}

func TestCallThatTakesTooLongIsEnded(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call, CallLimit: time.Millisecond, RegisterWait: time.Hour})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f", Session: by("one")})
	p.want(`{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"the call took longer than it may","data":{"type":"limit","object":"","value":"","msg":"ru"}}}`)
	if got := s.log.find(t, `"message":"call"`); !strings.Contains(fmt.Sprint(got["cause"]), ErrTimeLimit.Error()) {
		t.Errorf("log line %v", got)
	}
}

// A core that lost its connection repeats its call; the first one may still run.
func TestRepeatedCallWaitsForTheFirst(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p := s.core(t)
	p.call(1, wire.Call{Func: "first", Session: by("same")})
	await(t, h.began, "the first")
	p.nc.Close()

	q := s.core(t)
	q.call(1, wire.Call{Func: "second", Session: by("same")})
	q.call(2, wire.Call{Func: "other", Session: by("other")})
	if c := await(t, h.began, "the other"); c.Func != "other" {
		t.Fatalf("%s runs beside the first", c.Func)
	}
	h.end <- struct{}{} // the first, or the other
	h.end <- struct{}{}
	if c := await(t, h.began, "the second"); c.Func != "second" {
		t.Fatalf("%s began", c.Func)
	}
	close(h.end)
	if both := q.next() + q.next(); !strings.Contains(both, `"id":1,"result":{"kind":"ok","id":"second"}`) || !strings.Contains(both, `"id":2,"result":{"kind":"ok","id":"other"}`) {
		t.Error(both)
	}
	s.log.find(t, `"func":"first"`, `"result":"ok"`, "not_answered")
}

func TestRepeatedCallThatWaitsCanBeCancelled(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p := s.core(t)
	p.call(1, wire.Call{Func: "first", Session: by("same")})
	await(t, h.began, "the first")
	p.call(2, wire.Call{Func: "second", Session: by("same")})
	p.send(health)
	p.want(healthAnswer) // all lines before it have been read
	p.send(`{"jsonrpc":"2.0","method":"module.cancel","params":{"request_id":"same"}}`)
	for range 2 {
		if got := p.next(); !strings.Contains(got, "cancelled") {
			t.Error(got)
		}
	}
	p.call(3, wire.Call{Func: "third", Session: by("same")})
	await(t, h.began, "the third")
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":3,"result":{"kind":"ok","id":"third"}}`)
}

func TestCallersThatHangUpDoNotEndTheirCalls(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call})
	p := s.core(t)
	p.call(1, wire.Call{Func: "f", Session: by("r")})
	await(t, h.began, "f")
	p.nc.Close()
	q := s.core(t) // the reader has seen the end of p, or will; its call goes on
	q.send(health)
	q.want(healthAnswer)
	h.end <- struct{}{}
	if got := s.log.find(t, `"func":"f"`); got["result"] != "ok" {
		t.Errorf("log line %v", got)
	}
}

func TestPeerThatHasSaidAllStillGetsItsAnswers(t *testing.T) {
	h := hold()
	s := serve(t, Config{Call: h.call, RegisterWait: time.Hour})
	p := s.dial(t)
	p.call(1, wire.Call{Func: "f"})
	if err := p.nc.CloseWrite(); err != nil { // as socat does at the end of its input
		t.Fatal(err)
	}
	await(t, h.began, "f")
	close(h.end)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok","id":"f"}}`)
	p.wantEnd()
}

func TestAnswersOfManyCallsDoNotMix(t *testing.T) {
	s := serve(t, Config{Call: func(_ context.Context, c wire.Call) (any, error) {
		return wire.OK{Kind: wire.KindOK, ID: strings.Repeat(c.Func, 3000)}, nil
	}})
	p := s.core(t)
	const n = wire.MaxCalls
	for i := range n {
		p.call(i, wire.Call{Func: fmt.Sprintf("%02d", i)})
	}
	seen := map[int]bool{}
	for range n {
		var a struct {
			ID     int
			Result wire.OK
		}
		if err := json.Unmarshal([]byte(p.next()), &a); err != nil {
			t.Fatal(err)
		}
		if seen[a.ID] || a.Result.ID != strings.Repeat(fmt.Sprintf("%02d", a.ID), 3000) {
			t.Fatalf("answer %d: twice, or another's", a.ID)
		}
		seen[a.ID] = true
	}
}
