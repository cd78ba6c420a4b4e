package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

// silence is the result of a call that is not answered.
type silence struct{}

type function struct {
	kind, level string
	run         func(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData)
}

var functions map[string]function

func init() { // the functions look into the table too
	functions = map[string]function{
		"thing":         {"list", "user", list},
		"thing.empty":   {"list", "user", emptyList},
		"thing.edit":    {"form", "user", edit},
		"thing.delete":  {"group", "user", remove},
		"thing.admin":   {"action", "admin", answerOK},
		"thing.sell":    {"action", "reseller", answerOK},
		"thing.report":  {"report", "user", report},
		"thing.session": {"form", "user", showSession},
		"thing.quick":   {"action", "user", answerOK},
		"thing.slow":    {"action", "user", slow},
		"thing.exit":    {"action", "user", answerOK},
		"thing.crash":   {"action", "user", crash},
		"thing.hangup":  {"action", "user", hangUp},
		"thing.hang":    {"action", "user", hang},
		"thing.deaf": {"action", "user", func(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
			return silence{}, nil
		}},
		"thing.busy":     {"action", "user", busy},
		"thing.raw":      {"action", "user", raw},
		"thing.strange":  {"action", "user", strange},
		"thing.garbage":  {"action", "user", garbage},
		"thing.long":     {"action", "user", long},
		"thing.callback": {"form", "user", callBack},
		"thing.dns":      {"form", "user", handOver},
		"thing.ask":      {"form", "user", ask},
		"thing.wake":     {"action", "user", wake},
	}
	maps.Copy(functions, shelfFunctions())
}

func ok(id string) wire.OK { return wire.OK{Kind: wire.KindOK, ID: id} }

func answerOK(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	return ok(c.Params["name"]), nil
}

func list(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return wire.List{
		Kind: wire.KindList, PElems: 2, PNum: 1, PCnt: 50, PSort: "name", POrder: "asc",
		Filters: []wire.Filter{{Name: "f_name", Value: "a"}},
		Elems: []map[string]string{
			{"note": "", "name": "a.example", "size": "1", "zeta": "last", "on": "on"},
			{"note": "two\nlines <b>&amp;</b> \"q\" \x01\r\t", "name": "ü.example", "size": "20"},
		},
	}, nil
}

func emptyList(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return wire.List{Kind: wire.KindList, PNum: 1, PCnt: 50, PSort: "name", POrder: "asc"}, nil
}

func edit(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	if c.Params["sok"] == "" {
		return wire.Form{
			Kind:   wire.KindForm,
			Values: map[string]string{"name": c.Params["elid"], "colour": "red", "passwd": "", "extra": "not described", "rare": "x"},
			SLists: map[string][]wire.Option{"colour": {{Key: "red", Label: "Red"}}, "none": {}},
			Hidden: []string{"rare"},
		}, nil
	}
	text := map[string]string{"en": "the name __value__ is not good", "ru": "имя __value__ не годится"}[c.Session.Lang]
	switch name := c.Params["name"]; name {
	case "":
		return nil, &wire.ErrorData{Type: "value", Object: "name", Msg: text}
	case "taken":
		return nil, &wire.ErrorData{Type: "exists", Object: "name", Value: name, Msg: "taken\nalready"}
	case "noted":
		return wire.OK{Kind: wire.KindOK, ID: name, Redirect: &wire.Redirect{Type: "list", Func: "thing"}, Notes: []wire.Note{
			{Object: "colour", State: wire.NotePending, Said: "the paint <dries>"}, {Object: "size", State: wire.NoteFailed, Said: "it was cut\ntoo short"},
		}}, nil
	default:
		return wire.OK{
			Kind: wire.KindOK, ID: name, Redirect: &wire.Redirect{Type: "list", Func: "thing"},
			DNS: []wire.DNSRecord{{Name: name + ".", Type: "TXT", Value: `v=1; "x"`, State: "pending"}},
		}, nil
	}
}

// remove deletes things, but for those whose name starts with "no".
func remove(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	a := ok("")
	for _, elid := range strings.Split(c.Params["elid"], ", ") {
		d := wire.Done{Elid: elid, OK: true}
		if strings.HasPrefix(elid, "no") {
			d.OK, d.Error = false, &wire.ErrorData{Type: "missed", Object: "elid", Value: elid, Msg: "no such thing"}
		}
		a.Done = append(a.Done, d)
	}
	return a, nil
}

func report(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return wire.Result{Kind: wire.KindReport, Values: map[string]string{"state": "good"}, Elems: []map[string]string{{"check": "one", "result": "right"}}}, nil
}

// showSession tells what the core sent.
func showSession(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	s := c.Session
	return wire.Form{Kind: wire.KindForm, Values: map[string]string{
		"user": s.User, "level": s.Level, "language": s.Lang, "su_by": s.SuBy, "request_id": s.RequestID, "remote_ip": s.RemoteIP,
		"pid": strconv.Itoa(os.Getpid()), "params": strings.Join(slices.Sorted(maps.Keys(c.Params)), " "),
		"environment": os.Getenv("DEMO_PASSWORD") + os.Getenv("LISTEN_PID"),
	}}, nil
}

func slow(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	ms, _ := strconv.Atoi(c.Params["ms"])
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return ok(""), nil
}

// crash ends the process in the middle of the call while the file "fuse" is
// there, which loses a byte each time.
func crash(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	if burn(c.Params["fuse"]) {
		os.Exit(3)
	}
	return ok(c.Session.RequestID), nil
}

// hangUp does as crash does, but only the connection ends.
func hangUp(_ context.Context, s *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	if burn(c.Params["fuse"]) {
		s.conn.Close()
		return silence{}, nil
	}
	return ok(c.Session.RequestID), nil
}

func burn(fuse string) bool {
	fi, err := os.Stat(fuse)
	return err == nil && fi.Size() > 0 && os.Truncate(fuse, fi.Size()-1) == nil
}

var running sync.Map // request id → chan struct{}

func cancelled(id string) {
	if c, ok := running.LoadAndDelete(id); ok {
		close(c.(chan struct{}))
	}
}

// endHanging ends all calls that hang when SIGUSR1 comes.
func endHanging() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	for range c {
		running.Range(func(id, _ any) bool {
			cancelled(id.(string))
			return true
		})
	}
}

// hang ends when it is cancelled.
func hang(_ context.Context, _ *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	end := make(chan struct{})
	running.Store(c.Session.RequestID, end)
	<-end
	note("cancelled " + c.Session.RequestID)
	return nil, &wire.ErrorData{Type: "cancelled", Object: "func", Msg: "cancelled"}
}

func busy(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return nil, &wire.ErrorData{Type: "busy", Object: "func", Msg: "later"}
}

// raw is what jsonrpc2.HandlerWithError makes of an ordinary error.
func raw(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return &jsonrpc2.Error{Message: "open /etc/secret: permission denied"}, nil
}

func strange(context.Context, *session, *jsonrpc2.Conn, wire.Call) (any, *wire.ErrorData) {
	return map[string]string{"kind": "strange"}, nil
}

func garbage(_ context.Context, s *session, _ *jsonrpc2.Conn, _ wire.Call) (any, *wire.ErrorData) {
	fmt.Fprintln(s.conn, "this is no JSON")
	return silence{}, nil
}

// long answers with a message that is longer than the contract allows, by as much
// as it is asked to; 0 is the longest that is allowed.
func long(_ context.Context, s *session, _ *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	if _, endless := c.Params["endless"]; endless {
		fmt.Fprint(s.conn, strings.Repeat("x", 4*wire.MaxMessage))
		return silence{}, nil
	}
	n, _ := strconv.Atoi(c.Params["bytes"])
	return ok(strings.Repeat("x", n)), nil
}

// callBack asks the core in the middle of a call, many times at once.
func callBack(ctx context.Context, _ *session, rpc *jsonrpc2.Conn, c wire.Call) (any, *wire.ErrorData) {
	var users []wire.User
	q := wire.UsersQuery{Parent: c.Params["parent"], After: c.Params["after"]}
	if c.Params["names"] != "" {
		q.Names = strings.Fields(c.Params["names"])
	}
	values := map[string]string{}
	if err := rpc.Call(ctx, wire.CoreUsers, q, &users); err != nil {
		values["users_error"] = err.Error()
	}
	for _, u := range users {
		values["users"] += fmt.Sprintf("%s/%s/%s/%s/%v ", u.Name, u.Level, u.Parent, strings.Join(u.IPs, "+"), u.Limits)
	}
	var params map[string]any
	if err := rpc.Call(ctx, wire.CoreParams, struct{}{}, &params); err != nil {
		values["params_error"] = err.Error()
	}
	values["params"] = strings.Join(slices.Sorted(maps.Keys(params)), " ")
	values["server_ips"] = fmt.Sprint(params["server_ips"])
	if err := rpc.Call(ctx, "core.nosuch", nil, nil); err != nil {
		values["unknown"] = err.Error()
	}
	if err := rpc.Call(ctx, wire.CoreUsers, []int{1}, nil); err != nil {
		values["wrong"] = err.Error()
	}
	rpc.Notify(ctx, wire.CoreProgress, wire.Progress{RequestID: c.Session.RequestID, Done: 1, Total: 2})
	rpc.Notify(ctx, wire.CoreChanged, wire.Changed{Func: "thing"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for range 50 {
		wg.Go(func() {
			if rpc.Call(ctx, wire.CoreUsers, wire.UsersQuery{}, nil) == nil {
				mu.Lock()
				answered++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	values["at_once"] = strconv.Itoa(answered)
	return wire.Form{Kind: wire.KindForm, Values: values}, nil
}
