package tests

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maildomain/module/mail"
	"maildomain/tests/world"
)

// silentAuthority is the address of an authority that takes questions and answers none.
func silentAuthority(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // connections wait in its queue, and end with it
	return "https://" + l.Addr().String() + "/directory"
}

// said is an answer as it comes, in a form.
func said(t *testing.T, w *world.World, out, user, function string, params ...string) string {
	t.Helper()
	a, err := w.Call(t.Context(), user, function, append(params, "out", out)...)
	if a.Raw == "" {
		t.Fatalf("%s as %s: %v", function, out, err)
	}
	return a.Raw
}

// Saving answers at once: with a certificate that is served, and the order.
func TestSavingSaysThatACertificateIsOrdered(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "admin", "mailparam", "acme_directory", silentAuthority(t), "dns", "none", "sok", "ok")
	for out, want := range map[string][]string{
		"xml":   {`<ok type="list">`, `<list name="notes"><elem><object>ssl_name</object><state>pending</state><said>a self-signed certificate for mail.xml.example is served until `},
		"json":  {`"ok":{`, `{"$name":"notes","elem":[{"object":{"$":"ssl_name"},"state":{"$":"pending"},"said":{"$":"a self-signed certificate for mail.json.example is served until `},
		"sjson": {`"ok":{`, `{"$name":"notes","elem":[{"object":"ssl_name","state":"pending","said":"a self-signed certificate for mail.sjson.example is served until `},
		"text":  {"OK\n", `object=ssl_name state=pending said="a self-signed certificate for mail.text.example is served until `},
	} {
		got := said(t, w, out, "user1", "emaildomain.edit", "name", out+".example", "secure", "on", "ssl_name", "letsencrypt", "email", "me@"+out+".example", "sok", "ok")
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s is not in %s", out, part, got)
			}
		}
	}
	noted := w.Must(t, "user1", "emaildomain").Elems // before an order can have failed
	for _, lang := range []string{"en", "ru"} {
		v := w.Must(t, "user1", "emaildomain.ssl", "elid", "json.example", "lang", lang).Text
		if v["state"] == "" || v["order"] == "" || v["counts"] == "" || strings.Contains(v["state"]+v["order"]+v["counts"], "__") {
			t.Errorf("%s: %v", lang, v)
		}
	}
	// Russian, and for several at once.
	several := w.Must(t, "user1", "emaildomain.ssl", "elid", "json.example, xml.example", "lang", "ru")
	if lines := strings.Split(several.Text["state"], "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "json.example: самоподписанный сертификат") {
		t.Errorf("%q", lines)
	}
	w.Must(t, "user1", "emaildomain.ssl", "elid", "json.example, xml.example", "ssl_name", "selfsigned", "sok", "ok")
	if v := w.Must(t, "user1", "emaildomain.ssl", "elid", "xml.example").Text; v["ssl_name"] != "selfsigned" || v["order"] != "" {
		t.Errorf("%v", v)
	}
	for _, e := range w.Must(t, "user1", "emaildomain").Elems {
		if at, err := time.Parse(time.DateOnly, e["ssl_expire"]); err != nil || time.Until(at) < 24*time.Hour || e["ssl_state"] != "valid" || e["secure"] != "on" {
			t.Errorf("the list has %v", e)
		}
	}
	for _, e := range noted {
		if e["note"] != "ssl_pending" {
			t.Errorf("%s has the note %q while its certificate is ordered", e["name"], e["note"])
		}
	}
	for _, name := range []string{"json.example", "xml.example"} {
		for _, e := range w.Must(t, "user1", "emaildomain", "f_name", name).Elems {
			if e["name"] == name && e["note"] != "" {
				t.Errorf("%s has the note %q", name, e["note"])
			}
		}
	}
}

// What is served stands in the files before the call is answered, and a preview
// writes none.
func TestCertificateStandsWhenTheCallIsAnswered(t *testing.T) {
	w := world.Start(t, world.Options{})
	crt := filepath.Join(w.Root, "etc/exim4/ssl/a.example.crt")
	made := w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "secure", "on", "sok", "ok", "dry_run", "on")
	if _, err := os.Stat(crt); err == nil {
		t.Error("the preview wrote a certificate")
	}
	if strings.Contains(made.Raw, "PRIVATE KEY") || !strings.Contains(made.Raw, "secure") {
		t.Errorf("the preview says %s", made.Raw)
	}
	w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "secure", "on", "sok", "ok")
	pair, err := tls.LoadX509KeyPair(crt, filepath.Join(w.Root, "etc/exim4/ssl/a.example.key"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || leaf.VerifyHostname("mail.a.example") != nil {
		t.Errorf("%v, for %v", err, leaf.DNSNames)
	}
}

// A certificate that a user has in the panel is offered and served; a name of nobody's
// is not taken.
func TestCertificateOfThePanelIsServed(t *testing.T) {
	w := world.Start(t, world.Options{})
	own := given(t, "mail.a.example", "imap.a.example")
	w.Must(t, "user1", "sslcert.edit", "name", "own", "certificate", string(own.Chain), "key", string(own.Key), "sok", "ok")
	a := w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "sv_field", "secure", "secure", "on")
	if !strings.Contains(a.Raw, `{"$key":"own","$":"own"}`) {
		t.Errorf("it is not offered: %s", a.Raw)
	}
	if strings.Contains(w.Must(t, "user2", "emaildomain.edit").Raw, `"own"`) {
		t.Error("another user is offered it")
	}
	w.Refused(t, "value(ssl_name)", "user2", "emaildomain.edit", "name", "b.example", "secure", "on", "ssl_name", "own", "sok", "ok")
	w.Refused(t, "value(ssl_name)", "user1", "emaildomain.edit", "name", "b.example", "secure", "on", "ssl_name", "own", "sok", "ok") // not for its names
	w.Must(t, "user1", "emaildomain.edit", "name", "a.example", "secure", "on", "ssl_name", "own", "secure_alias", "mail.a.example imap.a.example", "sok", "ok")
	got, err := os.ReadFile(filepath.Join(w.Root, "etc/dovecot/certs/a.example.crt"))
	if block, _ := pem.Decode(got); err != nil || block == nil || !strings.Contains(string(own.Chain), strings.Split(string(got), "\n")[1]) {
		t.Errorf("%v: another certificate is served", err)
	}
	if v := w.Must(t, "user1", "emaildomain.ssl", "elid", "a.example").Text; !strings.Contains(v["state"], "certificate own of the panel") || v["ssl_name"] != "own" {
		t.Errorf("%v", v)
	}
}

func given(t *testing.T, names ...string) mail.Certificate {
	t.Helper()
	var ns []mail.Name
	for _, n := range names {
		ns = append(ns, mail.StoredName(n))
	}
	c, err := mail.SelfSign(ns, time.Now(), time.Now().AddDate(0, 0, 90))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A key that was pasted stands in the database and in the files that mail servers
// read, which are not everybody's, and nowhere else: in no answer, echo or log.
func TestPastedKeyIsNeverSeenAgain(t *testing.T) {
	w := world.Start(t, world.Options{})
	pasted := given(t, "mail.host.example")
	const eab = "c2VjcmV0LWhtYWMta2V5LW9mLXRlc3Rz"
	key := strings.Split(string(pasted.Key), "\n")[1]
	answers := ""
	for _, out := range []string{"xml", "json", "sjson", "text"} {
		ask := func(function string, params ...string) {
			t.Helper()
			answers += said(t, w, out, "admin", function, append(params, "metadata", "on")...)
		}
		const edit = "email.toplevel.ssl.edit"
		pair := []string{"ssl_name", "given", "certificate", string(pasted.Chain), "key", string(pasted.Key)}
		ask(edit, append(pair, "sok", "ok", "dry_run", "on")...)
		ask(edit, append(pair, "sok", "ok")...)
		ask(edit, append(pair, "sv_field", "ssl_name")...)
		ask(edit, "ssl_name", "given", "certificate", string(pasted.Key), "key", string(pasted.Chain), "sok", "ok")
		ask(edit, "ssl_name", "given", "certificate", string(pasted.Chain)+string(pasted.Key), "key", "x"+string(pasted.Key), "sok", "ok")
		ask(edit)
		ask("mailparam", "acme_eab_kid", "kid", "acme_eab_key", eab, "sok", "ok", "dry_run", "on")
		ask("mailparam", "acme_eab_kid", "kid", "acme_eab_key", eab, "sok", "ok")
		ask("mailparam", "acme_eab_kid", "kid", "acme_eab_key", eab+"*", "sok", "ok")
		ask("mailparam", "sv_field", "acme_eab_kid", "acme_eab_kid", "kid", "acme_eab_key", eab)
		ask("mailparam")
		// What is pasted into the wrong form is not echoed either.
		w.Must(t, "admin", "emaildomain.edit", "name", "d."+out+".example", "sok", "ok")
		ask("emaildomain.dkim.import", "elid", "d."+out+".example", "private", string(pasted.Key), "sok", "ok")
		ask("emaildomain.history", "elid", "d."+out+".example")
	}
	if v := w.Must(t, "admin", "email.toplevel.ssl.edit").Text; v["ssl_name"] != "given" || v["key"] != "" || v["certificate"] != "" {
		t.Errorf("%v", v)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, "PRIVATE KEY", eab} {
		if i := strings.Index(answers, secret); i >= 0 {
			t.Errorf("an answer has %s in it: …%s", secret, answers[max(0, i-300):i])
		}
	}
	err := filepath.WalkDir(w.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s := string(b)
		if !strings.Contains(s, key) && !strings.Contains(s, eab) {
			return nil
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		database := strings.HasPrefix(d.Name(), "maildomain.db")
		served := d.Name() == "default.key" && !strings.Contains(s, eab)
		if !database && !served || i.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s (%s) has a secret in it", path, i.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
