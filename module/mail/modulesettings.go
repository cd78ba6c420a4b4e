package mail

import (
	"encoding/base64"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Settings are what an administrator changes of the module at run time (mailparam).
type Settings struct {
	KeepDeleted  int      // days that what was deleted can be brought back; 0: not at all
	DKIMSelector Selector // of a new domain's key
	DKIMKeylen   int      // bits of a new domain's key
	MailHost     string   // name of the mail server; empty: as the panel has it
	DMARC        string   // template of a domain's DMARC record; empty: as the panel has it
	DKIMRotate   int      // days that a key signs before the next one takes its place; 0: until somebody says so

	DNS          DNSMode
	DNSServer    string // host or host:port of the server that takes changes, with DNSByServer
	DNSKey       string // name of the TSIG key; empty: none
	DNSAlgorithm string // of the TSIG key
	DNSSecret    string // base64; never shown
	Resolvers    string // addresses that checks ask, a blank between; empty: those of the system

	Filters FilterSettings
	ACME    ACMESettings
}

// A DNSMode says who gets the records of mail domains.
type DNSMode string

// The modes.
const (
	DNSByCore   DNSMode = "core"   // the panel core
	DNSByServer DNSMode = "server" // an authoritative server (RFC 2136)
	DNSByHand   DNSMode = "none"   // nobody: people enter them
)

// mostKept is the longest that what was deleted is kept, in days.
const mostKept = 365

// DefaultSettings are those of a module that nobody has changed.
func DefaultSettings() Settings {
	return Settings{KeepDeleted: 7, DKIMSelector: Selector{"dkim"}, DKIMKeylen: 2048, DNS: DNSByCore, DNSAlgorithm: "hmac-sha256",
		Filters: defaultFilterSettings(), ACME: defaultACMESettings()}
}

// Values are the settings by the names of the form's parameters, without the secrets.
func (s Settings) Values() map[string]string {
	v := map[string]string{
		"keep_deleted":  strconv.Itoa(s.KeepDeleted),
		"dkim_selector": s.DKIMSelector.String(),
		"dkim_keylen":   strconv.Itoa(s.DKIMKeylen),
		"mail_host":     s.MailHost,

		"dmarc_template": s.DMARC,
		"dkim_rotate":    strconv.Itoa(s.DKIMRotate),
		"dns":            string(s.DNS),
		"dns_server":     s.DNSServer,
		"dns_key":        s.DNSKey,
		"dns_algorithm":  s.DNSAlgorithm,
		"resolvers":      s.Resolvers,
	}
	maps.Copy(v, s.Filters.values())
	maps.Copy(v, s.ACME.values())
	return v
}

// Secrets are the settings that nobody is shown, by the names of the form's
// parameters; empty: there is none.
func (s Settings) Secrets() map[string]string {
	return map[string]string{"dns_secret": s.DNSSecret, "acme_eab_key": s.ACME.EABKey}
}

// A SettingsEdit is what a caller wants of the settings. A nil field means: leave
// as it is.
type SettingsEdit struct {
	KeepDeleted   *string `form:"keep_deleted"`
	DKIMSelector  *string `form:"dkim_selector"`
	DKIMKeylen    *string `form:"dkim_keylen"`
	DKIMRotate    *string `form:"dkim_rotate"`
	MailHost      *string `form:"mail_host"`
	DMARCTemplate *string `form:"dmarc_template"`
	DNS           *string `form:"dns"`
	DNSServer     *string `form:"dns_server"`
	DNSKey        *string `form:"dns_key"`
	DNSAlgorithm  *string `form:"dns_algorithm"`
	DNSSecret     *string `form:"dns_secret"`   // empty: leave as it is
	DNSWithdraw   *string `form:"dns_withdraw"` // on: what was left standing is withdrawn, now; it is no setting
	Resolvers     *string `form:"resolvers"`
	Postgrey      *string `form:"postgrey"`
	Spamd         *string `form:"spamd"`
	Clamd         *string `form:"clamd"`
	SpamMark      *string `form:"spam_mark"`
	SpamReject    *string `form:"spam_reject"`
	SpamDown      *string `form:"spam_down"`
	VirusDown     *string `form:"virus_down"`
	ACMEDirectory *string `form:"acme_directory"` // empty: Let's Encrypt's
	ACMEContact   *string `form:"acme_contact"`
	ACMEEABKid    *string `form:"acme_eab_kid"` // empty: no key either
	ACMEEABKey    *string `form:"acme_eab_key"` // empty: leave as it is
	ACMEChallenge *string `form:"acme_challenge"`
	ACMEWebroot   *string `form:"acme_webroot"`
}

// SettingsEditOf is the edit that makes settings what their Values said.
func SettingsEditOf(values map[string]string) (e SettingsEdit) {
	for name, to := range map[string]**string{
		"keep_deleted": &e.KeepDeleted, "dkim_selector": &e.DKIMSelector, "dkim_keylen": &e.DKIMKeylen, "dkim_rotate": &e.DKIMRotate,
		"mail_host": &e.MailHost, "dmarc_template": &e.DMARCTemplate, "dns": &e.DNS, "dns_server": &e.DNSServer, "dns_key": &e.DNSKey,
		"dns_algorithm": &e.DNSAlgorithm, "dns_secret": &e.DNSSecret, "dns_withdraw": &e.DNSWithdraw, "resolvers": &e.Resolvers,
		"postgrey": &e.Postgrey, "spamd": &e.Spamd, "clamd": &e.Clamd,
		"spam_mark": &e.SpamMark, "spam_reject": &e.SpamReject, "spam_down": &e.SpamDown, "virus_down": &e.VirusDown,
		"acme_directory": &e.ACMEDirectory, "acme_contact": &e.ACMEContact, "acme_eab_kid": &e.ACMEEABKid, "acme_eab_key": &e.ACMEEABKey,
		"acme_challenge": &e.ACMEChallenge, "acme_webroot": &e.ACMEWebroot,
	} {
		if v, ok := values[name]; ok {
			*to = &v
		}
	}
	return e
}

// Apply checks e and changes s by it. The first wrong field is the error, and s is
// then not to be used.
func (e SettingsEdit) Apply(s *Settings) error {
	for _, step := range []func(*Settings) error{e.applyKept, e.applyKeys, e.applyHost, e.applyDNS, e.applyFilters, e.applyACME} {
		if err := step(s); err != nil {
			return err
		}
	}
	return nil
}

func (e SettingsEdit) applyKept(s *Settings) error {
	return days(&s.KeepDeleted, e.KeepDeleted, "keep_deleted", mostKept)
}

// mostRotate is the longest between two keys, in days.
const mostRotate = 3650

func (e SettingsEdit) applyKeys(s *Settings) error {
	if e.DKIMSelector != nil {
		sel, ok := ParseSelector(*e.DKIMSelector)
		if !ok {
			return wrong("dkim_selector", *e.DKIMSelector, "value_dkim_selector")
		}
		s.DKIMSelector = sel
	}
	if e.DKIMKeylen != nil {
		n, ok := parseKeylen(*e.DKIMKeylen)
		if !ok {
			return wrong("dkim_keylen", *e.DKIMKeylen, "value_dkim_keylen")
		}
		s.DKIMKeylen = n
	}
	return days(&s.DKIMRotate, e.DKIMRotate, "dkim_rotate", mostRotate)
}

func days(to *int, from *string, field string, most int) error {
	if from == nil {
		return nil
	}
	n, err := strconv.Atoi(*from)
	if err != nil || n < 0 || n > most {
		return wrong(field, *from, "value_days", "most", strconv.Itoa(most))
	}
	*to = n
	return nil
}

func (e SettingsEdit) applyHost(s *Settings) error {
	if e.MailHost != nil {
		s.MailHost = ""
		if *e.MailHost != "" {
			n, err := ParseName(*e.MailHost)
			if err != nil {
				return wrong("mail_host", *e.MailHost, "value_mail_host")
			}
			s.MailHost = n.String()
		}
	}
	if e.DMARCTemplate != nil {
		t := strings.TrimSpace(*e.DMARCTemplate)
		if t != "" {
			n := Name{"example.com"}
			if _, err := DMARCTemplate(t, n, Address{LocalPart{"admin"}, n}); err != nil {
				return wrong("dmarc_template", t, "value_dmarc_template")
			}
		}
		s.DMARC = t
	}
	return nil
}

func (e SettingsEdit) applyDNS(s *Settings) error {
	if e.DNS != nil {
		switch m := DNSMode(*e.DNS); m {
		case DNSByCore, DNSByServer, DNSByHand:
			s.DNS = m
		default:
			return wrong("dns", *e.DNS, "value_dns")
		}
	}
	if e.DNSServer != nil {
		if *e.DNSServer != "" && !server(*e.DNSServer) {
			return wrong("dns_server", *e.DNSServer, "value_dns_server")
		}
		s.DNSServer = *e.DNSServer
	}
	if s.DNS == DNSByServer && s.DNSServer == "" {
		return wrong("dns_server", "", "value_dns_server")
	}
	if e.DNSKey != nil {
		if k := strings.TrimSuffix(*e.DNSKey, "."); k != "" && !dnsName(k) {
			return wrong("dns_key", *e.DNSKey, "value_dns_key")
		}
		s.DNSKey = *e.DNSKey
	}
	if e.DNSAlgorithm != nil {
		switch *e.DNSAlgorithm {
		case "hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224":
			s.DNSAlgorithm = *e.DNSAlgorithm
		default:
			return wrong("dns_algorithm", *e.DNSAlgorithm, "value_dns_algorithm")
		}
	}
	if e.DNSSecret != nil && *e.DNSSecret != "" {
		if b, err := base64.StdEncoding.DecodeString(*e.DNSSecret); err != nil || len(b) == 0 {
			return wrong("dns_secret", "", "value_dns_secret")
		}
		s.DNSSecret = *e.DNSSecret
	}
	if e.DNSWithdraw != nil && *e.DNSWithdraw != Flag(true) && *e.DNSWithdraw != Flag(false) {
		return wrong("dns_withdraw", *e.DNSWithdraw, "value_flag")
	}
	if e.Resolvers != nil {
		for r := range strings.FieldsSeq(*e.Resolvers) {
			if _, err := netip.ParseAddrPort(r); err == nil {
				continue
			}
			if _, err := netip.ParseAddr(r); err != nil {
				return wrong("resolvers", r, "value_resolvers")
			}
		}
		s.Resolvers = strings.Join(strings.Fields(*e.Resolvers), " ")
	}
	return nil
}

// server says that s is a host or an address, with a port or without.
func server(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		s = host
	}
	_, err := netip.ParseAddr(s)
	return err == nil || dnsName(s)
}

// parseKeylen reads the length of an RSA key, bits.
func parseKeylen(s string) (int, bool) {
	switch s {
	case "1024":
		return 1024, true
	case "2048":
		return 2048, true
	}
	return 0, false
}
