package mail

import "golang.org/x/net/publicsuffix"

// Registered is the name that was registered for n to be there: the label below a
// public suffix, which authorities count certificates by; n itself where there is none.
func (n Name) Registered() Name {
	d, err := publicsuffix.EffectiveTLDPlusOne(n.ascii)
	if err != nil {
		return n
	}
	return Name{d}
}
