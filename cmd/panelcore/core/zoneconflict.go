package core

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kinds of TXT of which a name has one, whoever wrote it.
var (
	spf   = regexp.MustCompile(`(?i)^v=spf1( |$)`)                       // RFC 7208 sections 3.2 and 4.5
	dmarc = regexp.MustCompile(`^[ \t]*v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)`) // RFC 7489 sections 6.3 and 6.6.3
)

// soleKind returns what r is of which its name may have one: SPF, DMARC, DKIM, CNAME,
// or nothing. A selector has one text, whatever it says (RFC 6376 section 3.6.2.2).
func (r record) soleKind() string {
	switch {
	case r.typ == "CNAME":
		return "CNAME"
	case r.typ == "TXT" && strings.Contains(r.name, "._domainkey."):
		return "DKIM"
	case r.typ == "TXT" && spf.MatchString(r.value):
		return "SPF"
	case r.typ == "TXT" && strings.HasPrefix(r.name, "_dmarc.") && dmarc.MatchString(r.value):
		return "DMARC"
	}
	return ""
}

// conflicting returns the values of others at a name and type that set, a module's
// records there, does not get along with; mine is what stands of the module's.
//
// Of some kinds there may be one. Another address leads half of all programs elsewhere.
// Another MX is in the way while none of ours stands, for ours would take the domain's
// mail over or divide it; afterwards the first may not be another's.
func conflicting(set, mine, others []record) (values []string) {
	first, stands := math.MaxInt, len(mine) > 0
	hosts := map[string]bool{}
	for _, r := range set {
		preference, host := r.exchanger()
		first, hosts[host] = min(first, preference), true
	}
	for _, o := range others {
		_, host := o.exchanger()
		stands = stands || hosts[host]
	}
	for _, o := range others {
		preference, host := o.exchanger()
		if slices.ContainsFunc(set, func(r record) bool {
			switch {
			case r.soleKind() != "":
				return r.soleKind() == o.soleKind()
			case o.typ == "MX":
				return !hosts[host] && (!stands || preference <= first)
			}
			return o.typ == "A" || o.typ == "AAAA"
		}) && !slices.ContainsFunc(set, func(r record) bool { return r.value == o.value }) {
			values = append(values, o.value)
		}
	}
	return values
}

// exchanger returns the preference and the host of an MX.
func (r record) exchanger() (preference int, host string) {
	if r.typ != "MX" {
		return 0, ""
	}
	number, host, _ := strings.Cut(r.value, " ")
	preference, _ = strconv.Atoi(number) // parsed before
	return preference, host
}

// kind is what a person calls r by.
func (r record) kind() string { return cmp.Or(r.soleKind(), r.typ) }
