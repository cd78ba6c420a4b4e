package mail

import "strconv"

// Settings are what an administrator changes of the module at run time (mailparam).
type Settings struct {
	KeepDeleted  int      // days that what was deleted can be brought back; 0: not at all
	DKIMSelector Selector // of a new domain's key
	DKIMKeylen   int      // bits of a new domain's key
	MailHost     string   // name of the mail server; empty: as the panel has it
}

// mostKept is the longest that what was deleted is kept, in days.
const mostKept = 365

// DefaultSettings are those of a module that nobody has changed.
func DefaultSettings() Settings {
	return Settings{KeepDeleted: 7, DKIMSelector: Selector{"dkim"}, DKIMKeylen: 2048}
}

// Values are the settings by the names of the form's parameters.
func (s Settings) Values() map[string]string {
	return map[string]string{
		"keep_deleted":  strconv.Itoa(s.KeepDeleted),
		"dkim_selector": s.DKIMSelector.String(),
		"dkim_keylen":   strconv.Itoa(s.DKIMKeylen),
		"mail_host":     s.MailHost,
	}
}

// A SettingsEdit is what a caller wants of the settings. A nil field means: leave
// as it is.
type SettingsEdit struct {
	KeepDeleted  *string `form:"keep_deleted"`
	DKIMSelector *string `form:"dkim_selector"`
	DKIMKeylen   *string `form:"dkim_keylen"`
	MailHost     *string `form:"mail_host"`
}

// SettingsEditOf is the edit that makes settings what their Values said.
func SettingsEditOf(values map[string]string) (e SettingsEdit) {
	for name, to := range map[string]**string{
		"keep_deleted": &e.KeepDeleted, "dkim_selector": &e.DKIMSelector, "dkim_keylen": &e.DKIMKeylen, "mail_host": &e.MailHost,
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
	if e.KeepDeleted != nil {
		n, err := strconv.Atoi(*e.KeepDeleted)
		if err != nil || n < 0 || n > mostKept {
			return wrong("keep_deleted", *e.KeepDeleted, "value_keep_deleted", "most", strconv.Itoa(mostKept))
		}
		s.KeepDeleted = n
	}
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
	return nil
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
