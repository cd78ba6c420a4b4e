package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"maildomain/rpc/wire"
)

const benchCall = `{"jsonrpc":"2.0","id":7,"method":"module.call","params":{"func":"emaildomain.edit","params":{"name":"example.com","defaction":"redirect","redirval":"me@example.net","owner":"user1","ip":"127.0.0.11","sok":"ok"},"session":{"user":"user1","level":"user","lang":"en","request_id":"01J9ZK3T5W7Q8R9S0T1V2W3X4Y","remote_ip":"127.0.0.1"}}}` + "\n"

// BenchmarkEmptyCall is what the transport adds to a call: there and back, with a
// caller that does nothing but write and read.
func BenchmarkEmptyCall(b *testing.B) {
	s := serve(b, Config{})
	p := s.core(b)
	line := []byte(benchCall)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.nc.Write(line); err != nil {
			b.Fatal(err)
		}
		if _, err := p.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParallelCalls sends without waiting for answers; what is over the limit
// of a connection is answered busy.
func BenchmarkParallelCalls(b *testing.B) {
	s := serve(b, Config{})
	p := s.core(b)
	line := []byte(benchCall)
	b.ReportAllocs()
	go func() {
		for range b.N {
			if _, err := p.nc.Write(line); err != nil {
				return
			}
		}
	}()
	for range b.N {
		if _, err := p.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListPage is a page of 50 rows.
func BenchmarkListPage(b *testing.B) {
	page := wire.List{Kind: wire.KindList, PElems: 100000, PNum: 1, PCnt: 50, PSort: "name", POrder: "asc"}
	for range 50 {
		page.Elems = append(page.Elems, map[string]string{"name": "example.com", "name_idn": "example.com", "owner": "user1", "ip": "127.0.0.11",
			"active": "on", "defaction": "redirect", "redirval": "me@example.net", "mailboxes": "10", "used": "123456", "greylist": "off",
			"spamassassin": "off", "avcheck": "off", "dkim": "on", "dmarc": "off", "secure": "off", "note": ""})
	}
	s := serve(b, Config{Call: func(context.Context, wire.Call) (any, error) { return page, nil }})
	p := s.core(b)
	line := []byte(benchCall)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.nc.Write(line); err != nil {
			b.Fatal(err)
		}
		if _, err := p.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEcho is the floor: a line there and back over such a socket.
func BenchmarkEcho(b *testing.B) {
	s := serve(b, Config{})
	s.stop()
	if err := <-s.end; err != nil {
		b.Fatal(err)
	}
	_ = s.ln.SetDeadline(time.Time{})
	p := s.connect(b)
	nc, err := s.ln.AcceptUnix()
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			if _, err := nc.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	line := []byte(benchCall)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.nc.Write(line); err != nil {
			b.Fatal(err)
		}
		if _, err := p.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThousandUsers is the greatest answer of core.users.
func BenchmarkThousandUsers(b *testing.B) {
	k := NewCore(0, nil)
	users := make([]wire.User, wire.MaxUsers)
	for i := range users {
		users[i] = wire.User{Name: fmt.Sprintf("user%d", i), Level: "user", Parent: "reseller1", Active: true, UID: 1000 + i, GID: 1000, Home: "/home/user",
			IPs: []string{"127.0.0.11", "127.0.0.12"}, Limits: wire.Limits{"emaildomains": 10, "emails": -1, "email_quota": 1000, "ssl": 1}, Lang: "en"}
	}
	answer, err := json.Marshal(users)
	if err != nil {
		b.Fatal(err)
	}
	p := serve(b, asking(k)).core(b)
	b.ReportAllocs()
	for b.Loop() {
		p.send(invalidateUsers)
		p.call(1, wire.Call{Func: "users"})
		p.send(`{"jsonrpc":"2.0","id":%s,"result":%s}`, p.nextRequest("core.users").ID, answer)
		p.wantResult(1, "1000")
	}
}
