package mail

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Evidence is what a comparison needs that the record itself does not hold.
type Evidence struct {
	SPF   map[netip.Addr]SPFOutcome // how the policy that was found answers for each of our addresses
	Hosts map[string]State          // MX hosts: Right leads to this server, Wrong leads elsewhere or nowhere
}

// Compare holds what DNS has at r's name, of r's type, against r: by what it
// means, not by how it is written. What others have there beside ours is right
// as long as it does no harm.
func (r Record) Compare(found []string, e Evidence) Verdict {
	switch r.Why {
	case ForMX:
		return r.compareMX(found, e)
	case ForSPF:
		return r.compareSPF(found, e)
	case ForDKIM:
		return r.compareDKIM(found)
	case ForDMARC:
		return r.compareDMARC(found)
	case ForHost:
		return r.compareHost(found)
	case ForReports:
		return r.compareReports(found)
	}
	for _, v := range r.Values {
		if !slices.ContainsFunc(found, func(f string) bool { return sameValue(r.Type, v, f) }) {
			return r.missing()
		}
	}
	return right()
}

func (r Record) missing() Verdict {
	return Say(Wrong, CheckMissing, "name", r.Name, "type", string(r.Type), "value", r.value())
}

// value is the whole of r for a sentence.
func (r Record) value() string { return strings.Join(r.Values, ", ") }

func sameValue(t RecordType, a, b string) bool {
	x, err := NormalValue(t, a)
	y, err2 := NormalValue(t, b)
	return err == nil && err2 == nil && x == y
}

// compareMX: no other host may stand before ours or beside it; hosts after it
// keep mail for us while we are away.
func (r Record) compareMX(found []string, e Evidence) Verdict {
	if len(found) == 0 {
		return r.missing()
	}
	_, want, err := SplitMX(r.value())
	if err != nil {
		return r.missing()
	}
	ours, others, other := -1, -1, ""
	for _, f := range found {
		pref, host, err := SplitMX(f)
		switch {
		case err != nil:
		case host == ".":
			return Say(Wrong, CheckMXNull, "value", r.value())
		case host == want && e.Hosts[want] != Wrong || e.Hosts[host] == Right:
			if ours < 0 || pref < ours {
				ours = pref
			}
		case others < 0 || pref < others:
			others, other = pref, host
		}
	}
	switch {
	case ours < 0 && others < 0:
		return r.missing()
	case other == want && (ours < 0 || others <= ours):
		return Say(Wrong, CheckMXUnresolved, "host", want)
	case ours < 0, others >= 0 && others <= ours:
		return Say(Wrong, CheckMXElsewhere, "host", other, "value", r.value())
	}
	return right()
}

// compareSPF: one policy, that lets all of our addresses pass, however it says so.
func (r Record) compareSPF(found []string, e Evidence) Verdict {
	want, err := ParseSPF(r.value())
	if err != nil {
		return Say(Unknown, CheckSPFUnasked, "error", err.Error())
	}
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !IsSPF(s) })
	if len(found) == 0 {
		return r.missing()
	}
	var theirs []SPF
	var broken error
	for _, f := range found {
		p, err := ParseSPF(f)
		if err != nil {
			broken = err
			continue
		}
		theirs = append(theirs, p)
	}
	merged := want
	if len(theirs) > 0 {
		merged = want.Merge(theirs...)
	}
	switch {
	case len(found) > 1:
		return Say(Wrong, CheckSPFSeveral, "count", strconv.Itoa(len(found)), "value", merged.String())
	case broken != nil:
		return Say(Wrong, CheckSPFBroken, "error", broken.Error(), "value", merged.String())
	case theirs[0].Equal(want):
		return right()
	}
	return spfEvidence(want, merged, e)
}

func spfEvidence(want, merged SPF, e Evidence) Verdict {
	verdict := right()
	for _, ip := range want.addresses() {
		o, asked := e.SPF[ip]
		switch {
		case o.Result == SPFPass:
		case !asked || o.Result == SPFTempError:
			why := "not evaluated"
			if o.Err != nil {
				why = o.Err.Error()
			}
			verdict = Say(Unknown, CheckSPFUnasked, "error", why)
		case o.Result == SPFPermError:
			return Say(Wrong, CheckSPFBroken, "error", o.Err.Error(), "value", merged.String())
		default:
			return Say(Wrong, CheckSPFDenies, "ip", ip.String(), "result", string(o.Result), "value", merged.String())
		}
	}
	return verdict
}

// addresses are those that a policy names one by one.
func (p SPF) addresses() []netip.Addr {
	var as []netip.Addr
	for _, m := range p.Mechanisms {
		if m.Network.IsValid() && m.Network.IsSingleIP() {
			as = append(as, m.Network.Addr())
		}
	}
	return as
}

// compareDKIM: one record, with our key, that nothing keeps from being used.
func (r Record) compareDKIM(found []string) Verdict {
	value := r.value()
	switch {
	case len(found) == 0:
		return r.missing()
	case len(found) > 1:
		return Say(Wrong, CheckDKIMSeveral, "name", r.Name, "value", value)
	}
	want, err := ParseDKIMRecord(value)
	if err != nil {
		return Say(Unknown, CheckUnasked, "error", err.Error())
	}
	got, err := ParseDKIMRecord(found[0])
	switch {
	case err != nil:
		return Say(Wrong, CheckDKIMBroken, "name", r.Name, "error", err.Error(), "value", value)
	case got.Revoked():
		return Say(Wrong, CheckDKIMRevoked, "name", r.Name, "value", value)
	case !got.SameKey(want):
		return Say(Wrong, CheckDKIMOther, "name", r.Name, "value", value)
	case !got.Takes():
		return Say(Wrong, CheckDKIMNarrow, "name", r.Name, "value", value)
	case got.Testing && !want.Testing:
		return Say(Wrong, CheckDKIMTesting, "name", r.Name, "value", value)
	}
	return right()
}

// compareDMARC: one policy, that means what ours means. How strict another one is, is
// for its owner to say: what is proposed asks for our reports, and leaves that.
func (r Record) compareDMARC(found []string) Verdict {
	value := r.value()
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !IsDMARC(s) })
	switch {
	case len(found) == 0:
		return r.missing()
	case len(found) > 1:
		return Say(Wrong, CheckDMARCSeveral, "name", r.Name, "value", value)
	}
	want, err := ParseDMARC(value)
	if err != nil {
		return Say(Unknown, CheckUnasked, "error", err.Error())
	}
	got, err := ParseDMARC(found[0])
	if err != nil {
		return Say(Wrong, CheckDMARCBroken, "name", r.Name, "error", err.Error(), "value", value)
	}
	if diff := want.Differences(got); len(diff) > 0 {
		return Say(Wrong, CheckDMARCDiffers, "name", r.Name, "differences", strings.Join(diff, "; "), "value", want.withReports(got).String())
	}
	return right()
}

// compareHost: each address is one of ours; ours need not all stand there.
func (r Record) compareHost(found []string) Verdict {
	if len(found) == 0 {
		return r.missing()
	}
	for _, f := range found {
		if !slices.ContainsFunc(r.Values, func(v string) bool { return sameValue(r.Type, v, f) }) {
			return Say(Wrong, CheckHostOther, "name", r.Name, "found", f, "value", r.value())
		}
	}
	return right()
}
