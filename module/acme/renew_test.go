package acme_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

func TestCertificateIsRenewedWhenTheAuthoritySays(t *testing.T) {
	w := start(t, options{})
	a := w.account()
	r := acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()}
	old, err := w.dir.Order(w.ctx(), a, r)
	chain := check(t, old, err, "mail.a.example")
	when, err := w.dir.Renewal(w.ctx(), old.Chain)
	if err != nil || when.ByOwner || !when.At.After(time.Now()) || !when.At.Before(chain.NotAfter) || when.Ask.Before(time.Now().Add(5*time.Hour)) {
		t.Errorf("%+v, %v", when, err)
	}
	if again, err := w.dir.Renewal(w.ctx(), old.Chain); err != nil || !again.At.Equal(when.At) {
		t.Errorf("asked again: %v, %v", again.At, err)
	}
	// The authority is about to revoke it: the window has passed.
	past := time.Now().Add(-48 * time.Hour).UTC()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q},"explanationURL":"https://why.example/"}`, past.Format(time.RFC3339), past.Add(time.Hour).Format(time.RFC3339))
	if err := w.orders.SetARIResponse(chain.Leaf().SerialNumber, window); err != nil {
		t.Fatal(err)
	}
	when, err = w.dir.Renewal(w.ctx(), old.Chain)
	if err != nil || when.At.After(past.Add(time.Hour)) || when.At.Before(past.Truncate(time.Second)) || when.Why != "https://why.example/" {
		t.Errorf("%+v, %v", when, err)
	}
	r.Replaces = old.Chain
	renewed, err := w.dir.Order(w.ctx(), a, r)
	if next := check(t, renewed, err, "mail.a.example"); next.Fingerprint == chain.Fingerprint {
		t.Error("the same certificate again")
	}
	o, err := w.orders.GetOrderByIssuedSerial(w.orders.GetCertificateBySerial(chain.Leaf().SerialNumber).ID)
	if err != nil {
		t.Fatal(err)
	}
	for end, replaced := time.Now().Add(10*time.Second), false; !replaced; { // pebble writes it down after its answer
		o.RLock()
		replaced = o.IsReplaced
		o.RUnlock()
		if time.Now().After(end) {
			t.Fatal("the order is not known to replace the first")
		}
		time.Sleep(time.Millisecond)
	}
	// Once more: an authority that says 409 to what is replaced already still issues.
	r.Key = old.Key
	again, err := w.dir.Order(w.ctx(), a, r)
	check(t, again, err, "mail.a.example")
	if bytes.Equal(renewed.Key, old.Key) || !bytes.Equal(again.Key, old.Key) {
		t.Error("a key is used again where it was not to be, or is not where it was")
	}
}

func TestAThirdIsLeftWhereTheAuthorityDoesNotSay(t *testing.T) {
	w := start(t, options{})
	names, day := names(t, "mail.a.example"), 24*time.Hour
	now := time.Now().UTC().Truncate(time.Second)
	c, err := mail.SelfSign(names, now, now.Add(89*day))
	if err != nil {
		t.Fatal(err)
	}
	want := now.Add(59 * day)
	w.dir.Now = func() time.Time { return now }
	for what, answer := range map[string]string{"none": "", "odd": "[]", "empty": "{}", "backwards": `{"suggestedWindow":{"start":"2030-01-02T00:00:00Z","end":"2030-01-01T00:00:00Z"}}`} {
		w.stand(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case !strings.Contains(r.URL.Path, "renewalInfo"), answer == "":
				next.ServeHTTP(rw, r)
			default:
				_, _ = rw.Write([]byte(answer))
			}
		})
		got, err := w.dir.Renewal(w.ctx(), c.Chain)
		if err == nil || !got.ByOwner || !got.At.Equal(want) || !got.Ask.Equal(now.Add(6*time.Hour)) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	// An authority without RFC 9773 is no error.
	w.stand(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		_, _ = fmt.Fprintf(rw, `{"newNonce":%[1]q,"newAccount":%[1]q,"newOrder":%[1]q}`, w.dir.URL)
	})
	if got, err := w.dir.Renewal(w.ctx(), c.Chain); err != nil || !got.ByOwner || !got.At.Equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
	garbled := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no")})
	if _, err := w.dir.Renewal(w.ctx(), garbled); err == nil {
		t.Error("a certificate that cannot be read is to be renewed")
	}
}

func TestPausesAfterFailuresGrowToADay(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for failures, hours := range []int{1, 1, 2, 4, 8, 16, 24, 24} {
		if got := acme.NextTry(failures, time.Time{}, now).Sub(now); got != time.Duration(hours)*time.Hour {
			t.Errorf("after %d: %v, want %d hours", failures, got, hours)
		}
	}
	if got := acme.NextTry(1_000_000, time.Time{}, now).Sub(now); got != 24*time.Hour {
		t.Errorf("after a million: %v", got)
	}
	later := now.Add(30 * time.Hour)
	if got := acme.NextTry(1, later, now); !got.Equal(later) {
		t.Errorf("the authority asked for %v, got %v", later, got)
	}
	if got := acme.NextTry(3, now.Add(time.Minute), now); !got.Equal(now.Add(4 * time.Hour)) {
		t.Errorf("sooner than we would: %v", got)
	}
}

func TestCAARecordsDecideWhoIssues(t *testing.T) {
	const account = "https://authority.test/acct/7"
	wild := acme.Issuing{Identities: []string{"authority.test", "old.test"}, Account: account, Method: "dns-01", Wildcard: true}
	plain := wild
	plain.Wildcard = false
	set := func(rs ...acme.CAA) []acme.CAA { return rs }
	issue := func(v string) acme.CAA { return acme.CAA{Tag: "issue", Value: v} }
	issuewild := func(v string) acme.CAA { return acme.CAA{Tag: "IssueWild", Value: v} }
	for _, c := range []struct {
		what    string
		records map[string][]acme.CAA
		ask     acme.Issuing
		at      string // that forbids; empty: allowed
	}{
		{"none", nil, plain, ""},
		{"us", map[string][]acme.CAA{"mail.a.example": set(issue("authority.test"))}, plain, ""},
		{"us by another name", map[string][]acme.CAA{"mail.a.example": set(issue("other.test"), issue(" OLD.test ; "))}, plain, ""},
		{"others", map[string][]acme.CAA{"mail.a.example": set(issue("other.test"))}, plain, "mail.a.example"},
		{"others above", map[string][]acme.CAA{"a.example": set(issue("other.test"))}, plain, "a.example"},
		{"others at the top", map[string][]acme.CAA{"example": set(issue("other.test"))}, plain, "example"},
		{"the nearest counts", map[string][]acme.CAA{"a.example": set(issue("authority.test")), "example": set(issue("other.test"))}, plain, ""},
		{"a sibling does not", map[string][]acme.CAA{"xmail.a.example": set(issue(";"))}, plain, ""},
		{"nobody", map[string][]acme.CAA{"a.example": set(issue(";"))}, plain, "a.example"},
		{"empty", map[string][]acme.CAA{"a.example": set(issue(""))}, plain, "a.example"},
		{"only reports", map[string][]acme.CAA{"a.example": set(acme.CAA{Tag: "iodef", Value: "mailto:x@a.example", Flags: 128})}, plain, ""},
		{"issuewild says nothing of plain names", map[string][]acme.CAA{"a.example": set(issuewild(";"))}, plain, ""},
		{"issuewild comes first", map[string][]acme.CAA{"a.example": set(issue("authority.test"), issuewild("other.test"))}, wild, "a.example"},
		{"issue counts for wildcards", map[string][]acme.CAA{"a.example": set(issue("other.test"))}, wild, "a.example"},
		{"unknown", map[string][]acme.CAA{"a.example": set(acme.CAA{Tag: "future", Value: "x"})}, plain, ""},
		{"unknown and critical", map[string][]acme.CAA{"a.example": set(issue("authority.test"), acme.CAA{Tag: "future", Value: "x", Flags: 128})}, plain, "a.example"},
		{"our account", map[string][]acme.CAA{"a.example": set(issue("authority.test; accounturi=" + account))}, plain, ""},
		{"another account", map[string][]acme.CAA{"a.example": set(issue("authority.test;accounturi=" + account + "0"))}, plain, "a.example"},
		{"our method", map[string][]acme.CAA{"a.example": set(issue("authority.test; validationmethods=http-01,dns-01"))}, plain, ""},
		{"another method", map[string][]acme.CAA{"a.example": set(issue("authority.test; validationmethods=http-01"))}, plain, "a.example"},
		{"a parameter of the authority's", map[string][]acme.CAA{"a.example": set(issue("authority.test; policy=ev"))}, plain, ""},
		{"garbled", map[string][]acme.CAA{"a.example": set(issue("authority.test; policy"))}, plain, "a.example"},
	} {
		ask := func(_ context.Context, name string) ([]acme.CAA, error) { return c.records[name], nil }
		err := acme.CheckCAA(t.Context(), ask, names(t, "mail.a.example")[0], c.ask)
		if c.at == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if p := problem(t, err, acme.Forbidden, "acme_caa"); p.Args["at"] != c.at {
			t.Errorf("%s: forbidden at %s, want %s", c.what, p.Args["at"], c.at)
		}
	}
}

func TestCAAIsReadFromTheNameServer(t *testing.T) {
	w := start(t, options{})
	us := acme.Issuing{Identities: []string{identity}}
	if err := acme.CheckCAA(w.ctx(), w.caa, names(t, "deep.only-us.a.example")[0], us); err != nil {
		t.Error(err)
	}
	problem(t, acme.CheckCAA(w.ctx(), w.caa, names(t, "deep.only-others.a.example")[0], us), acme.Forbidden, "acme_caa")
	w.dns.Stop()
	p := problem(t, acme.CheckCAA(w.ctx(), w.caa, names(t, "mail.a.example")[0], us), acme.NotHere, "acme_caa_unknown")
	if p.CountsAsFailure() {
		t.Error(p)
	}
}

// One order meets what all would meet, and the others need not find it out again.
func TestProblemsOfAllOrders(t *testing.T) {
	for _, c := range []struct {
		p    acme.Problem
		want bool
	}{
		{acme.Problem{Kind: acme.Unreachable}, true},
		{acme.Problem{Kind: acme.BadAccount}, true},
		{acme.Problem{Kind: acme.Unproven}, false},
		{acme.Problem{Kind: acme.Forbidden}, false},
		{acme.Problem{Kind: acme.NotHere}, false},
		{acme.Problem{Kind: acme.RateLimited}, true}, // said by something before the authority
		{acme.Problem{Kind: acme.RateLimited, Detail: "too many new orders (300) from this account in the last 3h0m0s"}, true},
		{acme.Problem{Kind: acme.RateLimited, Detail: "too many new registrations (10) from this IP address in the last 3h0m0s"}, true},
		{acme.Problem{Kind: acme.RateLimited, Detail: `too many certificates (50) already issued for "example.com" in the last 168h0m0s: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account`}, false},
		{acme.Problem{Kind: acme.RateLimited, Detail: `too many certificates (50) already issued for "accounts.example.com" in the last 168h0m0s`}, false},
		{acme.Problem{Kind: acme.RateLimited, Detail: `too many failed authorizations (5) for "ip address.example.com" in the last 1h0m0s`}, false},
	} {
		if got := c.p.OfAll(); got != c.want {
			t.Errorf("%s %q: %v", c.p.Kind, c.p.Detail, got)
		}
	}
}
