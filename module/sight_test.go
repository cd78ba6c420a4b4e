package module

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// What is wrong anywhere is said, whatever else is right; what nobody could be asked
// about is no fault.
func TestVerdictOnACertificateIsTheWorstOfAllPorts(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := hex.EncodeToString(make([]byte, 32))
	served := files.Shown{Names: []string{"a.example"}, Expire: now.Add(time.Hour)}
	untrusted, ended, other := served, served, served
	untrusted.Distrust = errors.New("nobody vouches")
	ended.Expire = now
	ended.Distrust = errors.New("ended")
	other.Fingerprint[0], other.Names = 1, []string{"else.example", "b.example"}
	broken := files.Shown{Err: fmt.Errorf("%w: no key", files.ErrHandshake)}
	plain, nobody, busy := files.Shown{Err: files.ErrNoTLS}, files.Shown{Err: files.ErrNobodyListens}, files.Shown{Err: errors.New("421 later")}
	for what, c := range map[string]struct {
		shown []files.Shown
		want  string
		state mail.State
		text  string
		ports string // that are named
	}{
		"right":                  {[]files.Shown{served, served}, want, mail.Right, mail.CheckTLSServed, ""},
		"right where somebody":   {[]files.Shown{nobody, served}, want, mail.Right, mail.CheckTLSServed, ""},
		"nobody vouches":         {[]files.Shown{untrusted, nobody}, want, mail.Right, mail.CheckTLSUntrusted, ""},
		"ended":                  {[]files.Shown{ended}, want, mail.Wrong, mail.CheckTLSExpired, ""},
		"another":                {[]files.Shown{served, other, nobody, other}, want, mail.Wrong, mail.CheckTLSOther, "imap 127.0.0.1:2, imap 127.0.0.1:4"},
		"TLS fails":              {[]files.Shown{other, broken, plain, busy}, want, mail.Wrong, mail.CheckTLSHandshake, "imap 127.0.0.1:2"},
		"no TLS":                 {[]files.Shown{served, plain, busy}, want, mail.Wrong, mail.CheckTLSNone, "imap 127.0.0.1:2"},
		"one cannot be asked":    {[]files.Shown{served, busy, nobody}, want, mail.Unknown, mail.CheckTLSSilent, "imap 127.0.0.1:2"},
		"nobody":                 {[]files.Shown{nobody, nobody}, want, mail.Unknown, mail.CheckTLSNobody, "imap 127.0.0.1:1, imap 127.0.0.1:2"},
		"there is none to serve": {[]files.Shown{served}, "", mail.Wrong, mail.CheckTLSMissing, ""},
	} {
		for i := range c.shown {
			c.shown[i].Server = files.Server{Service: files.ServiceIMAP, Addr: fmt.Sprintf("127.0.0.1:%d", i+1)}
		}
		f := judge(mail.StoredName("a.example"), c.want, c.shown, now)
		v := f.Verdict
		if v.State != c.state || v.Text != c.text || v.Args["ports"] != c.ports || f.Why != mail.ForTLS || len(f.Seen) != len(c.shown) {
			t.Errorf("%s: %s, %s, %v, %v", what, v.State, v.Text, v.Args, f.Seen)
		}
		for _, name := range mail.CheckTexts[v.Text] {
			if v.Args[name] == "" {
				t.Errorf("%s: __%s__ stays empty", what, name)
			}
		}
		for _, s := range f.Seen {
			if (s.Error == "") == (len(s.Values) == 0) {
				t.Errorf("%s: %+v", what, s)
			}
		}
	}
}

// A port that hangs costs its time once, however many names a domain has.
func TestPortThatHangsIsNotWaitedForAgain(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.AskServers([]files.Server{{Service: files.ServiceIMAPS, Addr: "127.0.0.1:1"}})
	w.proofs.asker.Limit = 10 * time.Millisecond
	w.proofs.asker.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked++
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ask := w.asking()
	for i := range 5 {
		if shown := ask(t.Context(), mail.StoredName("a.example")); len(shown) != 1 || !errors.Is(shown[0].Err, context.DeadlineExceeded) {
			t.Errorf("name %d: %+v", i, shown)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// The certificate before is put back where that helps, and where it lasts.
func TestWhatIsPutBackIsOneThatHelps(t *testing.T) {
	w := newWorld(t)
	now := w.tick()
	cert := func(lasts time.Duration, names ...string) mail.Certificate {
		var ns []mail.Name
		for _, n := range names {
			ns = append(ns, mail.StoredName(n))
		}
		c, err := mail.SelfSign(ns, now, now.Add(lasts))
		if err != nil {
			t.Fatal(err)
		}
		c.Name = "a.example"
		return c
	}
	const year = 365 * 24 * time.Hour
	domain := mail.NewDomain(mail.StoredName("a.example"), "alice")
	domain.Secure = true
	is := cert(year, shopName)
	for what, c := range map[string]struct {
		before mail.Certificate
		text   string
		shows  string // fingerprint, besides
		want   bool
	}{
		"TLS fails":           {cert(year, shopName), mail.CheckTLSHandshake, "", true},
		"the one before":      {cert(year, shopName), mail.CheckTLSOther, "before", true},
		"a third one":         {cert(year, shopName), mail.CheckTLSOther, "", false},
		"no TLS there at all": {cert(year, shopName), mail.CheckTLSNone, "", false},
		"it ends soon":        {cert(3*24*time.Hour, shopName), mail.CheckTLSHandshake, "", false},
		"for other names":     {cert(year, "imap.a.example"), mail.CheckTLSHandshake, "", false},
		"the same":            {is, mail.CheckTLSHandshake, "", false},
		"none":                {mail.Certificate{}, mail.CheckTLSHandshake, "", false},
	} {
		row := store.CertificateRow{Certificate: is, Before: c.before}
		s := &sight{name: domain.Name, domain: &domain, row: &row, shown: map[string]bool{}, wanted: []string{fingerprintOf(&row)},
			findings: []store.Finding{{Name: shopName, Why: mail.ForTLS, Verdict: mail.Say(mail.Wrong, c.text)}}}
		if c.shows == "before" {
			s.shown[fingerprintOf(&store.CertificateRow{Certificate: c.before})] = true
		}
		if got := s.blames() && s.canGoBack(now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		s.wanted[0] = strings.Repeat("0", 64) // another domain's is shown for the name
		if s.blames() {
			t.Errorf("%s: blamed for another's", what)
		}
	}
}

// A name whose certificate is still ordered has none to be seen, which is no fault of
// the one that is served for the others.
func TestNameThatWaitsForItsCertificateIsNotAskedFor(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	addSecure(t, w, as("user1"), "a.example", "ssl_name", "letsencrypt")
	until := w.tick().Add(89 * 24 * time.Hour).Truncate(time.Second)
	if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", mail.StoredName("a.example"), n.vouch(t, until, "mail.a.example"), mail.LetsEncrypt, acme.Renewal{At: until}); err != nil {
		t.Fatal(err)
	}
	change(t, w, as("user1"), "a.example", edit("secure_alias", "mail.a.example imap.a.example"))
	w.AskServers([]files.Server{{Service: files.Service("imaps"), Addr: "127.0.0.77:1"}})
	s, err := w.see(t.Context(), mail.StoredName("a.example"), nil)
	if err != nil || len(s.findings) != 2 {
		t.Fatalf("%v, %+v", err, s)
	}
	found := map[string]mail.Verdict{}
	for i, f := range s.findings {
		if found[f.Name] = f.Verdict; f.Name == "imap.a.example" && (s.wanted[i] != "" || len(f.Seen) > 0) {
			t.Errorf("%+v", f)
		}
	}
	if v := found["imap.a.example"]; v.State != mail.Unknown || v.Text != mail.CheckTLSWaits || found["mail.a.example"].Text != mail.CheckTLSNobody {
		t.Errorf("%+v", found)
	}
	s.findings[slices.IndexFunc(s.findings, func(f store.Finding) bool { return f.Name == "mail.a.example" })].Verdict = mail.Say(mail.Right, mail.CheckTLSServed, "date", "2026-03-01")
	if s.state() != mail.Right || !s.settled(w.tick()) {
		t.Error("the name that waits has the other proved again and again")
	}
}
