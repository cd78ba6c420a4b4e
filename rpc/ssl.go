package rpc

import (
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// challenges are the choices of how names are proved.
func challenges(lang, form, field string) (os []wire.Option) {
	for _, c := range mail.Challenges {
		os = append(os, options(lang, form, field, string(c))...)
	}
	return os
}
