package rpc

import (
	"testing"

	"maildomain/module/mail"
)

func TestSentenceHoldsTheReasonsOfEachWay(t *testing.T) {
	e := &mail.Error{Kind: mail.Unavailable, Text: "acme_neither", Args: map[string]string{
		"name": "mail.a.example", "why_http": "acme_elsewhere", "address": "192.0.2.80", "why_dns": "acme_dns_zone", "record": "_acme-challenge.mail.a.example",
	}}
	for lang, want := range map[string]string{
		"en": "mail.a.example can be proved in no way. Over HTTP: mail.a.example leads to 192.0.2.80, which is not this server. By DNS: nobody here serves the zone that _acme-challenge.mail.a.example is in",
		"ru": "mail.a.example нельзя подтвердить ни одним способом. По HTTP: mail.a.example указывает на 192.0.2.80, а это не этот сервер. По DNS: зону, в которой находится _acme-challenge.mail.a.example, здесь никто не обслуживает",
	} {
		if got := sentence(lang, e, ""); got != want {
			t.Errorf("%s: %s\nwant %s", lang, got, want)
		}
	}
}
