package module

import (
	"testing"
	"time"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

// A domain that went over to certificates of its own, and was given back the one from
// before, gets another of its own when that ends.
func TestCertificateThatWasPutBackIsFollowedByOneThatTheDomainWants(t *testing.T) {
	for _, source := range []mail.SSLName{mail.LetsEncrypt, "mine"} {
		t.Run(string(source), func(t *testing.T) {
			w, n := handWorld(t), newNotary(t)
			a := mail.StoredName("a.example")
			c := n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mail.a.example")
			w.ownCertificates().put("user1", "mine", c)
			addSecure(t, w, as("user1"), "a.example", "ssl_name", string(source))
			if err := w.install(t.Context(), itself, "emaildomain.ssl.issue", a, c, source, acme.Renewal{At: w.tick().Add(50 * 24 * time.Hour)}); err != nil {
				t.Fatal(err)
			}
			seen, err := w.see(t.Context(), a, nil)
			if err == nil {
				err = w.keepSeen(t.Context(), seen)
			}
			if err != nil {
				t.Fatal(err)
			}
			change(t, w, as("user1"), "a.example", edit("ssl_name", "selfsigned"))
			if w.certificate(t, "a.example").Source != mail.SelfSigned {
				t.Fatal("it has none of its own")
			}
			s, err := w.see(t.Context(), a, nil)
			if err == nil {
				err = w.putBack(t.Context(), s)
			}
			back := w.certificate(t, "a.example")
			if err != nil || back.Source != source || string(back.Chain) != string(c.Chain) || w.ordered(t, "a.example") != nil {
				t.Fatalf("%s is back, %v", back.Source, err)
			}
			shown, err := w.DomainSSL(t.Context(), as("user1"), "a.example")
			if err != nil || !shown.Certificate.Renew.Equal(c.Expire.Add(-selfSignedLeft)) {
				t.Errorf("shown to be followed at %v, %v", shown.Certificate.Renew, err)
			}
			served := func(want bool) {
				t.Helper()
				if err := w.Orders(t.Context()); err != nil {
					t.Fatal(err)
				}
				if is := w.certificate(t, "a.example"); (string(is.Chain) == string(c.Chain)) != want || is.Expire.Before(w.now) {
					t.Errorf("%s until %v", is.Source, is.Expire)
				}
			}
			w.pass(back.Expire.Sub(w.tick()) - selfSignedLeft - time.Hour)
			served(true)
			if at, err := w.Due(t.Context()); err != nil || !at.Equal(back.Expire.Add(-selfSignedLeft)) {
				t.Errorf("due at %v, %v", at, err)
			}
			w.pass(2 * time.Hour)
			served(false)
			if is := w.certificate(t, "a.example"); is.Source != mail.SelfSigned || is.Expire.Sub(w.now) < 700*24*time.Hour {
				t.Errorf("%s until %v", is.Source, is.Expire)
			}
			// That gives way again: it is not tried without end.
			if s, err = w.see(t.Context(), a, nil); err == nil {
				err = w.putBack(t.Context(), s)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.pass(backAgain - time.Hour)
			served(true)
			w.pass(2 * time.Hour)
			served(false)
			checkFollows(t, w)
		})
	}
}
