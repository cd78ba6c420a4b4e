package core_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestCallIsRepeatedWithTheSameRequestID(t *testing.T) {
	for _, function := range []string{"thing.crash", "thing.hangup"} {
		for breaks, want := range []string{"OK\n", "OK\n", "OK\n", "ERROR unavailable(func): "} {
			t.Run(fmt.Sprintf("%s %d", function, breaks), func(t *testing.T) {
				p := paneltest.Start(t, paneltest.Options{})
				fuse := filepath.Join(p.Data, "fuse")
				if err := os.WriteFile(fuse, []byte(strings.Repeat("x", breaks)), 0o600); err != nil {
					t.Fatal(err)
				}
				body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", function, "fuse", fuse), nil)
				if !strings.HasPrefix(body, want) {
					t.Errorf("got %q, want %q", body, want)
				}
				if strings.HasPrefix(want, "ERROR") && !strings.Contains(body, "may have been made") {
					t.Errorf("the caller is not told that it may have happened: %q", body)
				}
				calls := min(breaks+1, 3)
				if n := p.Count(t, "call "+function+" "+header.Get("X-Request-Id")); n != calls {
					t.Errorf("called %d times with that id, want %d", n, calls)
				}
				if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
					t.Errorf("the next call: %s", got)
				}
			})
		}
	}
}

func TestClientCanRepeatACallByItsOwnID(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	id := func(user, header string, more ...string) string {
		form := paneltest.Form(append([]string{"out", "text", "authinfo", user + ":" + paneltest.Password, "func", "thing.session"}, more...)...)
		body, _ := p.Do(t, form, http.Header{"X-Request-Id": {header}})
		if strings.HasPrefix(body, "ERROR") {
			return strings.TrimSpace(body)
		}
		return field(body, "request_id")
	}
	first := id("user1", "order-66")
	if first == "" || first != id("user1", "order-66") {
		t.Error("the same id of a client is another id at the module")
	}
	for _, other := range []string{id("user2", "order-66"), id("user1", "order-67"), id("admin", "order-66", "su", "user1"), id("user1", "")} {
		if other == first {
			t.Errorf("another caller's id is the same: %s", other)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a b", "ü", "a/b"} {
		if got := id("user1", bad); !strings.HasPrefix(got, "ERROR value(request_id)") {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

func TestModuleThatTalksNonsense(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, call := range [][]string{
		{"thing.garbage"}, {"thing.long", "bytes", fmt.Sprint(1 << 20)}, {"thing.long", "endless", "on"},
	} {
		if got := p.As(t, "user1", call[0], call[1:]...); !strings.HasPrefix(got, "ERROR unavailable(func): ") {
			t.Errorf("%s: %.100s", call, got)
		}
		if n := p.Count(t, "start"); n != 1 {
			t.Errorf("started %d times", n)
		}
		if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
			t.Errorf("after %s: %.100s", call, got)
		}
	}
	if got := p.Call(t, "out", "json", "authinfo", "user1:"+paneltest.Password, "func", "thing.long", "bytes", fmt.Sprint(1<<20-200)); len(got) < 1<<20-200 {
		t.Errorf("the longest answer: %.300s", got)
	}
}

func TestFaultsOfAModuleGiveNothingAway(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	for _, function := range []string{"thing.raw", "thing.strange"} {
		body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", function), nil)
		id := header.Get("X-Request-Id")
		if want := "ERROR internal: internal error; it stands in the log under " + id + "\n"; body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	if !strings.Contains(p.Log.String(), "permission denied") {
		t.Error("the cause does not stand in the log")
	}
	if got := p.As(t, "user1", "thing.busy"); got != "ERROR busy(func): later\n" {
		t.Error(got)
	}
}

func TestCallThatTakesTooLongIsCancelled(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{CallLimit: 2 * time.Second}})
	paneltest.Eventually(t, "the toy runs", func() bool { return p.As(t, "user1", "thing.quick") == "OK\n" }) // starting is not what is timed
	body, header := p.Do(t, paneltest.Form("out", "text", "authinfo", "user1:"+paneltest.Password, "func", "thing.hang"), nil)
	if !strings.HasPrefix(body, "ERROR unavailable(func): ") || !strings.Contains(body, "in time") {
		t.Error(body)
	}
	paneltest.Eventually(t, "cancelled", func() bool { return p.Count(t, "cancelled "+header.Get("X-Request-Id")) == 1 })
	if n := p.Count(t, "start"); n != 1 {
		t.Errorf("started %d times", n)
	}
}

func TestCallsBeyondTheBoundWaitAndAreThenBusy(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{QueueLimit: 100 * time.Millisecond}})
	paneltest.Eventually(t, "the toy runs", func() bool { return p.As(t, "user1", "thing.quick") == "OK\n" })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { p.As(t, "user1", "thing.hang") })
	}
	paneltest.Eventually(t, "64 calls run", func() bool { return p.Count(t, "call thing.hang") == 64 })
	if got := p.As(t, "user1", "thing.quick"); !strings.HasPrefix(got, "ERROR busy(func): ") {
		t.Error(got)
	}
	if err := syscall.Kill(processes(t, p)[0], syscall.SIGUSR1); err != nil { // the toy ends what hangs
		t.Fatal(err)
	}
	wg.Wait()
	paneltest.Eventually(t, "calls go through again", func() bool { return p.As(t, "user1", "thing.quick") == "OK\n" })
}

func TestModuleThatAnswersNothingIsLeft(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Core: core.Options{CallLimit: 5 * time.Second}})
	paneltest.Eventually(t, "the toy runs", func() bool { return p.As(t, "user1", "thing.quick") == "OK\n" })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { p.As(t, "user1", "thing.deaf") })
	}
	wg.Wait()
	if got := p.As(t, "user1", "thing.quick"); got != "OK\n" {
		t.Error(got)
	}
	if n := p.Count(t, "connection"); n != 2 {
		t.Errorf("%d connections, want one more", n)
	}
}

func TestManyCallsShareOneConnection(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 8 {
				id := fmt.Sprintf("n%d-%d", i, j)
				got := p.Call(t, "out", "sjson", "authinfo", "user1:"+paneltest.Password, "func", "thing.edit", "name", id, "sok", "ok")
				if !strings.Contains(got, `"id":"`+id+`"`) {
					t.Errorf("%s: %s", id, got)
				}
			}
		})
	}
	wg.Wait()
	if s, r := p.Count(t, "start"), p.Count(t, "connection"); s != 1 || r != 1 {
		t.Errorf("%d starts, %d connections", s, r)
	}
}

func TestRequestThatIsTooLongForTheModule(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	body := "out=text&func=thing.quick&authinfo=user1:" + paneltest.Password + "&name=" + strings.Repeat("<", 400_000) // six bytes each in JSON
	resp, err := http.Post(p.URL, "application/x-www-form-urlencoded", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	n, _ := resp.Body.Read(b)
	if !strings.HasPrefix(string(b[:n]), "ERROR value(request): ") {
		t.Errorf("%s", b[:n])
	}
	p.As(t, "user1", "thing.quick")
	if n := p.Count(t, "connection"); n != 1 {
		t.Errorf("%d connections", n)
	}
}
