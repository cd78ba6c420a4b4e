package mail

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestScopesReachTheirOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "ab", "b.a", "c"}), rapid.ID[string]).Draw(t, "owners")
		slices.Sort(owners)
		who := rapid.SampledFrom([]string{"", "a", "b", "ab", "b.a", "c", "d"}).Draw(t, "who")
		if got := (Scope{Owners: owners}).Has(who); got != slices.Contains(owners, who) {
			t.Errorf("scope %q has %q: %v", owners, who, got)
		}
		if !(Scope{All: true}).Has(who) {
			t.Errorf("the scope of all has not %q", who)
		}
	})
}

func TestUnknownLevelsReachNothing(t *testing.T) {
	ordered := []Level{LevelUser, LevelReseller, LevelAdmin}
	for i, l := range ordered {
		for j, m := range ordered {
			if l.AtLeast(m) != (i >= j) {
				t.Errorf("%s at least %s: %v", l, m, l.AtLeast(m))
			}
		}
	}
	for _, l := range []Level{"", "root", "Admin", "admin "} {
		if l.Known() || l.AtLeast(LevelUser) || l.AtLeast(l) {
			t.Errorf("level %q is known", l)
		}
	}
}

func TestLimitsOfAPlan(t *testing.T) {
	u := User{Limits: map[string]int64{"emaildomains": 3, "ssl": 0, "emails": -1}}
	for _, c := range []struct {
		name    string
		n       int64
		limited bool
	}{{"emaildomains", 3, true}, {"ssl", 0, true}, {"emails", -1, false}, {"quota", 0, false}} {
		if n, limited := u.Limit(c.name); limited != c.limited || limited && n != c.n {
			t.Errorf("limit %s: %d, %v", c.name, n, limited)
		}
	}
	for ssl, may := range map[int64]bool{-1: true, 0: false, 1: true} {
		if got := (User{Limits: map[string]int64{"ssl": ssl}}).MaySSL(); got != may {
			t.Errorf("with ssl=%d: %v", ssl, got)
		}
	}
	if !(User{}).MaySSL() {
		t.Error("without a limit there is no SSL")
	}
}
