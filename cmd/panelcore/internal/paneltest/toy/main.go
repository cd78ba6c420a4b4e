// Command toy is a module for the tests of the core: a process of its own that speaks the
// contract over the socket it is given as file descriptor 3, and can do all that
// a module ought not to: crash in a call, hang, hang up, talk nonsense.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

//go:embed toy.xml
var thingMetadata string

//go:embed shelf.xml
var shelfMetadata string

// metadata is the two files as one.
var metadata = strings.Replace(thingMetadata, "</mgrdata>", strings.TrimPrefix(shelfMetadata, "<mgrdata>"), 1)

var (
	diary      = flag.String("diary", "", "file to which a line is appended for each start and call")
	exitAtOnce = flag.Int("exit-at-once", -1, "end with this code before the socket is looked at")
	mute       = flag.Bool("mute", false, "accept connections and never register")
	stubborn   = flag.Bool("stubborn", false, "ignore SIGTERM")
	level      = flag.String("level", "user", "level of thing.edit, to register a wrong one")
	claim      = flag.String("claim", "", "one more function to register")
)

func main() {
	flag.Parse()
	note("start")
	if *exitAtOnce >= 0 {
		os.Exit(*exitAtOnce)
	}
	if *stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	go endHanging()
	listeners, err := activation.Listeners()
	if err != nil || len(listeners) != 1 || listeners[0] == nil {
		fmt.Fprintf(os.Stderr, "toy: one listening socket expected, %d found: %v\n", len(listeners), err)
		os.Exit(2)
	}
	for {
		conn, err := listeners[0].Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "toy:", err)
			os.Exit(2)
		}
		go talk(conn)
	}
}

// talk registers on a new connection, and from then on answers.
func talk(conn net.Conn) {
	note("connection") // before any call on it can be noted
	s := &session{conn: conn}
	rpc := jsonrpc2.NewConn(context.Background(), jsonrpc2.NewPlainObjectStream(conn), jsonrpc2.AsyncHandler(s))
	if *mute {
		return
	}
	r := wire.Register{Protocol: wire.Protocol, Module: "toy", Version: "1.2.3", Metadata: metadata}
	for name, f := range functions {
		r.Functions = append(r.Functions, wire.Function{Name: name, Kind: f.kind, Level: f.level})
	}
	if *level != "user" {
		r.Functions = append(r.Functions, wire.Function{Name: "thing.wrong", Kind: "form", Level: *level})
	}
	if *claim != "" {
		r.Functions = append(r.Functions, wire.Function{Name: *claim, Kind: "form", Level: "user"})
	}
	var registered wire.Registered
	if err := rpc.Call(context.Background(), wire.CoreRegister, r, &registered); err != nil {
		note("refused " + err.Error())
		return
	}
	note("registered with " + registered.Core.Name)
}

// A session is one connection of the core.
type session struct{ conn net.Conn }

// Handle answers what the core asks.
func (s *session) Handle(ctx context.Context, rpc *jsonrpc2.Conn, req *jsonrpc2.Request) {
	switch req.Method {
	case wire.ModuleInvalidate, wire.ModuleCancel:
		note(req.Method + " " + string(*req.Params))
		if req.Method == wire.ModuleCancel {
			var c wire.Cancel
			if json.Unmarshal(*req.Params, &c) == nil {
				cancelled(c.RequestID)
			}
		}
		return
	case wire.ModuleCall:
	default:
		rpc.ReplyWithError(ctx, req.ID, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "no such method"})
		return
	}
	var call wire.Call
	if err := json.Unmarshal(*req.Params, &call); err != nil {
		rpc.ReplyWithError(ctx, req.ID, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()})
		return
	}
	note("call " + call.Func + " " + call.Session.RequestID)
	result, failure := functions[call.Func].run(ctx, s, rpc, call)
	if failure != nil {
		e := &jsonrpc2.Error{Code: -32001, Message: failure.Type}
		e.SetError(failure)
		rpc.ReplyWithError(ctx, req.ID, e)
		return
	}
	switch r := result.(type) {
	case silence:
	case *jsonrpc2.Error:
		rpc.ReplyWithError(ctx, req.ID, r)
	default:
		rpc.Reply(ctx, req.ID, result)
	}
	if call.Func == "thing.exit" {
		note("idle exit")
		os.Exit(0)
	}
}

// note appends a line to the diary, whole.
func note(line string) {
	if *diary == "" {
		return
	}
	f, err := os.OpenFile(*diary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%d %d %s\n", time.Now().UnixMilli(), os.Getpid(), line)
}
