package browser

import (
	"net"
	"strings"
	"testing"
	"time"

	"maildomain/module/mail"
)

// silentAuthority has orders go to an authority that takes questions and answers none.
func silentAuthority(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	shared.world.Must(t, "admin", "mailparam", "acme_directory", "https://"+l.Addr().String()+"/directory", "sok", "ok")
}

// TestCertificateIsOrderedInTheForm: its fields appear with the choices, and what was
// saved says at once that the certificate is on its way.
func TestCertificateIsOrderedInTheForm(t *testing.T) {
	s := open(t, "user1")
	silentAuthority(t)
	own, err := mail.SelfSign([]mail.Name{mail.StoredName("mail.elsewhere.example")}, time.Now(), time.Now().AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	shared.world.Must(t, "user1", "sslcert.edit", "name", "own", "certificate", string(own.Chain), "key", string(own.Key), "sok", "ok")
	s.goTo("/f/emaildomain.edit")
	s.write("#f-name", "ssl-one.example.com")
	fields := func(want string) {
		t.Helper()
		var shown []string
		for _, f := range []string{"secure", "secure_alias", "ssl_name", "ssl_challenge", "email"} {
			if s.shown(f) {
				shown = append(shown, f)
			}
		}
		if got := strings.Join(shown, " "); got != want {
			t.Errorf("shown are %q, want %q", got, want)
		}
	}
	fields("secure")
	s.click("#f-secure")
	fields("secure secure_alias ssl_name")
	s.choose("#f-ssl_name", "letsencrypt")
	fields("secure secure_alias ssl_name ssl_challenge email")
	s.choose("#f-ssl_name", "own")
	fields("secure secure_alias ssl_name")
	s.click("[data-default]")
	s.until(`document.querySelector('#f-ssl_name-error')`) // it is for another name
	fields("secure secure_alias ssl_name")
	s.choose("#f-ssl_name", "letsencrypt")
	s.write("#f-email", "me@example.com")
	s.click("[data-default]")
	s.at("emaildomain")
	s.sees("Saved: ssl-one.example.com")
	if !s.is(`document.querySelector('.notice:not([hidden])').innerText.match(/A self-signed certificate for mail.ssl-one.example.com is served until .*order/)`) {
		t.Error("the notice says", s.text(`document.querySelector('.notice:not([hidden])').innerText`))
	}
	s.search("ssl-one")
	row := s.text(`document.querySelector('tr[data-name="ssl-one.example.com"]').innerText`)
	if !strings.Contains(row, "Certificate is on its way") || !s.is(`document.querySelector('tr[data-name="ssl-one.example.com"] .state.good[aria-label], tr[data-name="ssl-one.example.com"] .state.good')`) {
		t.Errorf("the row says %q", row)
	}
}

// TestCertificatesOfChosenDomainsAreChanged: the form says how each stands, and what
// is chosen is done for all of them.
func TestCertificatesOfChosenDomainsAreChanged(t *testing.T) {
	s := open(t, "user1")
	silentAuthority(t)
	s.domain("user1", "cert-one.example.com", "secure", "on")
	s.domain("user1", "cert-two.example.com")
	s.goTo("/f/emaildomain")
	s.search("cert-")
	s.pick("cert-one.example.com")
	s.pick("cert-two.example.com")
	s.click(`.toolbar [data-func="emaildomain.ssl"]`)
	s.at("emaildomain.ssl")
	state := s.text(`document.querySelector('[data-field=state] .textdata').innerText`)
	if !strings.Contains(state, "cert-one.example.com: a self-signed certificate") || !strings.Contains(state, "cert-two.example.com: secure connection is off") {
		t.Errorf("the form says %q", state)
	}
	if s.shown("secure_alias") || s.shown("order") {
		t.Error("the form of several has fields of one")
	}
	if got := s.text(`document.querySelector('#f-secure').selectedOptions[0].innerText`); got != "as it is with each" {
		t.Errorf("the switch stands at %q", got)
	}
	s.choose("#f-secure", "on")
	s.until(`document.querySelector('#f-secure').value == 'on' && ` + settled)
	s.choose("#f-ssl_name", "letsencrypt")
	s.until(`document.querySelector('[data-field=email]')?.offsetParent && document.querySelector('#f-ssl_name').value == 'letsencrypt' && ` + settled)
	s.write("#f-email", "me@example.com")
	s.click("[name=_preview]")
	s.until(`document.querySelector('.preview .diff')`)
	if preview := s.text(`document.querySelector('.preview').innerText`); !strings.Contains(preview, "letsencrypt") || strings.Contains(preview, "PRIVATE KEY") {
		t.Errorf("the preview says %q", preview)
	}
	s.click("[data-default]")
	s.at("emaildomain")
	s.sees("Done: 2")
	for _, name := range []string{"cert-one.example.com", "cert-two.example.com"} {
		v := shared.world.Must(t, "user1", "emaildomain.edit", "elid", name).Text
		if v["secure"] != "on" || v["ssl_name"] != "letsencrypt" || v["email"] != "me@example.com" || v["secure_alias"] != "mail."+name {
			t.Errorf("%s: %v", name, v)
		}
	}
	// Of one: what is ordered, and the counters.
	s.goTo("/f/emaildomain.ssl?elid=cert-two.example.com")
	for _, field := range []string{"state", "order", "shown", "counts"} {
		if !s.shown(field) || s.text(`document.querySelector('[data-field=`+field+`] .textdata').innerText`) == "" {
			t.Errorf("nothing is said of %s", field)
		}
	}
	if order := s.text(`document.querySelector('[data-field=order]').innerText`); !strings.Contains(order, "order") {
		t.Errorf("the order: %q", order)
	}
}

// TestServerCertificateIsPasted: what was pasted stays in the browser when it is
// refused, and is not sent back.
func TestServerCertificateIsPasted(t *testing.T) {
	s := open(t, "admin")
	c, err := mail.SelfSign([]mail.Name{mail.StoredName("mail.panel.example")}, time.Now(), time.Now().AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.goTo("/f/email.toplevel.ssl.edit")
	if s.shown("certificate") || s.shown("key") || !s.shown("renew") {
		t.Error("there are fields to paste into")
	}
	s.choose("#f-ssl_name", "given")
	if !s.shown("certificate") || !s.shown("key") || s.shown("renew") {
		t.Error("there are no fields to paste into")
	}
	paste := func(field, text string) {
		t.Helper()
		s.run(`document.querySelector('#f-` + field + `').value = ` + quote(text))
	}
	paste("certificate", string(c.Key))
	paste("key", string(c.Key))
	s.click("[data-default]")
	s.until(`document.querySelector('#f-certificate-error')`)
	if !s.is(`document.querySelector('#f-certificate').value == '' && document.querySelector('#f-key').value.includes('PRIVATE')`) {
		t.Error("the key is to be pasted again, or what was wrong was sent back")
	}
	paste("certificate", string(c.Chain))
	s.click("[data-default]")
	s.sees("Saved")
	s.at("email.toplevel.ssl.edit")
	if !s.is(`document.querySelector('[data-field=state]').innerText.includes('given here') && document.querySelector('#f-key').value == ''`) {
		t.Error("the form says", s.text(`document.querySelector('main').innerText`))
	}
	shared.world.Must(t, "admin", "email.toplevel.ssl.edit", "ssl_name", "selfsigned", "sok", "ok")
}
