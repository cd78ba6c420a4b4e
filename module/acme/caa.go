package acme

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maildomain/module/mail"
)

// A CAA is a record that names who may issue (RFC 8659 section 4).
type CAA struct {
	Flags uint8
	Tag   string
	Value string
}

// critical is the flag of a record that who does not understand it must obey by
// not issuing (RFC 8659 section 4.1).
const critical = 1 << 7

// A LookupCAA answers with the CAA records at a name, where CNAMEs of it lead; none
// where there are none or no such name. An error says that it is not known.
type LookupCAA func(ctx context.Context, name string) ([]CAA, error)

// An Issuing is what CAA records are asked to allow.
type Issuing struct {
	Identities []string // what the authority calls itself there: Terms' Identities
	Account    string   // address of the account (RFC 8657 section 3)
	Method     string   // "http-01" or "dns-01" (RFC 8657 section 4)
	Wildcard   bool     // for *.NAME
}

// CheckCAA finds out whether the DNS lets an authority issue for a name, as the
// authority itself will: nil if so, a *Problem of kind Forbidden if not, and of
// kind NotHere where the DNS does not say, for then the authority refuses too.
// Without identities nothing can be compared, and nothing is asked.
func CheckCAA(ctx context.Context, ask LookupCAA, n mail.Name, i Issuing) error {
	if len(i.Identities) == 0 {
		return nil
	}
	at, records, err := relevant(ctx, ask, n.String())
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &Problem{Kind: NotHere, Name: n, Text: "acme_caa_unknown", Args: map[string]string{"name": n.Unicode(), "at": at}, Cause: &failure{"look up CAA of " + at, err}}
	}
	if i.allowed(records) {
		return nil
	}
	return &Problem{Kind: Forbidden, Name: n, Text: "acme_caa", Args: map[string]string{"name": n.Unicode(), "at": at, "issuer": i.Identities[0]},
		Cause: fmt.Errorf("the CAA records at %s do not allow it", at)}
}

// relevant climbs to the nearest name that has CAA records (RFC 8659 section 3).
func relevant(ctx context.Context, ask LookupCAA, name string) (at string, records []CAA, err error) {
	for more := true; more; _, name, more = strings.Cut(name, ".") {
		if records, err = ask(ctx, name); err != nil || len(records) > 0 {
			return name, records, err
		}
	}
	return "", nil, nil
}

// allowed evaluates the records of one name (RFC 8659 section 4).
func (i Issuing) allowed(records []CAA) bool {
	var issue, issuewild []string
	for _, r := range records {
		switch tag := strings.ToLower(r.Tag); tag {
		case "issue":
			issue = append(issue, r.Value)
		case "issuewild":
			issuewild = append(issuewild, r.Value)
		default:
			known := []string{"iodef", "contactemail", "contactphone", "issuemail", "issuevmc"}
			if r.Flags&critical != 0 && !slices.Contains(known, tag) {
				return false
			}
		}
	}
	if i.Wildcard && len(issuewild) > 0 {
		issue = issuewild
	}
	return len(issue) == 0 || slices.ContainsFunc(issue, i.matches)
}

// matches reads "issuer; parameter=value; …". What cannot be read allows nobody.
func (i Issuing) matches(value string) bool {
	parts := strings.Split(value, ";")
	issuer := strings.ToLower(strings.Trim(parts[0], " \t"))
	if !slices.ContainsFunc(i.Identities, func(own string) bool { return strings.EqualFold(own, issuer) }) {
		return false
	}
	for _, p := range parts[1:] {
		if p = strings.Trim(p, " \t"); p == "" {
			continue
		}
		key, v, ok := strings.Cut(p, "=")
		key, v = strings.ToLower(strings.Trim(key, " \t")), strings.Trim(v, " \t")
		switch {
		case !ok:
			return false
		case key == "accounturi" && v != i.Account:
			return false
		case key == "validationmethods" && !slices.Contains(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }), i.Method):
			return false
		}
	}
	return true
}
