package mail

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A MailboxEdit is what a caller wants of a mailbox. A nil field means: leave as it
// is, or the default of a new mailbox.
type MailboxEdit struct {
	Name         string  `form:"name"`
	Domain       string  `form:"domainname"`
	Passwd       *string `form:"passwd"`
	Confirm      *string `form:"confirm"`
	MaxSize      *string `form:"maxsize"`
	Aliases      *string `form:"aliases"`
	Forward      *string `form:"forward"`
	DontSave     *bool   `form:"dontsave"`
	Greylist     *bool   `form:"greylist"`
	Spamassassin *bool   `form:"spamassassin"`
	Note         *string `form:"note"`

	Active *bool // suspend and resume are calls of their own
}

// Bounds of a mailbox's settings.
const (
	LeastPassword = 8
	mostPassword  = 128     // bytes
	mostSize      = 1 << 30 // MB
	mostNames     = 100     // aliases, or addresses to forward to
	mostNote      = 255     // characters
)

// ParseBoxName reads the name of a mailbox or an alias: a local part without a
// plus sign, for what follows one is the sender's, and none that looks like a
// rewritten sender (SRS).
func ParseBoxName(s string) (LocalPart, bool) {
	l, err := ParseLocalPart(s)
	if err != nil || strings.Contains(l.s, "+") {
		return LocalPart{}, false
	}
	for _, srs := range []string{"srs0", "srs1"} {
		if rest, is := strings.CutPrefix(l.s, srs); is && rest != "" && strings.Contains("=-", rest[:1]) {
			return LocalPart{}, false
		}
	}
	return l, true
}

// CheckPassword holds a new password to the rules; empty means that there is none.
func (e MailboxEdit) CheckPassword(isNew bool) error {
	switch none := e.Passwd == nil || *e.Passwd == ""; {
	case none && isNew:
		return wrong("passwd", "", "value_passwd_required")
	case none && (e.Confirm == nil || *e.Confirm == ""):
		return nil
	case none, e.Confirm != nil && *e.Confirm != *e.Passwd:
		return wrong("confirm", "", "value_confirm")
	case utf8.RuneCountInString(*e.Passwd) < LeastPassword:
		return wrong("passwd", "", "value_passwd_short", "least", strconv.Itoa(LeastPassword))
	case len(*e.Passwd) > mostPassword, !utf8.ValidString(*e.Passwd), strings.ContainsFunc(*e.Passwd, unicode.IsControl):
		return wrong("passwd", "", "value_passwd")
	}
	return nil
}

// Apply checks e and changes b by it, but for the password. The first wrong field,
// in the order of the form, is the error, and b is then not to be used. Name and
// domain are set by the caller beforehand.
func (e MailboxEdit) Apply(b *Mailbox) error {
	if e.MaxSize != nil {
		n, err := int64(0), error(nil)
		if *e.MaxSize != "" {
			n, err = strconv.ParseInt(*e.MaxSize, 10, 64)
		}
		if err != nil || n < 0 || n > mostSize {
			return wrong("maxsize", *e.MaxSize, "value_maxsize")
		}
		b.MaxSize = n
	}
	if e.Aliases != nil {
		as, err := parseBoxAliases(*e.Aliases, *b)
		if err != nil {
			return err
		}
		b.Aliases = as
		if e.Forward == nil { // the addresses that stand are not to become its own
			for _, a := range b.Forward {
				if b.is(a) {
					return wrong("aliases", a.Local.s, "value_aliases_forward")
				}
			}
		}
	}
	if e.Forward != nil {
		fs, err := parseForward(*e.Forward, *b)
		if err != nil {
			return err
		}
		b.Forward = fs
	}
	setFlag(&b.DontSave, e.DontSave)
	if b.DontSave && len(b.Forward) == 0 {
		if e.Forward != nil && e.DontSave == nil {
			b.DontSave = false // who takes the last address away wants the mail kept
		} else {
			return wrong("forward", "", "value_forward_required")
		}
	}
	setFlag(&b.Greylist, e.Greylist)
	setFlag(&b.Spamassassin, e.Spamassassin)
	if e.Note != nil {
		if utf8.RuneCountInString(*e.Note) > mostNote || !utf8.ValidString(*e.Note) || strings.ContainsFunc(*e.Note, unicode.IsControl) {
			return wrong("note", *e.Note, "value_note")
		}
		b.Note = strings.TrimSpace(*e.Note)
	}
	setFlag(&b.Active, e.Active)
	return nil
}

// words parts a list at blanks and commas.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// parseBoxAliases reads local parts, or addresses of the mailbox's own domain.
func parseBoxAliases(s string, b Mailbox) (as []LocalPart, err error) {
	for _, w := range words(s) {
		local, domain, at := strings.Cut(w, "@")
		if n, err := ParseName(domain); at && (err != nil || n != b.Domain) {
			return nil, wrong("aliases", w, "value_aliases_domain", "domain", b.Domain.Unicode())
		}
		l, ok := ParseBoxName(local)
		switch {
		case !ok:
			return nil, wrong("aliases", w, "value_aliases")
		case l == b.Name:
			return nil, wrong("aliases", w, "value_aliases_self")
		case !slices.Contains(as, l):
			as = append(as, l)
		}
	}
	if len(as) > mostNames {
		return nil, wrong("aliases", "", "value_many", "most", strconv.Itoa(mostNames))
	}
	slices.SortFunc(as, func(a, b LocalPart) int { return strings.Compare(a.s, b.s) })
	return as, nil
}

// is says that mail for a comes to the mailbox: what follows a plus sign is the
// sender's.
func (b Mailbox) is(a Address) bool {
	name, _, _ := strings.Cut(a.Local.s, "+")
	return a.Domain == b.Domain && (name == b.Name.s || slices.Contains(b.Aliases, LocalPart{name}))
}

// parseForward reads addresses that are not the mailbox's own.
func parseForward(s string, b Mailbox) (fs []Address, err error) {
	for _, w := range words(s) {
		a, err := ParseAddress(w)
		switch {
		case err != nil:
			return nil, wrong("forward", w, "value_forward")
		case b.is(a):
			return nil, wrong("forward", w, "value_forward_self")
		case !slices.Contains(fs, a):
			fs = append(fs, a)
		}
	}
	if len(fs) > mostNames {
		return nil, wrong("forward", "", "value_many", "most", strconv.Itoa(mostNames))
	}
	return fs, nil
}
