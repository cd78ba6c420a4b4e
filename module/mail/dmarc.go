package mail

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A DMARC policy, as it stands at _dmarc.DOMAIN (RFC 9989 section 4.7, before
// that RFC 7489 section 6.3).
type DMARC struct{ tags []tag }

// A dmarcTag is a tag that one of the two documents knows.
type dmarcTag struct {
	name    string
	absent  string // what counts where the tag is absent; "=p" is the value of p
	dropped bool   // RFC 9989 knows it no more
	words   string // the values that it takes, where they are a list
}

// dmarcTags is in the order in which String writes them.
var dmarcTags = []dmarcTag{
	{name: "p", absent: "none", words: "none quarantine reject"},
	{name: "sp", absent: "=p", words: "none quarantine reject"},
	{name: "np", absent: "=sp", words: "none quarantine reject"},
	{name: "adkim", absent: "r", words: "r s"},
	{name: "aspf", absent: "r", words: "r s"},
	{name: "rua"},
	{name: "ruf"},
	{name: "fo", absent: "0"},
	{name: "t", absent: "n", words: "y n"},
	{name: "psd", absent: "u", words: "y n u"},
	{name: "pct", absent: "100", dropped: true},
	{name: "rf", absent: "afrf", dropped: true},
	{name: "ri", absent: "86400", dropped: true},
}

func knownDMARC(name string) (dmarcTag, bool) {
	i := slices.IndexFunc(dmarcTags, func(t dmarcTag) bool { return t.name == name })
	if i < 0 {
		return dmarcTag{}, false
	}
	return dmarcTags[i], true
}

var errNoDMARC = errors.New("not a DMARC record: it does not begin with v=DMARC1")

// IsDMARC says that receivers take s for a DMARC record, be it right or wrong.
func IsDMARC(s string) bool {
	first, _, _ := strings.Cut(s, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.TrimRight(name, folding) == "v" && trimFWS(value) == "DMARC1"
}

// ParseDMARC reads the joined strings of a TXT record. v=DMARC1 comes first; the
// others in any order; unknown ones are kept and mean nothing. It is stricter
// than receivers are: a wrong value of a known tag is an error, and so is a
// record without p=, which RFC 7489 needs, unless it asks for reports.
func ParseDMARC(s string) (DMARC, error) {
	if !IsDMARC(s) {
		return DMARC{}, errNoDMARC
	}
	tags, err := parseTags(s)
	if err != nil {
		return DMARC{}, fmt.Errorf("read a DMARC record: %w", err)
	}
	var d DMARC
	for _, t := range tags[1:] {
		t.name = strings.ToLower(t.name)
		k, known := knownDMARC(t.name)
		if known {
			if t.value, err = k.normal(t.value); err != nil {
				return DMARC{}, fmt.Errorf("read a DMARC record: %s=: %w", t.name, err)
			}
		}
		if d.has(t.name) {
			return DMARC{}, fmt.Errorf("read a DMARC record: the tag %s= stands twice", t.name)
		}
		d.tags = append(d.tags, t)
	}
	if !d.has("p") && !d.has("rua") {
		return DMARC{}, errors.New("read a DMARC record: there is no p=")
	}
	return d, nil
}

// normal is the value in the one spelling that equal values share.
func (k dmarcTag) normal(v string) (string, error) {
	switch k.name {
	case "rua", "ruf":
		return dmarcURIs(v)
	case "fo", "rf":
		l := colonList(strings.ToLower(v))
		slices.Sort(l)
		return strings.Join(slices.Compact(l), ":"), nil
	case "pct", "ri":
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || k.name == "pct" && n > 100 {
			return "", errors.New("not a number that it takes")
		}
		return strconv.FormatUint(n, 10), nil
	}
	v = strings.ToLower(v)
	if !slices.Contains(strings.Fields(k.words), v) {
		return "", fmt.Errorf("none of %s", k.words)
	}
	return v, nil
}

// dmarcURIs holds a list of report addresses against RFC 7489 section 6.4.
func dmarcURIs(v string) (string, error) {
	l := strings.Split(v, ",")
	for i := range l {
		l[i] = trimFWS(l[i])
		scheme, rest, ok := strings.Cut(l[i], ":")
		if !ok || rest == "" || !tagName(scheme) || strings.ContainsAny(rest, folding) {
			return "", errors.New("not a list of URIs")
		}
		l[i] = strings.ToLower(scheme) + ":" + rest
		if strings.EqualFold(scheme, "mailto") && !strings.Contains(rest, "@") {
			return "", errors.New("mailto: without an address")
		}
	}
	return strings.Join(l, ","), nil
}

func (d DMARC) has(name string) bool {
	return slices.ContainsFunc(d.tags, func(t tag) bool { return t.name == name })
}

// Tag is the value of a tag as it counts: what stands, or what its absence means.
func (d DMARC) Tag(name string) string {
	for _, t := range d.tags {
		if t.name == name {
			return t.value
		}
	}
	k, _ := knownDMARC(name)
	if other, same := strings.CutPrefix(k.absent, "="); same {
		return d.Tag(other)
	}
	return k.absent
}

// String is the record with its tags in the order of the table above, then those
// that are not in it.
func (d DMARC) String() string {
	s := "v=DMARC1"
	for _, k := range dmarcTags {
		if d.has(k.name) {
			s += "; " + k.name + "=" + d.Tag(k.name)
		}
	}
	for _, t := range d.tags {
		if _, known := knownDMARC(t.name); !known {
			s += "; " + t.name + "=" + t.value
		}
	}
	return s
}

// Dropped are the tags of d that RFC 9989 drops (pct, rf, ri): new receivers pay
// no heed to them.
func (d DMARC) Dropped() []string {
	var l []string
	for _, k := range dmarcTags {
		if k.dropped && d.has(k.name) {
			l = append(l, k.name)
		}
	}
	return l
}

// Differences are the tags that mean something else in e than in d, each as
// "p=none, not p=reject" with the value of e first; empty when both mean the same.
func (d DMARC) Differences(e DMARC) []string {
	var l []string
	for _, k := range dmarcTags {
		want, got := d.Tag(k.name), e.Tag(k.name)
		if k.name == "rua" || k.name == "ruf" {
			want, got = sortedList(want), sortedList(got)
		}
		if want != got {
			l = append(l, k.name+"="+got+", not "+k.name+"="+want)
		}
	}
	return l
}

func sortedList(s string) string {
	l := strings.Split(s, ",")
	slices.Sort(l)
	return strings.Join(slices.Compact(l), ",")
}

// DMARCName is where the policy of a domain stands.
func DMARCName(d Name) string { return "_dmarc." + d.ascii }

// DMARCTemplate fills a template with what stands for __domain__ and __email__
// in it, and reads what comes out.
func DMARCTemplate(template string, d Name, contact Address) (DMARC, error) {
	return ParseDMARC(strings.NewReplacer(
		"__domain__", d.ascii,
		"__email__", contact.String(),
	).Replace(template))
}
