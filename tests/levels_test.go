package tests

import (
	"testing"

	"maildomain/tests/world"
)

// Every function, by every level: what is allowed, what is refused, and how. The
// domain is user1's; user3 is somebody else's user.
func TestEveryFunctionAtEveryLevel(t *testing.T) {
	w := world.Start(t, world.Options{})
	const denied, unseen = "access(func)", "missed(elid)"
	actors := []string{"user1", "reseller1", "admin", "user3"}
	for _, c := range []struct {
		function string
		params   []string
		want     [4]string // of actors; "" for success
	}{
		{"emaildomain", nil, [4]string{}},
		{"emaildomain.edit", nil, [4]string{}},
		{"emaildomain.edit", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"emaildomain.edit", []string{"elid", "d.example", "sv_field", "defaction", "defaction", "redirect"}, [4]string{"", "", "", unseen}},
		{"emaildomain.edit", []string{"elid", "d.example", "defaction", "ignore", "sok", "ok"}, [4]string{"", "", "", unseen}},
		{"emaildomain.edit", []string{"elid", "d.example", "defaction", "error", "sok", "ok", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"emaildomain.suspend", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"emaildomain.resume", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"emaildomain.history", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"emaildomain.undo", []string{"elid", "d.example", "change", "LAST"}, [4]string{"", "", "", unseen}},
		{"emaildomain.filter", nil, [4]string{}},
		{"emaildomain.happyfilter", []string{"elid", "d.example"}, [4]string{denied, "", "", denied}},
		{"emaildomain.su", []string{"elid", "d.example"}, [4]string{denied, "", "", denied}},
		{"emaildomain.passredirect", []string{"elid", "d.example"}, [4]string{denied, "", "", denied}},
		{"emaildomain.passredirect", []string{"elid", "d.example", "owner", "user2", "sok", "ok", "dry_run", "on"}, [4]string{denied, "", "", denied}},
		{"emaildomain.delete", []string{"elid", "d.example", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"email", nil, [4]string{}},
		{"email", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"email.edit", nil, [4]string{}},
		{"email.edit", []string{"plid", "d.example"}, [4]string{"", "", "", unseen}},
		{"email.edit", []string{"elid", "box@d.example"}, [4]string{"", "", "", unseen}},
		{"email.edit", []string{"elid", "box@d.example", "sv_field", "forward", "forward", "a@b.example"}, [4]string{"", "", "", unseen}},
		{"email.edit", []string{"elid", "box@d.example", "note", "x", "sok", "ok"}, [4]string{"", "", "", unseen}},
		{"email.edit", []string{"domainname", "d.example", "name", "new", "passwd", "correct horse", "sok", "ok", "dry_run", "on"}, [4]string{"", "", "", "value(domainname)"}},
		{"email.suspend", []string{"elid", "box@d.example"}, [4]string{"", "", "", unseen}},
		{"email.resume", []string{"elid", "box@d.example"}, [4]string{"", "", "", unseen}},
		{"email.clear", []string{"elid", "box@d.example", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"email.delete", []string{"elid", "box@d.example", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"emaildomain.deleted", nil, [4]string{}},
		{"emaildomain.deleted.restore", []string{"elid", "DELETED", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"emaildomain.deleted.delete", []string{"elid", "DELETED", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"whitelist", nil, [4]string{}},
		{"whitelist", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"whitelist.edit", nil, [4]string{}},
		{"whitelist.edit", []string{"elid", "d.example|friend@x.example"}, [4]string{"", "", "", unseen}},
		{"whitelist.edit", []string{"elid", "d.example|friend@x.example", "note", "x", "sok", "ok"}, [4]string{"", "", "", unseen}},
		{"whitelist.edit", []string{"domainname", "d.example", "sender", "y.example", "sok", "ok", "dry_run", "on"}, [4]string{"", "", "", "value(domainname)"}},
		{"whitelist.delete", []string{"elid", "d.example|friend@x.example", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"blacklist", nil, [4]string{}},
		{"blacklist.edit", []string{"sender", "y.example", "sok", "ok", "dry_run", "on"}, [4]string{"value(domainname)", "value(domainname)", "", "value(domainname)"}},
		{"blacklist.delete", []string{"elid", "d.example|friend@x.example"}, [4]string{unseen, unseen, unseen, unseen}},
		{"mailparam", nil, [4]string{denied, denied, "", denied}},
		{"mailparam", []string{"sv_field", "keep_deleted", "keep_deleted", "x"}, [4]string{denied, denied, "", denied}},
		{"mailparam", []string{"keep_deleted", "7", "sok", "ok"}, [4]string{denied, denied, "", denied}},
		{"emaildomain.ssl", []string{"elid", "d.example"}, [4]string{"", "", "", unseen}},
		{"emaildomain.ssl", []string{"elid", "d.example", "sv_field", "ssl_name", "ssl_name", "letsencrypt"}, [4]string{"", "", "", unseen}},
		{"emaildomain.ssl", []string{"elid", "d.example", "secure", "on", "ssl_name", "selfsigned", "sok", "ok"}, [4]string{"", "", "", unseen}},
		{"emaildomain.ssl", []string{"elid", "d.example", "secure", "on", "renew", "on", "sok", "ok", "dry_run", "on"}, [4]string{"", "", "", unseen}},
		{"email.toplevel.ssl.edit", nil, [4]string{denied, denied, "", denied}},
		{"email.toplevel.ssl.edit", []string{"sv_field", "ssl_name", "ssl_name", "given"}, [4]string{denied, denied, "", denied}},
		{"email.toplevel.ssl.edit", []string{"ssl_name", "selfsigned", "renew", "on", "sok", "ok"}, [4]string{denied, denied, "", denied}},
		{"emaildomain.nonsense", nil, [4]string{"missed(func)", "missed(func)", "missed(func)", "missed(func)"}},
	} {
		w.Must(t, "user1", "emaildomain.edit", "name", "d.example", "sok", "ok")
		w.Must(t, "user1", "emaildomain.edit", "elid", "d.example", "defaction", "redirect", "redirval", "a@b.example", "sok", "ok")
		for _, box := range []string{"box", "gone"} {
			w.Must(t, "user1", "email.edit", "domainname", "d.example", "name", box, "passwd", "correct horse", "sok", "ok")
		}
		w.Must(t, "user1", "email.delete", "elid", "gone@d.example")
		w.Must(t, "user1", "whitelist.edit", "domainname", "d.example", "sender", "friend@x.example", "sok", "ok")
		past := w.Must(t, "user1", "emaildomain.history", "elid", "d.example")
		for i, p := range c.params {
			if p == "LAST" {
				c.params[i] = past.Elems[0]["id"]
			}
			if p == "DELETED" {
				c.params[i] = w.Must(t, "user1", "emaildomain.deleted").Elems[0]["id"]
			}
		}
		for i, actor := range actors {
			for _, lang := range []string{"en", "ru"} {
				w.Refused(t, c.want[i], actor, c.function, append([]string{"lang", lang}, c.params...)...)
			}
		}
		w.Must(t, "user1", "emaildomain.delete", "elid", "d.example")
	}
	if w.Must(t, "user1", "emaildomain.deleted", "p_cnt", "1").Total == 0 {
		t.Error("nothing of all that can be brought back")
	}
}

// A client that others wrote for this panel's API keeps working: this is what it
// sends, with fields whose server part does not exist and some of other editions.
func TestClientOfThePanelFamilyKeepsWorking(t *testing.T) {
	w := world.Start(t, world.Options{})
	params := func(name string) []string {
		return []string{
			"name", name, "limit_ssl", "", "ipsrc", "auto", "defaction", "error", "redirval", "", "spamassassin", "on", "dkim", "on",
			"dkim_selector", "dkim", "dkim_keylen", "1024", "dmarc", "on", "secure", "off", "secure_alias", "mail." + name,
			"ssl_name", "selfsigned", "email", "", "sok", "ok", "out", "json",
		}
	}
	if a := w.Must(t, "user1", "emaildomain.edit", params("client.example")...); !a.OK || a.Text["id"] != "client.example" {
		t.Errorf("the create answers %s", a.Raw)
	}
	w.Must(t, "user1", "emaildomain.edit", append(params("client.example"), "elid", "client.example", "plid", "client.example")...)
	w.Refused(t, "exists(name)", "user1", "emaildomain.edit", params("client.example")...)
	// A change of two settings leaves the others.
	w.Must(t, "user1", "emaildomain.edit", "dkim", "on", "dkim_keylen", "2048", "elid", "client.example", "sok", "ok")
	e := w.Must(t, "user1", "emaildomain").Elems
	if len(e) != 1 || e[0]["dkim"] != "on" || e[0]["spamassassin"] != "on" || e[0]["dmarc"] != "on" || e[0]["defaction"] != "error" {
		t.Errorf("the list shows %v", e)
	}
}
