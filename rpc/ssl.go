package rpc

import (
	"slices"
	"time"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// sslEndsSoon is how long before its end a certificate is shown as ending. One that is
// renewed in time never is, unless it was made for less.
const sslEndsSoon = 14 * 24 * time.Hour

// sslState is how a certificate that ends then stands.
func sslState(expire, now time.Time) string {
	switch left := expire.Sub(now); {
	case left <= 0:
		return "expired"
	case left < sslEndsSoon:
		return "ending"
	}
	return "valid"
}

// notSecured are the fields of a domain's certificate that are not to be shown with
// these values.
func notSecured(v map[string]string, may bool) []string {
	switch {
	case !may:
		return []string{"secure", "secure_alias", "ssl_name", "ssl_challenge", "email"}
	case v["secure"] != "on":
		return []string{"secure_alias", "ssl_name", "ssl_challenge", "email"}
	case v["ssl_name"] != string(mail.LetsEncrypt):
		return []string{"ssl_challenge", "email"}
	}
	return nil
}

// sources are the choices of where a certificate comes from: besides the two of our
// own those that the owner has in the panel, and the present one, which the panel may
// have no longer.
func sources(lang string, owners []string, present string) []wire.Option {
	os := options(lang, "emaildomain.edit", "ssl_name", string(mail.SelfSigned), string(mail.LetsEncrypt))
	if present != "" && !slices.Contains(owners, present) {
		owners = append(slices.Clone(owners), present)
	}
	for _, name := range owners {
		if name != string(mail.SelfSigned) && name != string(mail.LetsEncrypt) {
			os = append(os, wire.Option{Key: name, Label: name})
		}
	}
	return os
}

// challenges are the choices of how names are proved.
func challenges(lang, form, field string) (os []wire.Option) {
	for _, c := range mail.Challenges {
		os = append(os, options(lang, form, field, string(c))...)
	}
	return os
}
