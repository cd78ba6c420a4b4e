package mail

import (
	"cmp"
	"slices"
	"time"
)

// A ServedCertificate is a certificate with the names for which servers show it.
type ServedCertificate struct {
	Certificate
	Names   []Name
	Vouched bool // by somebody else than the server itself
}

// Covering is the certificate that can be used again for names: it covers them
// all, somebody vouches for it, and it lasts beyond until. Of several it is the
// one that lasts longest. What cannot be read covers nothing.
func Covering(cs []Certificate, names []Name, until time.Time) (Certificate, bool) {
	var best Certificate
	for _, c := range cs {
		chain, err := ParseChain(c.Chain)
		if err != nil || chain.SelfSigned || !chain.CoversAll(names) || !chain.NotAfter.After(until) {
			continue
		}
		if best.Name == "" || chain.NotAfter.After(best.Expire) || chain.NotAfter.Equal(best.Expire) && c.Name < best.Name {
			best = c
			best.Expire = chain.NotAfter
		}
	}
	return best, best.Name != ""
}

// ServeOnce gives each name to one certificate, for servers know a name once: of
// several that ask for it, to one that somebody vouches for, then to the one that
// lasts longest, then to the first by name. Names and certificates come sorted, so that equal sets render equally; a
// certificate without a name is left out.
func ServeOnce(cs []ServedCertificate) []ServedCertificate {
	winner := map[Name]int{}
	for i, c := range cs {
		for _, n := range c.Names {
			if j, taken := winner[n]; !taken || better(c, cs[j]) {
				winner[n] = i
			}
		}
	}
	names := make([][]Name, len(cs))
	for n, i := range winner {
		names[i] = append(names[i], n)
	}
	var once []ServedCertificate
	for i, c := range cs {
		if len(names[i]) == 0 {
			continue
		}
		slices.SortFunc(names[i], func(a, b Name) int { return cmp.Compare(a.String(), b.String()) })
		once = append(once, ServedCertificate{c.Certificate, names[i], c.Vouched})
	}
	slices.SortFunc(once, func(a, b ServedCertificate) int { return cmp.Compare(a.Name, b.Name) })
	return once
}

func better(a, b ServedCertificate) bool {
	if a.Vouched != b.Vouched {
		return a.Vouched
	}
	if !a.Expire.Equal(b.Expire) {
		return a.Expire.After(b.Expire)
	}
	return a.Name < b.Name
}
