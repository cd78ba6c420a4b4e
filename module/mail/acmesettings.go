package mail

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// LetsEncryptDirectory is where Let's Encrypt answers.
const LetsEncryptDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// ACMESettings say who is asked for certificates and how names are proved to be
// ours. Every order agrees to the authority's terms.
type ACMESettings struct {
	Directory string    // address of the authority's directory (RFC 8555 section 7.1.1)
	Contact   Address   // of the account; zero: of the first domain that orders
	EABKid    string    // name of the key that ties the account to a customer (section 7.3.4); empty: nothing does
	EABKey    string    // that key, base64url without padding; never shown
	Challenge Challenge // for domains that leave the choice
	Webroot   string    // directory that a web server answers challenges from; empty: the panel does
}

func defaultACMESettings() ACMESettings {
	return ACMESettings{Directory: LetsEncryptDirectory, Challenge: ChallengeAuto}
}

// values are the settings by the names of the form's parameters, without the secret.
func (s ACMESettings) values() map[string]string {
	return map[string]string{
		"acme_directory": s.Directory, "acme_contact": s.Contact.String(), "acme_eab_kid": s.EABKid,
		"acme_challenge": string(s.Challenge), "acme_webroot": s.Webroot,
	}
}

func (e SettingsEdit) applyACME(s *Settings) error {
	if e.ACMEDirectory != nil {
		switch d := strings.TrimSpace(*e.ACMEDirectory); {
		case d == "":
			s.ACME.Directory = LetsEncryptDirectory
		case directory(d):
			s.ACME.Directory = d
		default:
			return wrong("acme_directory", d, "value_acme_directory")
		}
	}
	if e.ACMEContact != nil {
		s.ACME.Contact = Address{}
		if c := strings.TrimSpace(*e.ACMEContact); c != "" {
			a, err := ParseAddress(c)
			if err != nil {
				return wrong("acme_contact", c, "value_email")
			}
			s.ACME.Contact = a
		}
	}
	if err := e.applyEAB(&s.ACME); err != nil {
		return err
	}
	if e.ACMEChallenge != nil {
		c := Challenge(*e.ACMEChallenge)
		if !slices.Contains(Challenges, c) {
			return wrong("acme_challenge", *e.ACMEChallenge, "value_ssl_challenge")
		}
		s.ACME.Challenge = c
	}
	if e.ACMEWebroot != nil {
		w := *e.ACMEWebroot
		if w != "" && (!path.IsAbs(w) || path.Clean(w) != w || w == "/" || !printable(w) || len(w) > 1024) {
			return wrong("acme_webroot", w, "value_acme_webroot")
		}
		s.ACME.Webroot = w
	}
	return nil
}

// applyEAB changes what ties the account to a customer: a name and its key. A name
// that changes needs its key with it; without a name there is no key.
func (e SettingsEdit) applyEAB(s *ACMESettings) error {
	if e.ACMEEABKid != nil {
		kid := strings.TrimSpace(*e.ACMEEABKid)
		if !printable(kid) || strings.Contains(kid, " ") || len(kid) > 256 {
			return wrong("acme_eab_kid", kid, "value_acme_eab_kid")
		}
		if kid != s.EABKid {
			s.EABKid, s.EABKey = kid, ""
		}
	}
	if e.ACMEEABKey != nil && *e.ACMEEABKey != "" && s.EABKid != "" {
		key := strings.TrimRight(strings.TrimSpace(*e.ACMEEABKey), "=")
		if b, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(b) == 0 || len(key) > 1024 {
			return wrong("acme_eab_key", "", "value_acme_eab_key")
		}
		s.EABKey = key
	}
	if s.EABKid != "" && s.EABKey == "" {
		return wrong("acme_eab_key", "", "value_acme_eab_key")
	}
	return nil
}

// directory says that s is the address of a directory, which is over TLS always (RFC
// 8555 section 6.1).
func directory(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !printable(s) || strings.ContainsAny(s, " #") || len(s) > 1024 || u.User != nil || u.Opaque != "" {
		return false
	}
	host := u.Hostname()
	a, err := netip.ParseAddr(host)
	if err != nil && !dnsName(host) || a.Zone() != "" {
		return false
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Host != strings.TrimSuffix(u.Host, ":") || u.Port() != "" && (err != nil || port == 0) {
		return false
	}
	return u.Scheme == "https"
}

// printable says that s is ASCII without control characters.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
