package mail

import (
	"net/netip"
	"strconv"
	"time"
)

// A Domain receives mail for everything after the @.
type Domain struct {
	Name      Name
	Owner     string     // the panel user that it belongs to
	Active    bool       // false: senders are told to try again later
	IP        netip.Addr // that its mail leaves from; invalid: the server chooses
	Defaction DefaultAction
	Redirval  Target // where Defaction forwards to; zero for the others

	Greylist     bool
	Spamassassin bool
	Avcheck      bool

	DKIM         bool
	DKIMSelector Selector
	DKIMKeylen   int  // bits of the RSA key: 1024 or 2048
	DKIMEd25519  bool // a second signature beside RSA's
	DMARC        bool

	Secure       bool
	SecureAlias  []Name    // host names in the certificate
	SSLName      SSLName   // where the certificate comes from
	SSLChallenge Challenge // how the certificate authority is shown that the names are the domain's
	Email        Address   // contact for the certificate authority

	SendAny  bool  // a mailbox may send as any address of the domain, not its own alone
	MailRate int64 // letters an hour that a login may send, by the owner's plan; negative: no limit

	// What the database counts. An edit does not change it.
	Mailboxes int64
	Quota     int64     // MB that the mailboxes may hold together
	Used      int64     // bytes that they hold
	SSLExpire time.Time // of the certificate that is served; zero: none
	Note      string    // names what needs attention; empty: nothing does

	Created time.Time
	Changed time.Time
}

// NewDomain is a domain with every setting at its default.
func NewDomain(n Name, owner string) Domain {
	alias := Name{"mail." + n.ascii}
	if len(alias.ascii) > 253 {
		alias = n
	}
	return Domain{
		Name:         n,
		Owner:        owner,
		Active:       true,
		Defaction:    Refuse,
		MailRate:     -1,
		DKIMSelector: Selector{"dkim"},
		DKIMKeylen:   2048,
		SecureAlias:  []Name{alias},
		SSLName:      SelfSigned,
		SSLChallenge: ChallengeAuto,
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

// UseAnyIP leaves the choice of the outgoing address to the server.
func (d *Domain) UseAnyIP() { d.IP = netip.Addr{} }

// A SourceIP is the outgoing address of one domain that has its own.
type SourceIP struct {
	Name Name
	IP   netip.Addr
}

// Values are the domain's settings by the names of the form's parameters.
func (d Domain) Values() map[string]string {
	v := map[string]string{
		"name":          d.Name.String(),
		"name_idn":      d.Name.Unicode(),
		"owner":         d.Owner,
		"active":        Flag(d.Active),
		"ipsrc":         "auto",
		"ip":            d.OutgoingIP(),
		"defaction":     string(d.Defaction),
		"redirval":      d.Redirval.String(),
		"greylist":      Flag(d.Greylist),
		"spamassassin":  Flag(d.Spamassassin),
		"avcheck":       Flag(d.Avcheck),
		"dkim":          Flag(d.DKIM),
		"dkim_selector": d.DKIMSelector.String(),
		"dkim_keylen":   strconv.Itoa(d.DKIMKeylen),
		"dkim_ed25519":  Flag(d.DKIMEd25519),
		"dmarc":         Flag(d.DMARC),
		"secure":        Flag(d.Secure),
		"secure_alias":  JoinNames(d.SecureAlias),
		"ssl_name":      string(d.SSLName),
		"ssl_challenge": string(d.SSLChallenge),
		"email":         d.Email.String(),
		"sendany":       Flag(d.SendAny),
	}
	if d.MailRate >= 0 {
		v["mailrate"] = strconv.FormatInt(d.MailRate, 10)
	}
	if d.IP.IsValid() {
		v["ipsrc"] = "manual"
	}
	return v
}

// Flag is the panel's word for b.
func Flag(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
