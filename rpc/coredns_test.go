package rpc

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

func TestRecordsAreHandedOverToTheCore(t *testing.T) {
	mx := mail.Record{Name: "a.example", Type: mail.TypeMX, TTL: 300, Values: []string{"10 mx.host.example"}, Why: mail.ForMX}
	key := mail.Record{Name: "old._domainkey.a.example", Type: mail.TypeTXT, Values: []string{"v=DKIM1; p="}, Why: mail.ForDKIM}
	changes := []mail.RecordChange{{Record: mx, Ours: mx.Values}, {Record: key, Ours: key.Values, Remove: true}}
	hand := func(answer string) ([]mail.RecordOutcome, error) {
		t.Helper()
		got, asked, err := certificateCore(t, wire.CoreDNS, []string{answer}, func(ctx context.Context, k *Core) ([]mail.RecordOutcome, error) {
			n, err := mail.ParseName("a.example")
			if err != nil {
				return nil, err
			}
			return k.DNS(ctx, n, "user1", changes)
		})
		const want = `{"zone":"a.example","owner":"user1","module":"maildomain","changes":[` +
			`{"op":"put","name":"a.example","type":"MX","ttl":300,"values":["10 mx.host.example"]},` +
			`{"op":"remove","name":"old._domainkey.a.example","type":"TXT","ttl":0}]}`
		if asked[0] != want {
			t.Errorf("the core was asked %s, want %s", asked[0], want)
		}
		return got, err
	}
	outcome := func(r mail.Record, h mail.Handed, reason string, others ...string) mail.RecordOutcome {
		return mail.RecordOutcome{Name: r.Name, Type: r.Type, Handed: h, Reason: reason, Foreign: others}
	}
	for answer, want := range map[string][]mail.RecordOutcome{
		`"result":[{"name":"a.example","type":"MX","state":"conflict","others":["5 mx.other.example"]},{"name":"old._domainkey.a.example","type":"TXT","state":"published"}]`: {
			outcome(mx, mail.Conflict, "", "5 mx.other.example"), outcome(key, mail.Published, "")},
		`"result":[{"name":"a.example","type":"MX","state":"tomorrow","reason":"why not"},{"name":"old._domainkey.a.example","type":"TXT","state":"pending"}]`: {
			outcome(mx, mail.Refused, "why not"), outcome(key, mail.Pending, "")},
		`"error":{"code":-32601,"message":"what?"}`: { // a core without DNS
			outcome(mx, mail.NoZone, "the panel has no DNS"), outcome(key, mail.NoZone, "the panel has no DNS")},
	} {
		got, err := hand(answer)
		if err != nil {
			t.Errorf("%s: %v", answer, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", answer, diff)
		}
	}
	if got, err := hand(`"error":{"code":-32603,"message":"internal error"}`); !errors.Is(err, ErrUnavailable) || got != nil {
		t.Errorf("a core with a fault: %v, %v", got, err)
	}
}
