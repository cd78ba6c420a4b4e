package mail

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Keys to turn over in tests: making one takes long.
var ring = func() map[string][]DKIMKey {
	r := map[string][]DKIMKey{}
	for range 2 {
		for _, bits := range []int{1024, 2048} {
			k, err := NewRSAKey(bits)
			if err != nil {
				panic(err)
			}
			r[fmt.Sprint(bits)] = append(r[fmt.Sprint(bits)], k)
		}
		k, err := NewEd25519Key()
		if err != nil {
			panic(err)
		}
		r["ed"] = append(r["ed"], k)
	}
	return r
}()

func signingDomain(selector string, keylen int, ed bool) Domain {
	n, err := ParseName("example.com")
	if err != nil {
		panic(err)
	}
	d := NewDomain(n, "user")
	d.DKIM, d.DKIMSelector, d.DKIMKeylen, d.DKIMEd25519 = true, Selector{selector}, keylen, ed
	return d
}

// asSet gives d the keys that it needs, as a change of its settings does.
func asSet(d Domain, keys []SigningKey, seen map[Selector]bool, now time.Time) []SigningKey {
	keys = d.Advance(keys, seen, now)
	for _, a := range []DKIMAlgorithm{DKIMRSA, DKIMEd25519} {
		if d.NeedsKey(a, keys) {
			keys = d.Rotate(keys, keyFor(d, a), now)
		}
	}
	return keys
}

func keyFor(d Domain, a DKIMAlgorithm) DKIMKey {
	if a == DKIMEd25519 {
		return ring["ed"][0]
	}
	return ring[fmt.Sprint(d.DKIMKeylen)][0]
}

func said(keys []SigningKey) string {
	var s []string
	for _, k := range keys {
		s = append(s, fmt.Sprintf("%s %s %s", k.Selector, k.Key, k.State))
	}
	return strings.Join(s, ", ")
}

func TestKeysFollowSettingsAndDNS(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration
		set   func(*Domain) // change of settings; nil: none
		turn  bool          // a person asks for a new RSA key
		seen  string        // selectors that stand in DNS by now
		want  string
	}
	length := func(n int) func(*Domain) { return func(d *Domain) { d.DKIMKeylen = n } }
	selector := func(s string) func(*Domain) { return func(d *Domain) { d.DKIMSelector = Selector{s} } }
	dkim := func(on bool) func(*Domain) { return func(d *Domain) { d.DKIM = on } }
	ed := func(on bool) func(*Domain) { return func(d *Domain) { d.DKIMEd25519 = on } }
	life := QueueLifetime
	for name, c := range map[string][]step{
		"first key": {
			{want: "dkim rsa 2048 new"},
			{after: time.Minute, want: "dkim rsa 2048 new"},
			{after: time.Minute, seen: "dkim", want: "dkim rsa 2048 signing"},
			{after: 100 * 24 * time.Hour, want: "dkim rsa 2048 signing"},
		},
		"rotation": {
			{seen: "dkim"}, {seen: "dkim", want: "dkim rsa 2048 signing"},
			{turn: true, want: "dkim rsa 2048 signing, dkim-20261122 rsa 2048 new"},
			{seen: "dkim", want: "dkim rsa 2048 signing, dkim-20261122 rsa 2048 new"},
			{seen: "dkim dkim-20261122", want: "dkim rsa 2048 old, dkim-20261122 rsa 2048 signing"},
			{after: life - time.Second, want: "dkim rsa 2048 old, dkim-20261122 rsa 2048 signing"},
			{after: time.Second, want: "dkim-20261122 rsa 2048 signing"},
			{turn: true, want: "dkim-20261122 rsa 2048 signing, dkim-20261130 rsa 2048 new"},
		},
		"impatience": {
			{seen: "dkim"}, {seen: "dkim"},
			{turn: true, want: "dkim rsa 2048 signing, dkim-20261122 rsa 2048 new"},
			{turn: true, want: "dkim rsa 2048 signing, dkim-20261122-1 rsa 2048 new"},
		},
		"another length": {
			{seen: "dkim"}, {seen: "dkim"},
			{set: length(1024), want: "dkim rsa 2048 signing, dkim-20261122 rsa 1024 new"},
			{seen: "dkim-20261122", want: "dkim rsa 2048 old, dkim-20261122 rsa 1024 signing"},
		},
		"another selector": {
			{seen: "dkim"}, {seen: "dkim"},
			{set: selector("mail"), want: "dkim rsa 2048 signing, mail rsa 2048 new"},
			{seen: "mail", want: "dkim rsa 2048 old, mail rsa 2048 signing"},
		},
		"there and back": {
			{seen: "dkim"}, {seen: "dkim"},
			{set: selector("mail"), want: "dkim rsa 2048 signing, mail rsa 2048 new"},
			{set: selector("dkim"), want: "dkim rsa 2048 signing"},
			{seen: "mail", want: "dkim rsa 2048 signing"},
			{set: length(1024), seen: "dkim", want: "dkim rsa 2048 signing, dkim-20261122 rsa 1024 new"},
			{set: length(2048), seen: "dkim-20261122", want: "dkim rsa 2048 signing"},
		},
		"off and on": {
			{seen: "dkim"}, {seen: "dkim"},
			{set: dkim(false), want: "dkim rsa 2048 old"},
			{set: dkim(true), want: "dkim rsa 2048 old, dkim-20261122 rsa 2048 new"},
			{set: dkim(false), want: "dkim rsa 2048 old"},
			{after: life, want: ""},
			{seen: "dkim-20261122", want: ""},
		},
		"both algorithms": {
			{set: ed(true), want: "dkim rsa 2048 new, dkim-ed25519 ed25519 256 new"},
			{seen: "dkim-ed25519", want: "dkim rsa 2048 new, dkim-ed25519 ed25519 256 signing"},
			{seen: "dkim dkim-ed25519", want: "dkim rsa 2048 signing, dkim-ed25519 ed25519 256 signing"},
			{set: ed(false), want: "dkim rsa 2048 signing, dkim-ed25519 ed25519 256 old"},
			{set: ed(true), want: "dkim rsa 2048 signing, dkim-ed25519 ed25519 256 old, dkim-ed25519-20261122 ed25519 256 new"},
			{set: ed(false), want: "dkim rsa 2048 signing, dkim-ed25519 ed25519 256 old"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, now := signingDomain("dkim", 2048, false), start
			var keys []SigningKey
			for i, s := range c {
				now = now.Add(s.after)
				if s.set != nil {
					s.set(&d)
				}
				seen := map[Selector]bool{}
				for f := range strings.FieldsSeq(s.seen) {
					seen[Selector{f}] = true
				}
				keys = asSet(d, keys, seen, now)
				if s.turn {
					keys = d.Rotate(keys, ring["2048"][1], now)
				}
				if got := said(keys); s.want != "" && got != s.want {
					t.Fatalf("step %d: %s, want %s", i, got, s.want)
				}
			}
		})
	}
}

// A selector may have labels of 63 bytes, and what is put behind it finds its place.
func TestLongSelectorsCanBeTurnedOver(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, s := range []string{strings.Repeat("a", 63), strings.Repeat("a", 49), strings.Repeat("a", 48), "x." + strings.Repeat("b", 56), strings.Repeat("c", 63) + ".d"} {
		if _, ok := ParseSelector(s); !ok {
			t.Fatal(s)
		}
		d := signingDomain(s, 1024, true)
		keys := asSet(d, nil, nil, now)
		for range 3 {
			seen := map[Selector]bool{}
			for _, k := range keys {
				seen[k.Selector] = true
				if _, ok := ParseSelector(k.Selector.s); !ok || !dnsName(DKIMName(k.Selector, d.Name)) {
					t.Errorf("%q is no selector", k.Selector)
				}
			}
			keys = asSet(d, keys, seen, now)
			if d.NeedsKey(DKIMRSA, keys) || d.NeedsKey(DKIMEd25519, keys) {
				t.Errorf("%s: a key is not known again: %s", s, said(keys))
			}
			keys = d.Rotate(d.Rotate(keys, ring["1024"][1], now), ring["ed"][1], now)
		}
	}
}

func TestRestoredKeysWaitForTheirRecords(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d := signingDomain("dkim", 1024, true)
	keys := asSet(d, nil, nil, now)
	keys = d.Advance(keys, map[Selector]bool{{"dkim"}: true}, now)
	keys = d.Rotate(keys, ring["1024"][1], now)
	later := now.Add(24 * time.Hour)
	back := Unseen(keys, later)
	if got := said(back); got != "dkim rsa 1024 new, dkim-ed25519 ed25519 256 new" {
		t.Error(got)
	}
	for _, k := range back {
		if k.Due != later {
			t.Errorf("%s is looked at %s", k.Selector, k.Due)
		}
	}
	if keys[0].State != KeySigning && keys[1].State != KeySigning {
		t.Error("what it was given is changed")
	}
}

// Whatever people and name servers do, in whatever order.
func TestNoKeySignsUnseenAndNoRecordGoesEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, now := signingDomain("dkim", 2048, false), time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
		var keys []SigningKey
		signed := map[Selector]time.Time{}  // when a key signed last
		public := map[Selector]DKIMRecord{} // whose each selector is, while it is known; names that were seen are not for others
		wasSeen := map[Selector]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 24 * time.Hour, QueueLifetime}).Draw(t, "passes"))
			before := slices.Clone(keys)
			seen := map[Selector]bool{}
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				d.DKIM = !d.DKIM
			case 1:
				d.DKIMEd25519 = !d.DKIMEd25519
			case 2:
				d.DKIMKeylen = rapid.SampledFrom([]int{1024, 2048}).Draw(t, "bits")
			case 3:
				d.DKIMSelector = Selector{rapid.SampledFrom([]string{"dkim", "mail", "dkim-ed25519", "a.b"}).Draw(t, "selector")}
			case 4:
				if d.DKIM {
					keys = d.Rotate(keys, rapid.SampledFrom(ring[fmt.Sprint(d.DKIMKeylen)]).Draw(t, "key"), now)
				}
			default:
				for _, k := range keys {
					if rapid.Bool().Draw(t, "seen") {
						seen[k.Selector], wasSeen[k.Selector] = true, true
					}
				}
			}
			keys = asSet(d, keys, seen, now)

			signs, next, names := map[DKIMAlgorithm]int{}, map[DKIMAlgorithm]int{}, map[Selector]bool{}
			for _, k := range keys {
				if names[k.Selector] {
					t.Fatalf("two keys have the selector %s: %s", k.Selector, said(keys))
				}
				names[k.Selector] = true
				if r, known := public[k.Selector]; known && wasSeen[k.Selector] && now.Sub(signed[k.Selector]) < QueueLifetime && r.String() != k.Key.Record().String() {
					t.Fatalf("%s was another key's", k.Selector)
				}
				switch k.State {
				case KeySigning:
					signs[k.Key.Algorithm()]++
					signed[k.Selector] = now
					if !wasSeen[k.Selector] {
						t.Fatalf("%s signs before it was seen", k.Selector)
					}
					if !d.wants(k.Key.Algorithm()) {
						t.Fatalf("%s signs though it is switched off", k.Selector)
					}
				case KeyNew:
					next[k.Key.Algorithm()]++
				}
			}
			for a, n := range signs {
				if n > 1 || next[a] > 1 {
					t.Fatalf("%d keys of %s sign, %d wait: %s", n, a, next[a], said(keys))
				}
			}
			for _, k := range before {
				if last, did := signed[k.Selector]; !names[k.Selector] && did && now.Sub(last) < QueueLifetime {
					t.Fatalf("the record of %s goes %s after it signed", k.Selector, now.Sub(last))
				}
				if k.State == KeySigning && d.wants(k.Key.Algorithm()) && signs[k.Key.Algorithm()] == 0 {
					t.Fatalf("nothing signs any more: %s, before %s", said(keys), said(before))
				}
			}
			public = map[Selector]DKIMRecord{}
			for _, k := range keys {
				public[k.Selector] = k.Key.Record()
			}
			for s := range wasSeen {
				if !names[s] {
					delete(wasSeen, s)
					delete(signed, s)
				}
			}
		}
	})
}
