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
	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/rpc/wire"
)

// withCertificatesOf has user1 own certificates in the panel.
func withCertificatesOf(names ...string) func(*module.Panel) {
	return func(p *module.Panel) {
		p.Certificates = func(_ context.Context, owner string) ([]string, error) {
			if owner != "user1" {
				return nil, nil
			}
			return names, nil
		}
		p.Certificate = func(context.Context, string, string) ([]byte, []byte, bool, error) { return nil, nil, false, nil }
	}
}

func keys(os []wire.Option) (ks []string) {
	for _, o := range os {
		ks = append(ks, o.Key)
	}
	return ks
}

func TestFieldsOfACertificateFollowTheChoices(t *testing.T) {
	m := tableWith(t, withCertificatesOf("own", "wild"))
	all := []string{"secure", "secure_alias", "ssl_name", "ssl_challenge", "email"}
	for _, c := range []struct {
		typed []string
		shown string
	}{
		{nil, "secure"},
		{[]string{"secure", "on"}, "secure secure_alias ssl_name"},
		{[]string{"secure", "on", "ssl_name", "own"}, "secure secure_alias ssl_name"},
		{[]string{"secure", "on", "ssl_name", "letsencrypt"}, "secure secure_alias ssl_name ssl_challenge email"},
		{[]string{"secure", "off", "ssl_name", "letsencrypt"}, "secure"},
	} {
		f := m.form(t, "user", "en", "emaildomain.edit", append([]string{"name", "a.example", "sv_field", "secure"}, c.typed...)...)
		var shown []string
		for _, name := range all {
			if !slices.Contains(f.Hidden, name) {
				shown = append(shown, name)
			}
		}
		if got := strings.Join(shown, " "); got != c.shown {
			t.Errorf("%q shows %q, want %q", c.typed, got, c.shown)
		}
		if got := strings.Join(keys(f.SLists["ssl_name"]), " "); got != "selfsigned letsencrypt own wild" {
			t.Errorf("%q offers %q", c.typed, got)
		}
		if got := strings.Join(keys(f.SLists["ssl_challenge"]), " "); got != "auto http-01 dns-01" {
			t.Errorf("challenges are %q", got)
		}
	}
	// Of another's domain, as the administrator sees it.
	f := m.form(t, "admin", "en", "emaildomain.edit", "sv_field", "owner", "owner", "user1")
	if !slices.Contains(keys(f.SLists["ssl_name"]), "own") {
		t.Errorf("the administrator is offered %q", keys(f.SLists["ssl_name"]))
	}
}

func TestPlanWithoutCertificatesIsOfferedNone(t *testing.T) {
	user := mail.User{Name: "user1", Level: mail.LevelUser, Active: true, Limits: map[string]int64{"ssl": 0}}
	m := tableWith(t, func(p *module.Panel) {
		p.User = func(context.Context, string) (mail.User, bool, error) { return user, true, nil }
	})
	secure := func(elid string) bool {
		return !slices.Contains(m.form(t, "user", "en", "emaildomain.edit", "elid", elid).Hidden, "secure")
	}
	if secure("") {
		t.Error("a new domain is offered a certificate")
	}
	_, err := m.ask("user", "en", "emaildomain.edit", "name", "a.example", "secure", "on", "sok", "ok")
	if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Limit || e.Field != "ssl" {
		t.Errorf("taken: %v", err)
	}
	// One that has a certificate from before can lose it.
	user.Limits["ssl"] = 1
	m.must(t, "emaildomain.edit", "name", "a.example", "secure", "on", "sok", "ok")
	user.Limits["ssl"] = 0
	if !secure("a.example") {
		t.Error("there is no way to switch the certificate off")
	}
	m.must(t, "emaildomain.edit", "elid", "a.example", "secure", "off", "sok", "ok")
	if secure("a.example") {
		t.Error("a domain without a certificate is offered one")
	}
}

// The form opens without the owner's certificates, and the present choice stays.
func TestPanelThatDoesNotAnswerIsDoneWithout(t *testing.T) {
	m := tableWith(t, func(p *module.Panel) {
		p.Certificates = func(ctx context.Context, _ string) ([]string, error) {
			if _, limited := ctx.Deadline(); !limited {
				t.Error("the form waits for ever")
			}
			return nil, ErrUnavailable
		}
	})
	m.must(t, "emaildomain.edit", "name", "a.example", "sok", "ok")
	f := m.form(t, "user", "en", "emaildomain.edit", "elid", "a.example", "sv_field", "ssl_name", "ssl_name", "gone", "secure", "on")
	if got := strings.Join(keys(f.SLists["ssl_name"]), " "); got != "selfsigned letsencrypt gone" {
		t.Errorf("offered are %q", got)
	}
	f = m.form(t, "user", "en", "emaildomain.ssl", "elid", "a.example")
	if got := strings.Join(keys(f.SLists["ssl_name"]), " "); got != "selfsigned letsencrypt" {
		t.Errorf("offered are %q", got)
	}
}

func TestListSaysWhenCertificatesEnd(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		expire      time.Time
		until, want string
	}{
		{time.Time{}, "", ""},
		{now.AddDate(0, 0, 60), "2027-01-22", "valid"},
		{now.Add(sslEndsSoon), "2026-12-07", "valid"},
		{now.Add(sslEndsSoon - time.Second), "2026-12-07", "ending"},
		{now, "2026-11-23", "expired"},
		{now.AddDate(0, 0, -1), "2026-11-22", "expired"},
	} {
		d := mail.NewDomain(mail.StoredName("a.example"), "user1")
		d.Secure, d.SSLExpire, d.Note = true, c.expire, "ssl_pending"
		e := domainList([]mail.Domain{d}, 1, mail.Query{Limit: 50}, module.Actor{Level: mail.LevelUser}, now).Elems[0]
		if e["ssl_expire"] != c.until || e["ssl_state"] != c.want || e["secure"] != "on" || e["note"] != "ssl_pending" {
			t.Errorf("%s: %v", c.expire, e)
		}
		for _, formOnly := range []string{"secure_alias", "ssl_name", "ssl_challenge", "email"} {
			if _, has := e[formOnly]; has {
				t.Errorf("the list shows %s", formOnly)
			}
		}
	}
}

func TestChangeSaysWhatBecameOfTheCertificate(t *testing.T) {
	m := table(t)
	note := func(pairs ...string) wire.Note {
		t.Helper()
		ok := m.must(t, "emaildomain.edit", append(pairs, "sok", "ok")...).(wire.OK)
		if len(ok.Notes) != 1 || ok.Notes[0].Object != "ssl_name" || ok.Notes[0].Said == "" {
			t.Fatalf("%q: %+v", pairs, ok)
		}
		return ok.Notes[0]
	}
	if n := note("name", "a.example", "secure", "on"); n.State != wire.NoteDone || !strings.Contains(n.Said, "self-signed certificate for mail.a.example") {
		t.Errorf("%+v", n)
	}
	if n := note("name", "b.example", "secure", "on", "ssl_name", "letsencrypt"); n.State != wire.NotePending ||
		!strings.Contains(n.Said, "self-signed certificate for mail.b.example is served until") || !strings.Contains(n.Said, "is ordered and on its way") {
		t.Errorf("%+v", n)
	}
	ok := m.must(t, "emaildomain.edit", "elid", "a.example", "secure", "off", "sok", "ok").(wire.OK)
	if len(ok.Notes) != 0 {
		t.Errorf("without a certificate: %+v", ok.Notes)
	}
	if r := m.must(t, "emaildomain.edit", "name", "c.example", "secure", "on", "sok", "ok", "dry_run", "on"); fmt.Sprintf("%T", r) != "wire.Report" {
		t.Errorf("a preview is a %T", r)
	}
}

func TestFormOfOneCertificateSaysHowItStands(t *testing.T) {
	m := table(t)
	m.must(t, "emaildomain.edit", "name", "пример.example", "sok", "ok")
	f := m.form(t, "user", "en", "emaildomain.ssl", "elid", "пример.example")
	if !strings.Contains(f.Values["state"], "Secure connection is off") || f.Values["secure"] != "off" || f.Values["elid"] != "пример.example" ||
		!slices.Equal(f.Hidden, []string{"counts", "email", "order", "renew", "secure_alias", "shown", "ssl_challenge", "ssl_name"}) {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	r := m.must(t, "emaildomain.ssl", "elid", "пример.example", "secure", "on", "ssl_name", "letsencrypt", "email", "me@a.example", "ssl_challenge", "dns-01", "sok", "ok")
	if ok := r.(wire.OK); ok.Redirect == nil || ok.Redirect.Func != "emaildomain" || len(ok.Notes) != 1 || ok.Notes[0].State != wire.NotePending {
		t.Errorf("%+v", ok)
	}
	for lang, want := range map[string][2]string{
		"en": {"A self-signed certificate for mail.пример.example is served until", "is ordered and on its way"},
		"ru": {"Самоподписанный сертификат для mail.пример.example действует до", "заказан и скоро будет"},
	} {
		v := m.form(t, "user", lang, "emaildomain.ssl", "elid", "XN--E1AFMKFD.example").Values
		if !strings.Contains(v["state"], want[0]) || !strings.Contains(v["order"], want[1]) || v["shown"] == "" || v["counts"] == "" || v["order_state"] != "waiting" ||
			v["secure"] != "on" || v["ssl_name"] != "letsencrypt" || v["email"] != "me@a.example" || v["ssl_challenge"] != "dns-01" || v["renew"] != "off" {
			t.Errorf("%s: %v", lang, v)
		}
		if at, err := time.Parse(time.RFC3339, v["ssl_expire"]); err != nil || time.Until(at) < 24*time.Hour {
			t.Errorf("it ends on %q", v["ssl_expire"])
		}
	}
	// Typed, not saved.
	f = m.form(t, "user", "en", "emaildomain.ssl", "elid", "пример.example", "sv_field", "ssl_name", "ssl_name", "selfsigned", "secure_alias", "typed")
	if f.Values["ssl_name"] != "selfsigned" || f.Values["secure_alias"] != "typed" || !slices.Contains(f.Hidden, "email") {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	for _, wrong := range [][2]string{{"renew", "yes"}, {"secure", "yes"}, {"ssl_name", "../x"}, {"ssl_challenge", "x"}, {"email", "x"}, {"secure_alias", "mail.other.example"}} {
		_, err := m.ask("user", "en", "emaildomain.ssl", "elid", "пример.example", wrong[0], wrong[1], "sok", "ok")
		if e, ok := errors.AsType[*mail.Error](err); !ok || e.Kind != mail.Invalid || e.Field != wrong[0] {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	// Only what is about certificates is taken from a call.
	m.must(t, "emaildomain.ssl", "elid", "пример.example", "greylist", "on", "defaction", "ignore", "owner", "somebody", "sok", "ok")
	if v := m.form(t, "user", "en", "emaildomain.edit", "elid", "пример.example").Values; v["greylist"] != "off" || v["defaction"] != "error" {
		t.Errorf("%v", v)
	}
}

func TestFormOfSeveralCertificatesLeavesWhatDiffers(t *testing.T) {
	m := table(t)
	m.must(t, "emaildomain.edit", "name", "a.example", "secure", "on", "sok", "ok")
	m.must(t, "emaildomain.edit", "name", "b.example", "secure", "on", "ssl_name", "letsencrypt", "sok", "ok")
	m.must(t, "emaildomain.edit", "name", "c.example", "sok", "ok")
	f := m.form(t, "user", "en", "emaildomain.ssl", "elid", "a.example, b.example, c.example")
	v := f.Values
	for _, shown := range []string{"ssl_name", "ssl_challenge", "email", "renew"} {
		if slices.Contains(f.Hidden, shown) {
			t.Errorf("%s is hidden, though some have it", shown)
		}
	}
	if v["secure"] != "" || v["ssl_name"] != "" || v["ssl_challenge"] != "auto" || v["secure_alias"] != "" || v["email"] != "" || !slices.Contains(f.Hidden, "secure_alias") {
		t.Errorf("%v, hidden %q", v, f.Hidden)
	}
	if lines := strings.Split(v["state"], "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "a.example: a self-signed") || !strings.HasPrefix(lines[1], "b.example: ") ||
		!strings.Contains(lines[1], "is ordered") || !strings.HasPrefix(lines[2], "c.example: secure connection is off") {
		t.Errorf("%q", lines)
	}
	if o := f.SLists["ssl_name"]; o[0].Key != "" || o[0].Label != "as it is with each" || len(o) != 3 {
		t.Errorf("choices: %v", o)
	}
	// Saved as it opens, nothing changes; chosen, it changes for all.
	save := func(pairs ...string) wire.OK {
		t.Helper()
		all := []string{"elid", "a.example, b.example, c.example", "secure", "", "ssl_name", "", "ssl_challenge", "", "email", "", "secure_alias", "", "sok", "ok"}
		return m.must(t, "emaildomain.ssl", append(all, pairs...)...).(wire.OK)
	}
	values := func(elid string) map[string]string {
		t.Helper()
		return m.form(t, "user", "en", "emaildomain.edit", "elid", elid).Values
	}
	before := values("b.example")
	if ok := save(); len(ok.Done) != 3 || !ok.Done[0].OK || !ok.Done[1].OK || !ok.Done[2].OK {
		t.Errorf("%+v", ok)
	}
	if now := values("b.example"); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("it has changed: %v, was %v", now, before)
	}
	save("secure", "on", "ssl_name", "letsencrypt")
	for _, elid := range []string{"a.example", "b.example", "c.example"} {
		if v := values(elid); v["secure"] != "on" || v["ssl_name"] != "letsencrypt" || v["secure_alias"] != "mail."+elid {
			t.Errorf("%s: %v", elid, v)
		}
	}
	// More than are looked at, and one that is not there.
	many := []string{}
	for i := range mostShown + 3 {
		n := fmt.Sprintf("n%d.example", i)
		m.must(t, "emaildomain.edit", "name", n, "sok", "ok")
		many = append(many, n)
	}
	f = m.form(t, "user", "ru", "emaildomain.ssl", "elid", strings.Join(many, ","))
	if lines := strings.Split(f.Values["state"], "\n"); len(lines) != mostShown+1 || lines[mostShown] != "и ещё 3" || f.Values["secure"] != "" {
		t.Errorf("%q, %v", lines, f.Values)
	}
	if _, err := m.ask("user", "en", "emaildomain.ssl", "elid", "a.example, none.example"); err == nil {
		t.Error("opens for one that is not there")
	}
	ok := m.must(t, "emaildomain.ssl", "elid", "a.example, none.example", "ssl_name", "selfsigned", "sok", "ok").(wire.OK)
	if len(ok.Done) != 2 || !ok.Done[0].OK || ok.Done[1].OK || ok.Done[1].Error.Type != "missed" {
		t.Errorf("%+v", ok)
	}
}

// Every state has a sentence without a hole in it, in both languages.
func TestSentencesAboutCertificatesAreWhole(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	n := mail.StoredName("mail.a.example")
	made, err := mail.SelfSign([]mail.Name{n}, now, now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	ended, err := mail.SelfSign([]mail.Name{n}, now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	d := mail.NewDomain(mail.StoredName("a.example"), "user1")
	d.Secure = true
	row := func(c mail.Certificate, source mail.SSLName, renew time.Time) store.CertificateRow {
		return store.CertificateRow{Certificate: c, Source: source, Renew: renew}
	}
	order := store.OrderRow{Domain: "a.example", Names: []mail.Name{n}, Due: now, Since: now}
	var all []module.SSL
	for _, c := range []store.CertificateRow{
		{}, row(made, mail.SelfSigned, now), row(made, mail.SelfSigned, time.Time{}), row(made, mail.LetsEncrypt, now), row(made, "own", time.Time{}), row(ended, mail.LetsEncrypt, now),
	} {
		wants := d
		if c.Source != "" {
			wants.SSLName = c.Source
		}
		all = append(all, module.SSL{Domain: wants, Certificate: c}, module.SSL{Certificate: c})
	}
	// One of an authority that was put back, where the domain wants its own.
	w := words{"en", now}
	if v, next := w.about(module.SSL{Domain: d, Certificate: row(made, mail.LetsEncrypt, now)}), w.say("renew_selfsigned", map[string]string{"renew": day(now)}); !strings.HasSuffix(v["state"], "; "+next) {
		t.Errorf("%q does not end with %q", v["state"], next)
	}
	some := row(made, mail.LetsEncrypt, now)
	some.Lacks = []mail.Name{mail.StoredName("xn--mgbh0fb.a.example")}
	if v := (words{"en", now}).about(module.SSL{Domain: d, Certificate: some, Order: &order}); !strings.Contains(v["state"], some.Lacks[0].Unicode()) || v["order"] == "" {
		t.Errorf("%v", v)
	}
	all = append(all, module.SSL{Domain: d, Certificate: some, Order: &order})
	all = append(all, module.SSL{Domain: mail.NewDomain(mail.StoredName("a.example"), "user1")})
	for _, step := range []acme.Step{"", acme.StepOrder, acme.StepProof, acme.StepLook, acme.StepIssue, acme.StepReceive} {
		o := order
		o.Step = string(step)
		all = append(all, module.SSL{Domain: d, Certificate: row(made, mail.SelfSigned, now), Order: &o})
	}
	later := order
	later.Due = now.Add(time.Hour)
	all = append(all, module.SSL{Domain: d, Certificate: row(made, mail.SelfSigned, now), Order: &later})
	for _, text := range []string{"acme_dns", "acme_rate_limited", "acme_caa", "acme_rejected"} {
		o := order
		o.Kind, o.Text, o.Args, o.Failures, o.Detail = "unproven", text, map[string]string{"name": "mail.a.example", "at": "a.example", "detail": "no such name"}, 3, "no such name"
		all = append(all, module.SSL{Domain: d, Certificate: row(made, mail.SelfSigned, now), Order: &o, Counts: store.OrderCounts{Orders: 3, Domain: d.Name}})
	}
	seen := []store.Seen{{Who: "imaps 127.0.0.1:993", Values: []string{"mail.a.example"}}, {Who: "smtp 127.0.0.1:25", Error: "nobody listens there"}}
	all = append(all, module.SSL{Domain: d, Findings: []store.Finding{{Name: "mail.a.example", Why: mail.ForTLS, Seen: seen,
		Verdict: mail.Verdict{State: mail.Wrong, Text: mail.CheckTLSOther, Args: map[string]string{"ports": "imaps", "found": "x.example"}}}}})
	sentences := map[string]bool{}
	for _, lang := range []string{"en", "ru"} {
		w := words{lang, now}
		for _, s := range all {
			v := w.about(s)
			for name, text := range v {
				if strings.Contains(text, "__") || strings.Contains(text, "said_") || strings.Contains(text, "order_") || strings.Contains(text, "0001") || strings.Contains(text, "PRIVATE") {
					t.Errorf("%s: %s: %q", lang, name, text)
				}
			}
			sentences[lang+v["state"]+v["order"]] = true
			if v["state"] == "" || (s.Order != nil) != (v["order"] != "") {
				t.Errorf("%s: %v", lang, v)
			}
		}
		last := w.about(all[len(all)-1])["shown"]
		if !strings.Contains(last, "mail.a.example: ") || !strings.Contains(last, "– smtp 127.0.0.1:25: nobody listens there") {
			t.Errorf("%s: %q", lang, last)
		}
		own := w.about(module.SSL{Findings: []store.Finding{{Why: mail.ForTLS, Verdict: mail.Say(mail.Right, mail.CheckTLSServed, "date", "2027-01-02")}}})["shown"]
		if own != capital(verdict(lang, mail.Say(mail.Right, mail.CheckTLSServed, "date", "2027-01-02"))) { // whoever asks for no name
			t.Errorf("%s: %q", lang, own)
		}
	}
	if len(sentences) != 40 { // a domain's and the server's are mostly the same
		t.Errorf("%d sentences", len(sentences))
	}
}

func TestSecretsOfSettingsAreNeverShown(t *testing.T) {
	m := table(t)
	const secret = "c2VjcmV0LWhtYWMta2V5"
	var answers []any
	ask := func(pairs ...string) any {
		t.Helper()
		r, err := m.ask("admin", "en", "mailparam", pairs...)
		answers = append(answers, r, fmt.Sprint(err))
		return r
	}
	ask("acme_eab_kid", "kid-1", "acme_eab_key", secret, "sok", "ok", "dry_run", "on")
	ask("acme_eab_kid", "kid-1", "acme_eab_key", secret, "sok", "ok")
	ask("acme_eab_kid", "kid-1", "acme_eab_key", secret+"!", "sok", "ok")
	ask("sv_field", "acme_eab_kid", "acme_eab_kid", "kid-1", "acme_eab_key", secret)
	f := ask().(wire.Form)
	if f.Values["acme_eab_kid"] != "kid-1" || f.Values["acme_eab_key"] != "" || slices.Contains(f.Hidden, "acme_eab_key") {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	if v, err := m.module.Settings(t.Context()); err != nil || v.ACME.EABKey != secret {
		t.Errorf("kept is %+v, %v", v.ACME, err)
	}
	ask("acme_eab_kid", "kid-1", "acme_eab_key", "", "acme_webroot", "/var/www", "sok", "ok")
	if v, err := m.module.Settings(t.Context()); err != nil || v.ACME.EABKey != secret || v.ACME.Webroot != "/var/www" {
		t.Errorf("kept is %+v, %v", v.ACME, err)
	}
	if f := ask("sv_field", "acme_eab_kid", "acme_eab_kid", "").(wire.Form); !slices.Contains(f.Hidden, "acme_eab_key") {
		t.Errorf("hidden are %q", f.Hidden)
	}
	b, err := json.Marshal(answers)
	if err != nil || strings.Contains(string(b), secret) {
		t.Errorf("an answer shows the secret: %v, %s", err, b)
	}
	if !strings.Contains(string(b), `"after":"changed"`) {
		t.Errorf("the preview does not say that it changes: %s", b)
	}
}

func TestCertificateOfTheServerIsPastedAndNeverShown(t *testing.T) {
	m := table(t)
	now := time.Now()
	given, err := mail.SelfSign([]mail.Name{mail.StoredName("mx.host.example")}, now, now.AddDate(0, 0, 90))
	if err != nil {
		t.Fatal(err)
	}
	const edit = "email.toplevel.ssl.edit"
	var answers []any
	ask := func(pairs ...string) any {
		t.Helper()
		r, err := m.ask("admin", "en", edit, pairs...)
		answers = append(answers, r, fmt.Sprint(err))
		return r
	}
	pasted := []string{"ssl_name", "given", "certificate", string(given.Chain), "key", string(given.Key), "sok", "ok"}
	f := m.form(t, "admin", "en", edit)
	if !slices.Contains(f.Hidden, "certificate") || !slices.Contains(f.Hidden, "key") || slices.Contains(f.Hidden, "renew") ||
		strings.Join(keys(f.SLists["ssl_name"]), " ") != "selfsigned letsencrypt given" {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	if b, err := json.Marshal(ask(append(pasted, "dry_run", "on")...)); err != nil || strings.Contains(string(b), strings.Split(string(given.Key), "\n")[1]) {
		t.Errorf("the preview shows the key: %v, %s", err, b)
	}
	answers = nil
	if ok, is := ask(pasted...).(wire.OK); !is || ok.Redirect == nil || ok.Redirect.Func != edit {
		t.Fatalf("%+v", answers[len(answers)-2:])
	}
	ask("ssl_name", "given", "certificate", string(given.Key), "key", string(given.Chain), "sok", "ok")
	ask("ssl_name", "given", "sv_field", "ssl_name", "certificate", string(given.Chain), "key", string(given.Key))
	f = ask().(wire.Form)
	if f.Values["ssl_name"] != "given" || f.Values["certificate"] != "" || f.Values["key"] != "" || slices.Contains(f.Hidden, "key") || !slices.Contains(f.Hidden, "renew") ||
		!strings.Contains(f.Values["state"], "given here") || !strings.Contains(f.Values["state"], given.Expire.UTC().Format(time.DateOnly)) {
		t.Errorf("%v, hidden %q", f.Values, f.Hidden)
	}
	b, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{strings.Split(string(given.Key), "\n")[1], "PRIVATE KEY", strings.Split(string(given.Chain), "\n")[1]} {
		if strings.Contains(string(b), part) {
			t.Errorf("an answer shows %s", part)
		}
	}
	for _, level := range []string{"user", "reseller"} {
		if _, err := m.ask(level, "en", edit); err == nil {
			t.Errorf("a %s sees it", level)
		}
	}
}
