package mail

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A ListedQuery asks for a page of a list of senders.
type ListedQuery struct {
	Scope  Scope
	List   List
	Domain *Name // of this domain only, zero: of the server; nil: of all
	Sort   string
	Desc   bool
	Limit  int // rows a page
	Offset int // rows before it

	Name string // only entries and domains that contain this; lower case
}

// A ListedEdit is what a caller wants of an entry. A nil field means: leave as it is.
type ListedEdit struct {
	Domain string  `form:"domainname"` // empty: the server
	Sender *string `form:"sender"`     // of new ones several, with blanks or commas between
	Note   *string `form:"note"`
}

// mostSenders is how many entries one call may make.
const mostSenders = 10_000

// Senders are those that e names, each once.
func (e ListedEdit) Senders() ([]Sender, error) {
	if e.Sender == nil {
		return nil, wrong("sender", "", "value_sender_required")
	}
	words := strings.FieldsFunc(*e.Sender, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
	switch {
	case len(words) == 0:
		return nil, wrong("sender", "", "value_sender_required")
	case len(words) > mostSenders:
		return nil, wrong("sender", "", "value_sender_many")
	}
	var all []Sender
	seen := map[Sender]bool{}
	for _, w := range words {
		s, ok := ParseSender(w)
		if !ok {
			return nil, wrong("sender", w, "value_sender")
		}
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return all, nil
}

// Apply checks e and changes l by it.
func (e ListedEdit) Apply(l *Listed) error {
	if e.Note == nil {
		return nil
	}
	n := strings.TrimSpace(*e.Note)
	if utf8.RuneCountInString(n) > mostNote || !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl) {
		return wrong("note", n, "value_note")
	}
	l.Note = n
	return nil
}

// ID names an entry among those of all domains: "example.com|sender", of the server's
// the sender alone.
func (l Listed) ID() string {
	if l.Domain.IsZero() {
		return l.Sender.String()
	}
	return l.Domain.String() + "|" + l.Sender.String()
}

// ParseListedID reads what ID wrote.
func ParseListedID(s string) (Name, Sender, bool) {
	domain, sender, is := strings.Cut(s, "|")
	if !is {
		domain, sender = "", s
	}
	var n Name
	if is {
		var err error
		if n, err = ParseName(domain); err != nil {
			return Name{}, Sender{}, false
		}
	}
	e, ok := ParseSender(sender)
	return n, e, ok
}

// Values are the entry by the names of the form's parameters.
func (l Listed) Values() map[string]string {
	return map[string]string{
		"sender": l.Sender.String(), "kind": l.Sender.Kind(), "domainname": l.Domain.String(), "list": string(l.List),
		"note": l.Note, "created": l.Created.UTC().Format(time.RFC3339),
	}
}
