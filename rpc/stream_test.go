package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/rpc/wire"
)

const (
	health       = `{"jsonrpc":"2.0","id":"h","method":"module.health","params":{}}`
	healthAnswer = `{"jsonrpc":"2.0","id":"h","result":{"status":"ok","version":"","uptime_s":0,"domains":0,"revision":0,"applied_revision":0,"drift":0,"queues":null}}`
)

func badAnswer(id string, code int, reason string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, id, code, reason)
}

func TestBadLineIsAnsweredAndTheNextOneServed(t *testing.T) {
	const (
		object = "not a JSON object; batches are not served"
		id     = `"id" is not a short string or a whole number from 0`
	)
	for _, bad := range []struct{ line, want string }{
		{`hello`, badAnswer("null", -32700, "not JSON: invalid character 'h' looking for beginning of value")},
		{`{"jsonrpc":"2.0","id":1,`, badAnswer("null", -32700, "not JSON: unexpected end of JSON input")},
		{`{"jsonrpc":"2.0","id":1,"method":"x"}{}`, badAnswer("null", -32700, "not JSON: invalid character '{' after top-level value")},
		{"\x00", badAnswer("null", -32700, `not JSON: invalid character '\x00' looking for beginning of value`)},
		{`[]`, badAnswer("null", -32600, object)},
		{`[` + health + `]`, badAnswer("null", -32600, object)},
		{`7`, badAnswer("null", -32600, object)},
		{`"x"`, badAnswer("null", -32600, object)},
		{`null`, badAnswer("null", -32600, object)},
		{`{}`, badAnswer("null", -32600, `"method" is missing`)},
		{`{"jsonrpc":"2.0","id":1}`, badAnswer("1", -32600, `"method" is missing`)},
		{`{"jsonrpc":"2.0","id":1,"Method":"module.health"}`, badAnswer("1", -32600, `"method" is missing`)},
		{`{"jsonrpc":"2.0","id":"a","method":7}`, badAnswer(`"a"`, -32600, `"method" is not a string`)},
		{`{"jsonrpc":"2.0","id":1,"method":null}`, badAnswer("1", -32600, `"method" is not a string`)},
		{`{"id":1,"method":"module.health"}`, badAnswer("1", -32600, `"jsonrpc" is not "2.0"`)},
		{`{"jsonrpc":"1.0","id":1,"method":"module.health"}`, badAnswer("1", -32600, `"jsonrpc" is not "2.0"`)},
		{`{"jsonrpc":"2.0","id":1,"method":"module.health","result":{}}`, badAnswer("1", -32600, `"method" beside "result" or "error"`)},
		{`{"jsonrpc":"2.0","id":null,"method":"module.health"}`, badAnswer("null", -32600, id)},
		{`{"jsonrpc":"2.0","id":-1,"method":"module.health"}`, badAnswer("null", -32600, id)},
		{`{"jsonrpc":"2.0","id":1.5,"method":"module.health"}`, badAnswer("null", -32600, id)},
		{`{"jsonrpc":"2.0","id":9223372036854775808,"method":"module.health"}`, badAnswer("null", -32600, id)},
		{`{"jsonrpc":"2.0","id":{},"method":"module.health"}`, badAnswer("null", -32600, id)},
		{`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", maxID) + `","method":"module.health"}`, badAnswer("null", -32600, id)},
		{strings.Repeat("[", 20_000), badAnswer("null", -32700, "not JSON: invalid character '[' exceeded max depth")},
	} {
		t.Run(bad.line[:min(len(bad.line), 60)], func(t *testing.T) {
			p := serve(t, Config{}).core(t)
			p.send("%s", bad.line)
			p.want(bad.want)
			p.send(health)
			p.want(healthAnswer)
		})
	}
}

func TestUnknownMethodIsRefusedWithItsID(t *testing.T) {
	p := serve(t, Config{}).core(t)
	p.send(`{"jsonrpc":"2.0","id":9223372036854775807,"method":"module.halt"}`)
	p.want(badAnswer("9223372036854775807", -32601, "there is no method module.halt"))
	p.send(`{"jsonrpc":"2.0","method":"module.halt"}`) // a notification: no answer
	p.send(health)
	p.want(healthAnswer)
}

func TestBlankLinesAndCarriageReturnsAreIgnored(t *testing.T) {
	p := serve(t, Config{}).core(t)
	for range 2 * maxBadLines {
		p.send("  \r")
	}
	p.send("%s\r", health)
	p.want(healthAnswer)
}

func TestLineMayComeInPieces(t *testing.T) {
	p := serve(t, Config{}).core(t)
	for _, b := range []byte(health + "\n") {
		if _, err := p.nc.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	p.want(healthAnswer)
}

func TestManyLinesMayComeAtOnce(t *testing.T) {
	p := serve(t, Config{}).core(t)
	var lines bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&lines, "%s\n{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"x\"}\n", strings.Repeat(" ", 300*i), i)
	}
	go p.nc.Write(lines.Bytes())
	for i := range 100 {
		p.want(badAnswer(fmt.Sprint(i), -32601, "there is no method x"))
	}
}

// ofLength is a call whose line has n bytes, its line feed included.
func ofLength(n int) string {
	const head, tail = `{"jsonrpc":"2.0","id":1,"method":"module.call","params":{"func":"f","params":{"x":"`, `"}}}`
	return head + strings.Repeat("x", n-1-len(head)-len(tail)) + tail
}

func TestLineOfTheGreatestLengthIsServed(t *testing.T) {
	p := serve(t, Config{}).core(t)
	for range 2 {
		p.send("%s", ofLength(wire.MaxMessage))
		p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
	}
}

func TestLongerLineEndsTheConnectionWithAnError(t *testing.T) {
	s := serve(t, Config{})
	p := s.core(t)
	go io.WriteString(p.nc, ofLength(wire.MaxMessage+1)+"\n")
	p.want(badAnswer("null", -32600, "message too long"))
	p.wantEnd()
	s.log.find(t, "connection ended", "message too long")

	p = s.core(t)
	go func() { // one that never ends
		for zeros := make([]byte, 64<<10); ; {
			if _, err := p.nc.Write(zeros); err != nil {
				return
			}
		}
	}()
	p.want(badAnswer("null", -32600, "message too long"))
	p.wantEnd()
}

func TestBadLinesInARowEndTheConnection(t *testing.T) {
	s := serve(t, Config{})
	p := s.core(t)
	for range maxBadLines - 1 {
		p.send("x")
		p.next()
	}
	p.send(health) // a good one: the count starts again
	p.want(healthAnswer)
	for range maxBadLines {
		p.send("x")
		p.next()
	}
	p.wantEnd()
	s.log.find(t, "connection ended", "too many bad lines")
}

// Two peers that answered bad answers with errors would never stop.
func TestBadAnswerIsNeverAnswered(t *testing.T) {
	p := serve(t, Config{}).core(t)
	p.send(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`)
	p.send(`{"jsonrpc":"2.0","result":7}`)
	p.send(`{"jsonrpc":"2.0","id":77,"result":7}`)
	p.send(`{"jsonrpc":"2.0","id":77,"error":7}`)
	p.send(health)
	p.want(healthAnswer)
}

// jsonrpc2 numbers its calls from 0, and reads null as 0.
func TestAnswerToNobodyIsNotTakenForTheRegistration(t *testing.T) {
	s := serve(t, Config{RegisterWait: time.Hour})
	p := s.connect(t)
	reg := p.nextRequest("core.register")
	p.send(`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}`)
	p.call(1, wire.Call{Func: "f"})
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"protocol":1}}`, reg.ID)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"kind":"ok"}}`)
}

func TestAnswerThatMakesNoSenseEndsTheCallThatWaits(t *testing.T) {
	for _, answer := range []string{`"error":null`, `"error":"no"`, `"error":{"code":"x"}`, `"result":"x"`} {
		s := serve(t, Config{RegisterWait: time.Hour})
		p := s.connect(t)
		p.send(`{"jsonrpc":"2.0","id":%s,%s}`, p.nextRequest("core.register").ID, answer)
		p.wantEnd()
		s.log.find(t, "not registered")
	}
}

// The rest of the answers would fill the memory, and a write would hold whoever
// waits to write.
func TestPeerThatDoesNotReadIsCutOff(t *testing.T) {
	s := serve(t, Config{WriteLimit: 300 * time.Millisecond})
	p := s.core(t)
	_ = p.nc.SetWriteDeadline(time.Now().Add(patience))
	for {
		if _, err := io.WriteString(p.nc, "x\n"+health+"\n"); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("the connection stands still")
			}
			return
		}
	}
}

// fuzzConn is a connection whose peer has sent all of in and reads what comes.
type fuzzConn struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *fuzzConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *fuzzConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *fuzzConn) Close() error                     { return nil }
func (c *fuzzConn) LocalAddr() net.Addr              { return nil }
func (c *fuzzConn) RemoteAddr() net.Addr             { return nil }
func (c *fuzzConn) SetDeadline(time.Time) error      { return nil }
func (c *fuzzConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fuzzConn) SetWriteDeadline(time.Time) error { return nil }

// Whatever comes before it, a good line is served.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "\r\n\r\n", "x", health, health + "\n" + health, `{"jsonrpc":"2.0","method":"m"}`, `[1]`, `{"id":1,"result":null}`,
		`{"id":1,"error":{"code":1,"message":"m","data":[]}}`, `{"id":0,"result":1,"METHOD":"x"}`, `{"id":1,"error":{"code":1},"ERROR":null,"METHOD":"x"}`,
		`{"id":"\ud800","method":"m","jsonrpc":"2.0"}`, "{\"id\":\"\xff\"}", `{"jsonrpc":"2.0","id":1e2,"method":"m"}`, `{"id":1,"id":2,"method":"a","method":"b"}`,
		strings.Repeat("{\"a\":", 12_000), strings.Repeat("x\n", maxBadLines-1), ofLength(lineBuffer), ofLength(lineBuffer + 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, before []byte) {
		if bytes.Count(before, []byte("\n")) >= maxBadLines-1 || len(before) >= wire.MaxMessage {
			t.Skip("beyond what a connection stands")
		}
		nc := &fuzzConn{in: bytes.NewReader(append(before, "\n"+health+"\n"...))}
		s := newStream(nc, zerolog.Nop(), time.Second)
		var last *request
		var end error
		s.request = func(r *request) {
			last = r
			if r.id != nil && !usableID(r.id) {
				t.Errorf("request with id %s", r.id)
			}
		}
		s.ended = func(err error) { end = err }
		for {
			var answer struct{ ID any }
			if err := s.ReadObject(&answer); err != nil {
				break
			}
			if answer.ID == nil {
				t.Error("an answer to nobody")
			}
		}
		if end != io.EOF {
			t.Fatalf("ended with %v", end)
		}
		if last == nil || string(last.id) != `"h"` || last.method != "module.health" || string(last.params) != "{}" {
			t.Fatalf("the good line came out as %+v", last)
		}
		for line := range bytes.Lines(nc.out.Bytes()) {
			if !json.Valid(line) || !bytes.HasSuffix(line, []byte("}\n")) {
				t.Errorf("answered with %q", line)
			}
		}
	})
}
