package acme_test

import (
	"net/http"
	"strings"
	"testing"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

func TestSameKeyIsTheSameAccount(t *testing.T) {
	w := start(t, options{})
	k := key(t)
	first, err := w.dir.Register(w.ctx(), k, address(t, "admin@a.example"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.dir.Register(w.ctx(), k, mail.Address{})
	if err != nil || again.URL != first.URL || first.URL == "" {
		t.Errorf("%v and %v, %v", first, again, err)
	}
	if contact := w.orders.GetAccountByID(first.URL[strings.LastIndexByte(first.URL, '/')+1:]).Contact; len(contact) != 1 || contact[0] != "mailto:admin@a.example" {
		t.Errorf("contact %q", contact)
	}
}

func address(t *testing.T, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccountIsBoundToTheAuthoritysCustomer(t *testing.T) {
	const secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w := start(t, options{eab: secret})
	terms, err := w.dir.Look(w.ctx())
	if err != nil || !terms.NeedsEAB || !terms.SaysWhen || terms.Service == "" || len(terms.Identities) != 1 || terms.Identities[0] != identity {
		t.Fatalf("%+v, %v", terms, err)
	}
	_, err = w.dir.Register(w.ctx(), key(t), mail.Address{})
	problem(t, err, acme.BadAccount, "acme_eab_required")
	for _, wrong := range []acme.EAB{{KeyID: "nobody", Key: secret}, {KeyID: "customer", Key: strings.ToLower(secret)}, {KeyID: "customer", Key: "no base64!"}} {
		w.dir.EAB = wrong
		_, err = w.dir.Register(w.ctx(), key(t), mail.Address{})
		if p := problem(t, err, acme.BadAccount, "acme_eab"); strings.Contains(p.Error(), wrong.Key) {
			t.Errorf("the key is shown: %v", p)
		}
	}
	w.dir.EAB = acme.EAB{KeyID: "customer", Key: secret}
	a, err := w.dir.Register(w.ctx(), key(t), mail.Address{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.dir.Order(w.ctx(), a, acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
	check(t, c, err, "mail.a.example")
}

func TestAccountThatIsNoneIsTheAdministratorsMatter(t *testing.T) {
	w := start(t, options{})
	unknown := acme.Account{URL: strings.TrimSuffix(w.dir.URL, "dir") + "my-account/none", Key: key(t)}
	_, err := w.dir.Order(w.ctx(), unknown, acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
	problem(t, err, acme.BadAccount, "acme_account")

	closed := w.account()
	stored := w.orders.GetAccountByID(closed.URL[strings.LastIndexByte(closed.URL, '/')+1:])
	stored.Status = "deactivated"
	if err := w.orders.UpdateAccountByID(stored.ID, stored); err != nil {
		t.Fatal(err)
	}
	_, err = w.dir.Order(w.ctx(), closed, acme.Request{Names: names(t, "mail.a.example"), Solver: w.web.solver()})
	problem(t, err, acme.BadAccount, "acme_account")

	broken := acme.Account{URL: closed.URL, Key: []byte("no key")}
	if _, err := w.dir.Order(w.ctx(), broken, acme.Request{}); err == nil {
		t.Error("an account without a key orders")
	}
}

// Errors of a proxy in between are no reason to send the key elsewhere, or in clear.
func TestAuthorityIsSpokenToOverTLSAlone(t *testing.T) {
	w := start(t, options{})
	w.stand(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(rw, r, "http://127.0.0.1:1/dir", http.StatusFound)
	})
	_, err := w.dir.Look(w.ctx())
	if p := problem(t, err, acme.Unreachable, "acme_unreachable"); !strings.Contains(p.Error(), "HTTPS is required") {
		t.Error(p)
	}
}
