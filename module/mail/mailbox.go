package mail

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Mailbox keeps mail for one name of a domain, and for its aliases.
type Mailbox struct {
	Domain   Name
	Name     LocalPart
	Active   bool         // false: senders are told to try again later, and nobody logs in
	Password PasswordHash // what a login is checked against
	PasswdAt time.Time    // when it was set
	MaxSize  int64        // MB that it may hold; 0: no limit
	Aliases  []LocalPart  // other names of it in the same domain
	Forward  []Address    // that get every letter too
	DontSave bool         // forward only: nothing is kept here

	Greylist     bool // counts where the domain has it on
	Spamassassin bool // likewise

	Note string // the owner's own words

	Used    int64 // bytes, as Dovecot last counted
	Created time.Time
	Changed time.Time
}

// A PasswordHash is a password as Dovecot keeps it, {SCHEME}hash. It is never shown:
// who is to store it converts it to a string.
type PasswordHash string

const hiddenHash = "(a password)"

// String is what is shown instead.
func (PasswordHash) String() string { return hiddenHash }

// Format hides the hash from every verb of package fmt.
func (PasswordHash) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hiddenHash) }

// MarshalText hides it from JSON and XML.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte(hiddenHash), nil }

// Address is box@domain, which is also the login name.
func (b Mailbox) Address() Address { return Address{b.Name, b.Domain} }

// Values are the mailbox's settings by the names of the form's parameters; of the
// password only when it was set.
func (b Mailbox) Values() map[string]string {
	return map[string]string{
		"name":         b.Name.String(),
		"domainname":   b.Domain.String(),
		"active":       Flag(b.Active),
		"passwd_at":    b.PasswdAt.UTC().Format(time.RFC3339),
		"maxsize":      strconv.FormatInt(b.MaxSize, 10),
		"aliases":      joinLocalParts(b.Aliases),
		"forward":      JoinAddresses(b.Forward),
		"dontsave":     Flag(b.DontSave),
		"greylist":     Flag(b.Greylist),
		"spamassassin": Flag(b.Spamassassin),
		"note":         b.Note,
	}
}

func joinLocalParts(ls []LocalPart) string {
	s := make([]string, len(ls))
	for i, l := range ls {
		s[i] = l.s
	}
	return strings.Join(s, " ")
}

// JoinAliases is the aliases of b with a blank between, as forms and database have them.
func (b Mailbox) JoinAliases() string { return joinLocalParts(b.Aliases) }

// JoinAddresses is as with a blank between, as forms and database have them.
func JoinAddresses(as []Address) string {
	s := make([]string, len(as))
	for i, a := range as {
		s[i] = a.String()
	}
	return strings.Join(s, " ")
}

// StoredLocalPart is for the database, which holds only what ParseLocalPart gave.
func StoredLocalPart(s string) LocalPart { return LocalPart{s} }

// StoredAddress is for the database, which holds only what ParseAddress gave.
func StoredAddress(s string) Address {
	local, domain, _ := strings.Cut(s, "@")
	return Address{LocalPart{local}, Name{domain}}
}
