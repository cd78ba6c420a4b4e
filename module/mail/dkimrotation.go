package mail

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A KeyState is where a key stands in its life.
type KeyState string

// The states, in the order in which they follow each other.
const (
	KeyNew     KeyState = "new"     // its record is not seen in DNS everywhere yet
	KeySigning KeyState = "signing" // letters are signed with it
	KeyOld     KeyState = "old"     // letters signed with it may be under way still
)

// A SigningKey is a key of a domain. The zero SigningKey is none.
type SigningKey struct {
	Selector Selector
	Brought  Selector // of one that came with its selector: the domain's then; else zero
	Key      DKIMKey
	State    KeyState
	Since    time.Time // of the state
	Due      time.Time // when to look at it next
	Tries    int       // looks that changed nothing
}

// QueueLifetime is how long a letter may be under way: four days in our queue, and
// as many in somebody else's that looks at the signature when it takes it out.
const QueueLifetime = 8 * 24 * time.Hour

// wants says which keys a domain is to have: the algorithms, and the bits of RSA.
func (d Domain) wants(a DKIMAlgorithm) bool {
	return d.DKIM && (a == DKIMRSA || a == DKIMEd25519 && d.DKIMEd25519)
}

// NeedsKey says which key has to be made before d can be signed for as it is set:
// of which algorithm; false for none. Keys are those that the domain has.
func (d Domain) NeedsKey(a DKIMAlgorithm, keys []SigningKey) bool {
	return d.wants(a) && d.newest(a, keys) < 0
}

// newest is the key that d signs with, or is to sign with next, if that is as d is
// set; else -1.
func (d Domain) newest(a DKIMAlgorithm, keys []SigningKey) int {
	best := -1
	for i, k := range keys {
		if k.Key.Algorithm() != a || k.State == KeyOld || !d.fits(k) {
			continue
		}
		if best < 0 || k.State == KeyNew {
			best = i
		}
	}
	return best
}

// fits says that k has the selector and the length that d is set to.
func (d Domain) fits(k SigningKey) bool {
	a := k.Key.Algorithm()
	named := k.Selector.from(d.base(a)) || k.Brought != Selector{} && k.Brought == d.DKIMSelector
	return named && (a != DKIMRSA || k.Key.Bits() == d.DKIMKeylen)
}

// base is what the selectors of d's keys begin with.
func (d Domain) base(a DKIMAlgorithm) string {
	if a == DKIMEd25519 {
		return lengthen(d.DKIMSelector.s, "ed25519")
	}
	return d.DKIMSelector.s
}

// mostSuffix is the longest that is put behind a selector: the day and a number.
const mostSuffix = len("20060102-99999")

// lengthen puts suffix behind the last label of a selector; where that has no room
// (RFC 1035 section 2.3.4), suffix is a label of its own.
func lengthen(selector, suffix string) string {
	if last := selector[strings.LastIndexByte(selector, '.')+1:]; len(last)+1+mostSuffix > 63 {
		return selector + "." + suffix
	}
	return selector + "-" + suffix
}

// from says that s was made of base: itself, or with the day and a number.
func (s Selector) from(base string) bool {
	rest, ok := strings.CutPrefix(s.s, base)
	if !ok || rest == "" {
		return ok
	}
	rest = rest[1:]
	return s.s == lengthen(base, rest) && len(rest) >= 8 && strings.Trim(rest[:8], "0123456789") == ""
}

// freeSelector is a selector that no key of the domain has, and none of past: the base
// for the first key that is named by it, then the base with the day. The base of a key
// that just went is still remembered by resolvers.
func freeSelector(base string, keys []SigningKey, past []Selector, now time.Time) Selector {
	taken := map[string]bool{}
	take := func(s Selector) {
		taken[s.s] = true
		if s.from(base) {
			taken[base] = true
		}
	}
	for _, k := range keys {
		take(k.Selector)
	}
	for _, s := range past {
		take(s)
	}
	s, day := base, now.UTC().Format("20060102")
	for n := 0; taken[s]; n++ {
		if s = lengthen(base, day); n > 0 {
			s = lengthen(base, fmt.Sprintf("%s-%d", day, n))
		}
	}
	return Selector{s}
}

// Rotate adds a key to those of a domain. It takes the place of the one that signs
// once its record is seen. Past are selectors of keys that the domain had: whoever
// remembers their records would not take letters that another key signs.
func (d Domain) Rotate(keys []SigningKey, k DKIMKey, now time.Time, past ...Selector) []SigningKey {
	return d.add(keys, SigningKey{Selector: freeSelector(d.base(k.Algorithm()), keys, past, now), Key: k}, now)
}

// Bring is Rotate for a key with a selector of its own, under which its record may stand
// already. False where a key of the domain has that selector.
func (d Domain) Bring(keys []SigningKey, s Selector, k DKIMKey, now time.Time) ([]SigningKey, bool) {
	if slices.ContainsFunc(keys, func(o SigningKey) bool { return o.Selector == s }) {
		return nil, false
	}
	return d.add(keys, SigningKey{Selector: s, Brought: d.DKIMSelector, Key: k}, now), true
}

func (d Domain) add(keys []SigningKey, k SigningKey, now time.Time) []SigningKey {
	var kept []SigningKey
	for _, o := range keys {
		// One that never signed, and now never will: nobody waits for its record.
		if o.State != KeyNew || o.Key.Algorithm() != k.Key.Algorithm() {
			kept = append(kept, o)
		}
	}
	k.State, k.Since, k.Due = KeyNew, now, now
	return append(kept, k)
}

// Advance moves the keys of a domain on: seen says of each selector that its record
// stands on every authoritative server. A new key that is seen signs from now on,
// the one before it is old, and old ones go when no letter can be under way that
// they signed. What the domain does not want any more stops signing at once.
func (d Domain) Advance(keys []SigningKey, seen map[Selector]bool, now time.Time) []SigningKey {
	var after []SigningKey
	turned := map[DKIMAlgorithm]bool{}
	for _, k := range keys {
		if k.State == KeyNew && seen[k.Selector] && d.wants(k.Key.Algorithm()) && d.fits(k) {
			turned[k.Key.Algorithm()] = true
		}
	}
	for _, k := range keys {
		a := k.Key.Algorithm()
		switch {
		case k.State == KeyOld && !now.Before(k.Since.Add(QueueLifetime)):
			continue
		case k.State == KeyNew && (!d.wants(a) || !d.fits(k) && d.newest(a, keys) >= 0):
			continue // nothing was signed with it; Rotate ends one that another takes the place of
		case k.State == KeyNew && turned[a] && seen[k.Selector]:
			k.State, k.Since, k.Due, k.Tries = KeySigning, now, now.Add(lookedAtDaily), 0
		case k.State == KeySigning && (turned[a] || !d.wants(a)):
			k.State, k.Since, k.Due, k.Tries = KeyOld, now, now.Add(QueueLifetime), 0
		}
		after = append(after, k)
	}
	return after
}

const lookedAtDaily = 24 * time.Hour

// Unseen are keys whose records stood in DNS, and stand there no longer: none signs
// before its own is seen again.
func Unseen(keys []SigningKey, now time.Time) []SigningKey {
	after := slices.Clone(keys)
	for i := range after {
		if k := &after[i]; k.State == KeySigning {
			k.State, k.Since = KeyNew, now
		}
		if k := &after[i]; k.State == KeyNew {
			k.Due, k.Tries = now, 0
		}
	}
	// Of two of one algorithm the one that never signed gives way.
	return slices.DeleteFunc(after, func(k SigningKey) bool {
		return k.State == KeyNew && slices.ContainsFunc(keys, func(o SigningKey) bool {
			return o.State == KeySigning && o.Key.Algorithm() == k.Key.Algorithm() && o.Selector != k.Selector
		})
	})
}

// Delay is the time until something is tried again that did not succeed so many
// times: from ten seconds to an hour.
func Delay(tries int) time.Duration {
	d := 10 * time.Second << min(max(tries, 0), 9)
	return min(d, time.Hour)
}

// Publishes are the keys whose records are to stand: all of them.
func Publishes(keys []SigningKey) []PublishedKey {
	var ps []PublishedKey
	for _, k := range keys {
		ps = append(ps, PublishedKey{k.Selector, k.Key.Record()})
	}
	return ps
}
