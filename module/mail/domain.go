package mail

import (
	"net/netip"
	"time"
)

// A Domain receives mail for everything after the @.
type Domain struct {
	Name      Name
	Owner     string // the panel user that it belongs to
	Active    bool   // false: senders are told to try again later
	IP        netip.Addr
	Defaction DefaultAction
	Redirval  Target // where Defaction forwards to; zero for the others

	Greylist     bool
	Spamassassin bool
	Avcheck      bool

	DKIM         bool
	DKIMSelector Selector
	DKIMKeylen   int // bits of the RSA key: 1024 or 2048
	DMARC        bool

	Secure      bool
	SecureAlias []Name  // host names in the certificate
	SSLName     SSLName // where the certificate comes from
	Email       Address // contact for the certificate authority

	Created time.Time
	Changed time.Time
}

// NewDomain is a domain with every setting at its default.
func NewDomain(n Name, owner string) Domain {
	return Domain{
		Name:         n,
		Owner:        owner,
		Active:       true,
		Defaction:    Refuse,
		DKIMSelector: Selector{"dkim"},
		DKIMKeylen:   2048,
		SecureAlias:  []Name{{"mail." + n.ascii}},
		SSLName:      SelfSigned,
		Email:        Address{LocalPart{"admin"}, n},
	}
}

// OutgoingIP is the address that mail of the domain leaves from; empty: the server chooses.
func (d Domain) OutgoingIP() string {
	if !d.IP.IsValid() {
		return ""
	}
	return d.IP.String()
}
