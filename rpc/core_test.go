package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"maildomain/rpc/wire"
)

// asking serves functions that do nothing but ask the core.
func asking(k *Core) Config {
	return Config{Core: k, Call: func(ctx context.Context, c wire.Call) (any, error) {
		switch c.Func {
		case "user":
			u, ok, err := k.User(ctx, c.Params["name"])
			return fmt.Sprint(u.Home, " ", ok), err
		case "users":
			users, err := k.Users(ctx, wire.UsersQuery{Parent: c.Params["parent"], After: c.Params["after"]})
			return len(users), err
		case "params":
			p, err := k.Params(ctx)
			return p.MailHost, err
		case "changed":
			return struct{}{}, k.Changed(ctx, wire.Changed{Func: "emaildomain", Elids: []string{"a.example"}})
		case "progress":
			return struct{}{}, k.Progress(ctx, wire.Progress{RequestID: c.Session.RequestID, Done: 1, Total: 2, Text: "half"})
		}
		return struct{}{}, nil
	}}
}

func user(name string) wire.Call {
	return wire.Call{Func: "user", Params: map[string]string{"name": name}}
}

const invalidateUsers = `{"jsonrpc":"2.0","method":"module.invalidate","params":{"what":"users"}}`

// answerUsers answers the next core.users with users of those names, whose home says gen.
func (p *peer) answerUsers(gen int) {
	p.t.Helper()
	req := p.nextRequest("core.users")
	var q wire.UsersQuery
	if err := json.Unmarshal(req.Params, &q); err != nil {
		p.t.Fatal(err)
	}
	users := []wire.User{}
	for _, n := range q.Names {
		if n != "nobody" {
			users = append(users, wire.User{Name: n, Home: fmt.Sprintf("/%s/%d", n, gen)})
		}
	}
	b, _ := json.Marshal(users)
	p.send(`{"jsonrpc":"2.0","id":%s,"result":%s}`, req.ID, b)
}

func (p *peer) wantResult(id int, result string) {
	p.t.Helper()
	p.want(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, id, result))
}

func (p *peer) wantUnavailable(id int) {
	p.t.Helper()
	p.want(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32004,"message":"the panel core does not answer","data":{"type":"unavailable","object":"","value":"","msg":""}}}`, id))
}

func TestUserIsAskedForOnce(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	p.call(1, user("user1"))
	p.answerUsers(1)
	p.wantResult(1, `"/user1/1 true"`)
	for i := 2; i < 10; i++ {
		p.call(i, user("user1"))
		p.wantResult(i, `"/user1/1 true"`) // the next line: no question before it
	}
}

func TestInvalidateForgets(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	p.call(1, user("user1"))
	p.answerUsers(1)
	p.wantResult(1, `"/user1/1 true"`)
	p.call(2, wire.Call{Func: "params"})
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"mail_host":"one"}}`, p.nextRequest("core.params").ID)
	p.wantResult(2, `"one"`)

	p.send(invalidateUsers)
	p.call(3, wire.Call{Func: "params"})
	p.wantResult(3, `"one"`)
	p.call(4, user("user1"))
	p.answerUsers(2)
	p.wantResult(4, `"/user1/2 true"`)

	p.send(`{"jsonrpc":"2.0","id":9,"method":"module.invalidate","params":{"what":"params"}}`)
	p.wantResult(9, `{}`)
	p.call(5, user("user1"))
	p.wantResult(5, `"/user1/2 true"`)
	p.call(6, wire.Call{Func: "params"})
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"mail_host":"two"}}`, p.nextRequest("core.params").ID)
	p.wantResult(6, `"two"`)
}

// What was asked before module.invalidate is neither remembered nor given to who
// asks after it.
func TestAnswerUnderWayDoesNotSurviveInvalidate(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	p.call(1, user("user1"))
	old := p.nextRequest("core.users")
	p.send(invalidateUsers)
	p.call(2, user("user1"))
	p.answerUsers(2) // a question of its own, although the first still waits
	p.wantResult(2, `"/user1/2 true"`)
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[{"name":"user1","home":"/old"}]}`, old.ID)
	p.wantResult(1, `"/old true"`)
	p.call(3, user("user1"))
	p.wantResult(3, `"/user1/2 true"`)

	p.send(invalidateUsers)
	p.call(4, user("user1"))
	old = p.nextRequest("core.users")
	p.send(invalidateUsers)
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[{"name":"user1","home":"/old"}]}`, old.ID)
	p.wantResult(4, `"/old true"`)
	p.call(5, user("user1"))
	p.answerUsers(5)
	p.wantResult(5, `"/user1/5 true"`)
}

func TestCallsThatAskTheSameShareTheAnswer(t *testing.T) {
	const n = 20
	k := NewCore(0, nil)
	var arrived atomic.Int32
	cfg := asking(k)
	ask, all := cfg.Call, make(chan struct{})
	cfg.Call = func(ctx context.Context, c wire.Call) (any, error) {
		if arrived.Add(1) == n {
			close(all)
		}
		return ask(ctx, c)
	}
	p := serve(t, cfg).core(t)
	for i := range n {
		p.call(i, user("user1"))
	}
	await(t, all, "all calls")
	p.answerUsers(1)
	for range n {
		if got := p.next(); !strings.Contains(got, `"/user1/1 true"`) {
			t.Fatal(got)
		}
	}
}

func TestUnknownUserIsAskedForAgain(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	for i := range 3 {
		p.call(i, user("nobody"))
		p.answerUsers(1)
		p.wantResult(i, `" false"`)
	}
}

// A core that answers for another user than it was asked for is not believed.
func TestUserOfAnotherNameIsNoAnswer(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	p.call(1, user("user1"))
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[{"name":"admin","home":"/root"}]}`, p.nextRequest("core.users").ID)
	p.wantResult(1, `" false"`)
}

func TestUsersOfAResellerAreRemembered(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	list := func(parent, after string) wire.Call {
		return wire.Call{Func: "users", Params: map[string]string{"parent": parent, "after": after}}
	}
	p.call(1, list("reseller1", ""))
	req := p.nextRequest("core.users")
	if diff := cmp.Diff(asJSON(t, `{"parent":"reseller1"}`), asJSON(t, string(req.Params))); diff != "" {
		t.Error(diff)
	}
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[{"name":"user1","home":"/1"},{"name":"user2","home":"/2"}]}`, req.ID)
	p.wantResult(1, "2")
	p.call(2, list("reseller1", ""))
	p.wantResult(2, "2")
	p.call(3, user("user2")) // came with the list
	p.wantResult(3, `"/2 true"`)
	p.call(4, list("reseller1", "user2"))
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[]}`, p.nextRequest("core.users").ID)
	p.wantResult(4, "0")
	p.send(invalidateUsers)
	p.call(5, list("reseller1", ""))
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[]}`, p.nextRequest("core.users").ID)
	p.wantResult(5, "0")
}

func TestWhatIsRememberedGrowsOld(t *testing.T) {
	var seconds atomic.Int64
	p := serve(t, asking(NewCore(0, func() time.Time { return time.Unix(seconds.Load(), 0) }))).core(t)
	p.call(1, user("user1"))
	p.answerUsers(1)
	p.wantResult(1, `"/user1/1 true"`)
	seconds.Store(59)
	p.call(2, user("user1"))
	p.wantResult(2, `"/user1/1 true"`)
	seconds.Store(60)
	p.call(3, user("user1"))
	p.answerUsers(3)
	p.wantResult(3, `"/user1/3 true"`)
}

// While a connection comes or goes the core may have had something to tell and
// nobody to tell it to.
func TestConnectionThatComesOrGoesEmptiesTheCache(t *testing.T) {
	k := NewCore(0, nil)
	s := serve(t, asking(k))
	p := s.core(t)
	p.call(1, user("user1"))
	p.answerUsers(1)
	p.wantResult(1, `"/user1/1 true"`)

	q := s.core(t)
	q.call(2, user("user1"))
	q.answerUsers(2)
	q.wantResult(2, `"/user1/2 true"`)
	q.nc.Close()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // the end is noticed some time after it
		if _, ok := k.cache.user("user1"); !ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("still remembered")
		}
	}
	p.call(3, user("user1"))
	p.answerUsers(3)
	p.wantResult(3, `"/user1/3 true"`)
}

func TestCacheIsBounded(t *testing.T) {
	c := cache{now: time.Now}
	page := make([]wire.User, wire.MaxUsers)
	for i := range 50 {
		for j := range page {
			page[j].Name = fmt.Sprintf("user%d", i*len(page)+j)
		}
		c.keepUsers(0, wire.UsersQuery{Parent: fmt.Sprint(i)}, page)
		c.keepUsers(0, wire.UsersQuery{Parent: fmt.Sprint(i)}, page) // again: not counted twice
		held := 0
		for _, p := range c.pages {
			held += len(p.what)
		}
		if len(c.users) > maxCached || held > maxCached || held != c.paged {
			t.Fatalf("%d users, %d in pages (counted %d)", len(c.users), held, c.paged)
		}
		if _, ok := c.user(page[0].Name); !ok && i < 10 {
			t.Fatal("the newest is not there")
		}
	}
}

func TestSlowCoreIsUnavailable(t *testing.T) {
	s := serve(t, asking(NewCore(time.Millisecond, nil)))
	p := s.core(t)
	p.call(1, user("user1"))
	req := p.nextRequest("core.users")
	p.wantUnavailable(1)
	if got := s.log.find(t, `"message":"call"`); got["cause"] != "core.users: the panel core does not answer: no answer within 1ms" {
		t.Errorf("log line %v", got)
	}
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[]}`, req.ID) // too late, and no harm
	p.send(health)
	p.want(healthAnswer)
}

func TestCoreThatAnswersNothingIsLeft(t *testing.T) {
	s := serve(t, asking(NewCore(time.Millisecond, nil)))
	p := s.core(t)
	for i := range maxIgnored - 1 {
		p.call(i, user("user1"))
		p.nextRequest("core.users")
		p.wantUnavailable(i)
	}
	p.call(0, user("user1"))
	p.nextRequest("core.users")
	s.log.find(t, "the core answers nothing")
	if line, err := p.read(); err == nil { // the answer may or may not come first
		if _, err = p.read(); err == nil {
			t.Errorf("connection goes on after %s", line)
		}
	}
}

func TestErrorOfTheCoreIsUnavailable(t *testing.T) {
	for _, answer := range []string{
		`"error":{"code":-32601,"message":"no such method"}`, `"error":{"code":0,"message":""}`, `"error":7`, `"result":{}`, `"result":[{"name":7}]`,
	} {
		s := serve(t, asking(NewCore(time.Hour, nil)))
		p := s.core(t)
		p.call(1, user("user1"))
		p.send(`{"jsonrpc":"2.0","id":%s,%s}`, p.nextRequest("core.users").ID, answer)
		p.wantUnavailable(1)
		if got := s.log.find(t, `"message":"call"`); got["cause"] == nil {
			t.Errorf("%s: no cause in %v", answer, got)
		}
	}
}

// The call is over at once, not after the time limit.
func TestCoreThatHangsUpWhileAskedIsUnavailable(t *testing.T) {
	s := serve(t, asking(NewCore(time.Hour, nil)))
	p := s.core(t)
	p.call(1, user("user1"))
	p.nextRequest("core.users")
	p.nc.Close()
	got := s.log.find(t, `"message":"call"`)
	if got["error"] != "unavailable" || got["cause"] != "core.users: the panel core does not answer: the connection ended" {
		t.Errorf("log line %v", got)
	}

	p = s.core(t)
	p.call(1, user("user1"))
	p.nextRequest("core.users")
	if err := p.nc.CloseWrite(); err != nil { // it can be told, but not answer
		t.Fatal(err)
	}
	p.wantUnavailable(1)
	p.wantEnd()
}

func TestCancelledCallDoesNotWaitForTheCore(t *testing.T) {
	p := serve(t, asking(NewCore(time.Hour, nil))).core(t)
	c := user("user1")
	c.Session.RequestID = "r"
	p.call(1, c)
	p.call(2, user("user1")) // waits for the same answer, and gets it
	req := p.nextRequest("core.users")
	p.send(`{"jsonrpc":"2.0","method":"module.cancel","params":{"request_id":"r"}}`)
	if got := p.next(); !strings.Contains(got, `"id":1`) || !strings.Contains(got, "cancelled by the core") {
		t.Error(got)
	}
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[{"name":"user1","home":"/1"}]}`, req.ID)
	p.wantResult(2, `"/1 true"`)
}

func TestCoreIsAskedWhereTheCallCameFrom(t *testing.T) {
	s := serve(t, asking(NewCore(time.Hour, nil)))
	p, q := s.core(t), s.core(t)
	p.call(1, user("user1"))
	atP := p.nextRequest("core.users")
	q.call(2, user("user1"))
	q.answerUsers(2)
	q.wantResult(2, `"/user1/2 true"`)
	p.send(`{"jsonrpc":"2.0","id":%s,"result":[]}`, atP.ID)
	p.wantResult(1, `" false"`)
}

func TestWorkWithoutACallAsksAnyRegisteredCore(t *testing.T) {
	k := NewCore(time.Hour, nil)
	s := serve(t, asking(k))
	if _, _, err := k.User(t.Context(), "user1"); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("without a core: %v", err)
	}
	silent := s.dial(t) // not registered
	if err := k.Changed(t.Context(), wire.Changed{}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("without a registered core: %v", err)
	}
	p := s.core(t)
	p.call(1, wire.Call{Func: "nothing"})
	p.wantResult(1, `{}`) // so it is registered
	homes := make(chan string, 1)
	go func() {
		u, _, err := k.User(context.Background(), "user1")
		homes <- fmt.Sprint(u.Home, err)
	}()
	p.answerUsers(1)
	if got := await(t, homes, "the user"); got != "/user1/1<nil>" {
		t.Error(got)
	}
	silent.send(health)
	silent.want(healthAnswer)
}

func TestCoreIsToldOfChangesAndProgress(t *testing.T) {
	p := serve(t, asking(NewCore(0, nil))).core(t)
	p.call(1, wire.Call{Func: "changed"})
	p.want(`{"jsonrpc":"2.0","method":"core.changed","params":{"func":"emaildomain","elids":["a.example"]}}`)
	p.wantResult(1, `{}`)
	p.call(2, wire.Call{Func: "progress", Session: wire.Session{RequestID: "r"}})
	p.want(`{"jsonrpc":"2.0","method":"core.progress","params":{"request_id":"r","done":1,"total":2,"text":"half"}}`)
	p.wantResult(2, `{}`)
}

func BenchmarkCachedUser(b *testing.B) {
	k := NewCore(0, nil)
	k.cache.keepUsers(0, wire.UsersQuery{Names: []string{"user1"}}, []wire.User{{Name: "user1"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := k.User(b.Context(), "user1"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
