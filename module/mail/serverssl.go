package mail

// GivenCertificate is the source of the mail server's own certificate where an
// administrator gave it.
const GivenCertificate SSLName = "given"

// ServerSSLNames are the sources of the mail server's own certificate.
var ServerSSLNames = []SSLName{SelfSigned, LetsEncrypt, GivenCertificate}

// A ServerSSLEdit is what an administrator wants of the certificate that is served
// where no other one fits.
type ServerSSLEdit struct {
	SSLName     *string `form:"ssl_name"`    // one of ServerSSLNames; nil: as it is
	Certificate *string `form:"certificate"` // PEM, with GivenCertificate
	Key         *string `form:"key"`         // PEM; never shown
	Renew       bool    // a new one at once, from the same source
}
