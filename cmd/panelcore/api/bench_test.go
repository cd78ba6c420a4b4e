package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"maildomain/cmd/panelcore/internal/paneltest"
)

// BenchmarkCall is the core's own part of a call: HTTP, login, dispatch, the toy's
// answer and its form. The floor is the same client at a server that says hello.
func BenchmarkCall(b *testing.B) {
	p := paneltest.Start(b, paneltest.Options{Drop: map[string]string{"toy.json": paneltest.ToyDropIn("")}}) // no diary
	login := "&authinfo=user1:" + paneltest.Password
	p.As(b, "user1", "thing.quick")
	hello := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go hello.Serve(l)
	defer hello.Close()
	for _, c := range []struct{ name, address string }{
		{"floor", "http://" + l.Addr().String()},
		{"own", p.URL + "?func=thing.nosuch&out=json" + login},
		{"ok", p.URL + "?func=thing.edit&name=a.example&sok=ok&out=json" + login},
		{"list", p.URL + "?func=thing&out=json" + login},
	} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.name, callers), func(b *testing.B) {
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers, MaxConnsPerHost: callers}}
				defer client.CloseIdleConnections()
				b.SetParallelism(callers)
				b.ReportAllocs()
				call := func() {
					resp, err := client.Get(c.address)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if callers == 1 {
					for b.Loop() {
						call()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						call()
					}
				})
			})
		}
	}
}
