package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module"
	"maildomain/rpc/wire"
)

// certificateCore plays a core that answers one question with each of the answers,
// "result":… or "error":…, in turn, while f asks; it returns what f was answered and
// the parameters of the questions.
func certificateCore[T any](t *testing.T, method string, answers []string, f func(context.Context, *Core) (T, error)) (got T, asked []string, err error) {
	t.Helper()
	k := NewCore(time.Hour, nil)
	p := serve(t, Config{Core: k, Call: func(ctx context.Context, _ wire.Call) (any, error) {
		got, err = f(ctx, k)
		return struct{}{}, nil
	}}).core(t)
	p.call(1, wire.Call{Func: "ask"})
	for _, a := range answers {
		req := p.nextRequest(method)
		asked = append(asked, string(req.Params))
		p.send(`{"jsonrpc":"2.0","id":%s,%s}`, req.ID, a)
	}
	p.wantResult(1, `{}`)
	return got, asked, err
}

func TestCertificateOfAnOwnerComesFromTheCore(t *testing.T) {
	type pair struct {
		chain, key string
		found      bool
	}
	ask := func(answer string) (pair, string, error) {
		got, asked, err := certificateCore(t, wire.CoreCertificate, []string{answer}, func(ctx context.Context, k *Core) (pair, error) {
			chain, key, found, err := k.Certificate(ctx, "user1", "own")
			return pair{string(chain), string(key), found}, err
		})
		return got, asked[0], err
	}
	got, asked, err := ask(`"result":{"chain_pem":"C","key_pem":"K"}`)
	if err != nil || got != (pair{"C", "K", true}) || asked != `{"owner":"user1","name":"own"}` {
		t.Errorf("asked for %s: %v, %v", asked, got, err)
	}
	for _, none := range []string{`"error":{"code":-32002,"message":"none of that name"}`, `"error":{"code":-32601,"message":"what?"}`} {
		if got, _, err := ask(none); err != nil || got != (pair{}) {
			t.Errorf("%s: %v, %v", none, got, err)
		}
	}
	for _, ill := range []string{`"error":{"code":-32603,"message":"internal error"}`, `"result":[1]`} {
		if got, _, err := ask(ill); !errors.Is(err, ErrUnavailable) || !errors.Is(err, module.ErrRefused) || got != (pair{}) {
			t.Errorf("%s: %v, %v", ill, got, err)
		}
	}
}

func TestCertificatesOfAnOwnerComeInParts(t *testing.T) {
	page := func(from, to int) string {
		ws := []wire.ListedCertificate{}
		for i := from; i < to; i++ {
			ws = append(ws, wire.ListedCertificate{Name: fmt.Sprintf("c%04d", i), Names: []string{"mail.example.com"}, Expire: "2030-01-01T00:00:00Z"})
		}
		b, _ := json.Marshal(ws)
		return `"result":` + string(b)
	}
	ask := func(answers ...string) ([]string, []string, error) {
		return certificateCore(t, wire.CoreCertificates, answers, func(ctx context.Context, k *Core) ([]string, error) { return k.Certificates(ctx, "user1") })
	}
	names, asked, err := ask(page(0, 200), page(200, 230))
	if err != nil || len(names) != 230 || names[229] != "c0229" || !slices.IsSorted(names) || asked[0] != `{"owner":"user1"}` || asked[1] != `{"owner":"user1","after":"c0199"}` {
		t.Errorf("%d names, asked %q, %v", len(names), asked, err)
	}
	// A core that says the same again and again, or never ends.
	if names, asked, err = ask(page(0, 200), page(0, 200)); err != nil || len(names) != 200 {
		t.Errorf("%d names, asked %q, %v", len(names), asked, err)
	}
	if names, _, err = ask(page(0, 200), page(200, 400), page(400, 600), page(600, 800), page(800, 1000)); err != nil || len(names) != mostCertificates {
		t.Errorf("%d names, %v", len(names), err)
	}
	for _, none := range []string{`"result":[]`, `"result":null`, `"error":{"code":-32601,"message":"what?"}`} {
		if names, _, err := ask(none); err != nil || len(names) != 0 {
			t.Errorf("%s: %q, %v", none, names, err)
		}
	}
	if _, _, err := ask(`"error":{"code":-32007,"message":"busy"}`); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a busy core: %v", err)
	}
	// The longest answer that is allowed fits into a message.
	long := wire.ListedCertificate{Name: strings.Repeat("n", 63), Expire: "2030-01-01T00:00:00Z"}
	for range wire.MaxCertificateNames {
		long.Names = append(long.Names, strings.Repeat("h", 253))
	}
	b, _ := json.Marshal(slices.Repeat([]wire.ListedCertificate{long}, wire.MaxCertificates))
	if len(b) > wire.MaxMessage-200 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestProofIsPutAndRemovedThroughTheCore(t *testing.T) {
	ask := func(put bool, answer string) (string, error) {
		_, asked, err := certificateCore(t, wire.CoreHTTP01, []string{answer}, func(ctx context.Context, k *Core) (bool, error) {
			return put, k.HTTP01(ctx, put, "tok", "tok.print")
		})
		return asked[0], err
	}
	if asked, err := ask(true, `"result":{}`); err != nil || asked != `{"op":"put","token":"tok","key_auth":"tok.print"}` {
		t.Error(asked, err)
	}
	if asked, err := ask(false, `"result":{}`); err != nil || asked != `{"op":"remove","token":"tok"}` {
		t.Error(asked, err)
	}
	if _, err := ask(true, `"error":{"code":-32601,"message":"what?"}`); !errors.Is(err, ErrUnavailable) {
		t.Error("without a web server:", err)
	}
}
