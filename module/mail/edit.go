package mail

import (
	"net/netip"
	"slices"
	"strings"
)

// A DomainEdit is what a caller wants of a domain. A nil field means: leave as
// it is, or the default of a new domain.
type DomainEdit struct {
	Name         string  `form:"name"`
	Owner        *string `form:"owner"`
	IPSrc        *string `form:"ipsrc"`
	IP           *string `form:"ip"`
	Defaction    *string `form:"defaction"`
	Redirval     *string `form:"redirval"`
	Greylist     *bool   `form:"greylist"`
	Spamassassin *bool   `form:"spamassassin"`
	Avcheck      *bool   `form:"avcheck"`
	DKIM         *bool   `form:"dkim"`
	DKIMSelector *string `form:"dkim_selector"`
	DKIMKeylen   *string `form:"dkim_keylen"`
	DKIMEd25519  *bool   `form:"dkim_ed25519"`
	DMARC        *bool   `form:"dmarc"`
	Secure       *bool   `form:"secure"`
	SecureAlias  *string `form:"secure_alias"`
	SSLName      *string `form:"ssl_name"`
	SSLChallenge *string `form:"ssl_challenge"`
	Email        *string `form:"email"`
	SendAny      *bool   `form:"sendany"`

	Active *bool // suspend and resume are calls of their own; undo sets it
}

// EditOf is the edit that makes a domain what its Values said.
func EditOf(values map[string]string) DomainEdit {
	text := func(name string) *string {
		v, ok := values[name]
		if !ok {
			return nil
		}
		return &v
	}
	flag := func(name string) *bool {
		v, ok := values[name]
		on := v == "on"
		if !ok {
			return nil
		}
		return &on
	}
	return DomainEdit{
		Name: values["name"], Owner: text("owner"), IPSrc: text("ipsrc"), IP: text("ip"),
		Defaction: text("defaction"), Redirval: text("redirval"),
		Greylist: flag("greylist"), Spamassassin: flag("spamassassin"), Avcheck: flag("avcheck"),
		DKIM: flag("dkim"), DKIMSelector: text("dkim_selector"), DKIMKeylen: text("dkim_keylen"), DMARC: flag("dmarc"), DKIMEd25519: flag("dkim_ed25519"),
		Secure: flag("secure"), SecureAlias: text("secure_alias"), SSLName: text("ssl_name"), SSLChallenge: text("ssl_challenge"), Email: text("email"),
		SendAny: flag("sendany"), Active: flag("active"),
	}
}

// Facts are what an edit is checked against besides the domain itself.
type Facts struct {
	Owner  User  // as it will be after the edit
	Actor  Level // who edits
	Params Params
}

// Apply checks e and changes d by it. The first wrong field, in the order of the
// form, is the error, and d is then not to be used. Name and owner are set by
// the caller beforehand.
func (e DomainEdit) Apply(d *Domain, f Facts) error {
	for _, step := range []func(*Domain, Facts) error{
		e.applyIP, e.applyAction, e.applyFilters, e.applyDKIM, e.applySecure,
	} {
		if err := step(d, f); err != nil {
			return err
		}
	}
	return nil
}

func (e DomainEdit) applyIP(d *Domain, f Facts) error {
	src := "manual"
	switch {
	case e.IPSrc != nil && *e.IPSrc != "":
		src = *e.IPSrc
	case e.IP == nil || *e.IP == "" || *e.IP == "auto":
		if e.IP != nil {
			d.IP = netip.Addr{}
		}
		return nil
	}
	switch src {
	case "auto":
		d.IP = netip.Addr{}
		return nil
	case "manual":
	default:
		return wrong("ipsrc", src, "value_ipsrc")
	}
	if e.IP == nil && d.IP.IsValid() {
		return nil
	}
	if e.IP == nil || *e.IP == "" {
		return wrong("ip", "", "value_ip_required")
	}
	a, err := netip.ParseAddr(*e.IP)
	if err != nil || a.Zone() != "" {
		return wrong("ip", *e.IP, "value_ip")
	}
	a = a.Unmap()
	if a != d.IP && !f.Owner.HasIP(a) {
		return wrong("ip", *e.IP, "value_ip_foreign")
	}
	d.IP = a
	return nil
}

func (e DomainEdit) applyAction(d *Domain, _ Facts) error {
	before := d.Defaction
	if e.Defaction != nil {
		a, ok := parseAction(*e.Defaction)
		if !ok {
			return wrong("defaction", *e.Defaction, "value_defaction")
		}
		d.Defaction = a
	}
	if !d.Defaction.Forwards() {
		d.Redirval = Target{}
		return nil
	}
	if e.Redirval == nil {
		if d.Defaction == before && !d.Redirval.IsZero() {
			return nil
		}
		return wrong("redirval", "", "value_redirval_required")
	}
	if *e.Redirval == "" {
		return wrong("redirval", "", "value_redirval_required")
	}
	t, err := ParseTarget(d.Defaction, *e.Redirval)
	if err != nil {
		if d.Defaction == ForwardDomain {
			return wrong("redirval", *e.Redirval, "value_redirval_domain")
		}
		return wrong("redirval", *e.Redirval, "value_redirval_address")
	}
	if t.domain == d.Name {
		return wrong("redirval", *e.Redirval, "value_redirval_self")
	}
	d.Redirval = t
	return nil
}

func (e DomainEdit) applyFilters(d *Domain, _ Facts) error {
	setFlag(&d.Greylist, e.Greylist)
	setFlag(&d.Spamassassin, e.Spamassassin)
	setFlag(&d.Avcheck, e.Avcheck)
	setFlag(&d.SendAny, e.SendAny)
	setFlag(&d.Active, e.Active)
	return nil
}

func (e DomainEdit) applyDKIM(d *Domain, _ Facts) error {
	setFlag(&d.DKIM, e.DKIM)
	if e.DKIMSelector != nil && *e.DKIMSelector != "" {
		s, ok := ParseSelector(*e.DKIMSelector)
		if !ok {
			return wrong("dkim_selector", *e.DKIMSelector, "value_dkim_selector")
		}
		d.DKIMSelector = s
	}
	if record := d.base(DKIMEd25519) + "-20060102-9._domainkey." + d.Name.ascii; d.DKIM && len(record) > 253 {
		return wrong("dkim_selector", d.DKIMSelector.s, "value_dkim_selector")
	}
	if e.DKIMKeylen != nil && *e.DKIMKeylen != "" {
		n, ok := parseKeylen(*e.DKIMKeylen)
		if !ok {
			return wrong("dkim_keylen", *e.DKIMKeylen, "value_dkim_keylen")
		}
		d.DKIMKeylen = n
	}
	setFlag(&d.DKIMEd25519, e.DKIMEd25519)
	setFlag(&d.DMARC, e.DMARC)
	return nil
}

func (e DomainEdit) applySecure(d *Domain, f Facts) error {
	if e.Secure != nil {
		if *e.Secure && !d.Secure && !f.Owner.MaySSL() {
			return &Error{Kind: Limit, Field: "ssl", Text: "limit_ssl"}
		}
		d.Secure = *e.Secure
	}
	if e.SecureAlias != nil && strings.TrimSpace(*e.SecureAlias) != "" {
		ns, ok := parseAliases(*e.SecureAlias)
		if !ok {
			return wrong("secure_alias", *e.SecureAlias, "value_secure_alias")
		}
		for _, n := range ns {
			if !n.Within(d.Name) && f.Actor != LevelAdmin && !slices.Contains(d.SecureAlias, n) { // what the administrator allowed stays
				return wrong("secure_alias", n.String(), "value_secure_alias_outside", "domain", d.Name.Unicode())
			}
		}
		d.SecureAlias = ns
	}
	if e.SSLName != nil && *e.SSLName != "" {
		if !certificateName.MatchString(*e.SSLName) {
			return wrong("ssl_name", *e.SSLName, "value_ssl_name")
		}
		d.SSLName = SSLName(*e.SSLName)
	}
	if e.SSLChallenge != nil && *e.SSLChallenge != "" {
		if !slices.Contains(Challenges, Challenge(*e.SSLChallenge)) {
			return wrong("ssl_challenge", *e.SSLChallenge, "value_ssl_challenge")
		}
		d.SSLChallenge = Challenge(*e.SSLChallenge)
	}
	if e.Email != nil && *e.Email != "" {
		a, err := ParseAddress(*e.Email)
		if err != nil {
			return wrong("email", *e.Email, "value_email")
		}
		d.Email = a
	}
	return nil
}

func setFlag(to *bool, from *bool) {
	if from != nil {
		*to = *from
	}
}

// CheckNew holds the name of a new domain against what nobody may take.
// Whether the name is free is the database's to say.
func CheckNew(n Name, p Params) error {
	if n.IsPublicSuffix() {
		return wrong("name", n.String(), "value_name_suffix")
	}
	if host, err := ParseName(p.MailHost); err == nil && n == host {
		return wrong("name", n.String(), "value_name_host")
	}
	for _, s := range p.Forbidden {
		// Not ParseName: an entry may be a whole top-level domain, such as local.
		a, err := uts46.ToASCII(strings.Trim(s, ". "))
		if err == nil && n.Within(Name{a}) {
			return wrong("name", n.String(), "value_name_forbidden")
		}
	}
	return nil
}
