package mail

import (
	"net/netip"
	"slices"
	"strings"
)

// Beside says how r gets along with values that are not ours at its name and type:
// Right, one of them means the same and r need not be added; Wrong, r among them
// would do harm, and the verdict says what is to be done; Unknown, r may be added,
// they are no business of r's. Stands says that a value of ours is there already.
//
// A second SPF, DMARC or DKIM record makes receivers heed none. A second address
// leads half of all programs elsewhere. An MX in front of another's takes the
// domain's mail over; beside one of the same or a better preference it divides the
// mail, or gets none of it, also where it was there first.
func (r Record) Beside(others []string, stands bool) Verdict {
	free := Verdict{State: Unknown}
	switch r.Why {
	case ForSPF:
		others = slices.DeleteFunc(slices.Clone(others), func(s string) bool { return !IsSPF(s) })
	case ForDMARC:
		others = slices.DeleteFunc(slices.Clone(others), func(s string) bool { return !IsDMARC(s) })
	case ForDKIM:
	case ForMX:
		found := slices.Clone(others)
		if stands {
			found = append(found, r.Values...)
		}
		if v := r.Compare(found, Evidence{}); len(others) > 0 && v.State == Wrong {
			return v
		}
		return free
	case ForHost:
		if v := r.Compare(append(slices.Clone(others), r.Values...), Evidence{}); v.State == Wrong {
			return v
		}
		return free
	default:
		return free
	}
	if len(others) == 0 {
		return free
	}
	v := r.Compare(others, Evidence{})
	if v.State == Unknown { // another SPF, that nobody evaluated
		return r.besidePolicy(others[0], v)
	}
	return v
}

// besidePolicy proposes a merge with the one policy that stands there.
func (r Record) besidePolicy(other string, v Verdict) Verdict {
	theirs, err := ParseSPF(other)
	ours, err2 := ParseSPF(r.value())
	if err != nil || err2 != nil {
		return v
	}
	return Say(Wrong, CheckSPFDenies, "ip", joinAddrs(ours.addresses()), "result", "unknown", "value", ours.Merge(theirs).String())
}

func joinAddrs(as []netip.Addr) string {
	s := make([]string, len(as))
	for i, a := range as {
		s[i] = a.String()
	}
	return strings.Join(s, ", ")
}
