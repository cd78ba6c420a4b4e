package files

import (
	"math/bits"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// The narrowest network around an address is found, in as few look-ups as there are
// halvings of the lengths.
func TestNetworkKeysLeadToTheNarrowest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		six := rapid.Bool().Draw(t, "IPv6")
		lengths := []int{8, 9, 12, 16, 17, 23, 24, 28, 31, 32}
		if six {
			lengths = []int{16, 20, 28, 32, 36, 48, 60, 64, 128}
		}
		lengths = rapid.SliceOfNDistinct(rapid.SampledFrom(lengths), 1, -1, rapid.ID[int]).Draw(t, "lengths")
		addr := func(label string) netip.Addr { // few bits differ, so that networks lie in each other
			b := [16]byte{0x20, 1}
			for i := range b {
				b[i] |= rapid.SampledFrom([]byte{0, 0, 0, 1, 0x80, 0x10}).Draw(t, label)
			}
			if six {
				return netip.AddrFrom16(b)
			}
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		says := map[netip.Prefix]string{}
		for range rapid.IntRange(1, 20).Draw(t, "networks") {
			p := netip.PrefixFrom(addr("network"), rapid.SampledFrom(lengths).Draw(t, "length")).Masked()
			says[p] = rapid.SampledFrom([]string{"w", "b"}).Draw(t, "list")
		}
		used := map[int]bool{}
		var networks []network
		for p, list := range says {
			used[p.Bits()] = true
			networks = append(networks, network{Prefix: p, says: list})
		}
		found, levels := networkKeys(networks)
		keys := map[netip.Prefix]string{}
		for _, k := range found {
			if _, twice := keys[k.Prefix]; twice {
				t.Fatalf("%v has two keys", k.Prefix)
			}
			keys[k.Prefix] = k.value
		}
		for range 10 {
			a, want, narrowest := addr("client"), "", -1
			for p, list := range says {
				if p.Contains(a) && p.Bits() > narrowest {
					want, narrowest = list, p.Bits()
				}
			}
			got, lookups := narrowestOf(t, keys, levels, a)
			if got != want || lookups > bits.Len(uint(len(used))) {
				t.Fatalf("%v is in a /%d: %q after %d look-ups, want %q, of %v: %v, %s", a, narrowest, got, lookups, want, says, keys, levels)
			}
		}
	})
}

// narrowestOf goes through keys and levels as Exim does.
func narrowestOf(t *rapid.T, keys map[netip.Prefix]string, levels string, a netip.Addr) (says string, lookups int) {
	steps := strings.Split(levels, ";")
	next, _, _ := strings.Cut(steps[0], "=")
	for _, step := range steps {
		if next == "" {
			break
		}
		p, err := netip.ParsePrefix(a.String() + next)
		if err != nil {
			t.Fatal(err)
		}
		lookups++
		if value, is := keys[p.Masked()]; is {
			next, says, _ = strings.Cut(value, ":")
			continue
		}
		shorter := ""
		for word := range strings.FieldsSeq(step) {
			if from, to, _ := strings.Cut(word, "="); from == next {
				shorter = to
			}
		}
		next = shorter
	}
	if next != "" {
		t.Fatalf("after %q there is a %q", levels, next)
	}
	return says, lookups
}

// A long list of networks of every length is made in a moment: each change of it makes
// the whole of it.
func BenchmarkListOfNetworks(b *testing.B) {
	var listed []mail.Listed
	for i := range 50_000 {
		a := netip.AddrFrom4([4]byte{byte(10 + i%90), byte(i >> 8), byte(i), byte(i * 7)})
		s, ok := mail.ParseSender(netip.PrefixFrom(a, 8+i%25).Masked().String())
		if !ok {
			b.Fatal(a)
		}
		listed = append(listed, mail.Listed{List: mail.Black, Sender: s})
	}
	var f File
	for b.Loop() {
		f = Debian.ListFile(mail.Name{}, listed)
	}
	b.ReportMetric(float64(len(f.Body)), "bytes")
}
