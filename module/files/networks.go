package files

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// networkKeys are the keys under which Exim finds the narrowest of these networks, all of
// one family, that an address is in: with a look-up for each halving of the lengths there
// are, instead of one for each length. (Waldvogel and others, Scalable High Speed IP
// Routing Lookups, SIGCOMM 1997.)
//
// It begins with the length in the middle. Where something stands under the address cut
// to a length, its value says at which longer one to go on, and what the narrowest network
// so far says: "/28:w". Either may be empty. So a key stands for each network, and for what
// leads to it. Where nothing stands, levels says at which shorter length to go on: of each
// step the words "/LENGTH=/SHORTER", the steps with ";" between. The first word begins with
// the length to begin with.
func networkKeys(says map[netip.Prefix]string) (keys map[netip.Prefix]string, levels string) {
	var lengths []int
	for p := range says {
		if !slices.Contains(lengths, p.Bits()) {
			lengths = append(lengths, p.Bits())
		}
	}
	slices.Sort(lengths)
	t := newLengthTree(lengths)

	onward := map[netip.Prefix]bool{} // something longer lies behind it
	for p := range says {
		for at := t.root; ; {
			cut := netip.PrefixFrom(p.Addr(), at).Masked()
			switch {
			case at > p.Bits():
				at = t.shorter[at]
				continue
			case at < p.Bits():
				onward[cut] = true
				at = t.longer[at]
				continue
			}
			if !onward[cut] {
				onward[cut] = false // there is such a key
			}
			break
		}
	}

	keys = make(map[netip.Prefix]string, len(onward))
	sorted := make([]netip.Prefix, 0, len(onward))
	for p := range onward {
		sorted = append(sorted, p)
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var around []netip.Prefix // networks that the next may lie in, the widest first
	for _, p := range sorted {
		for len(around) > 0 && !around[len(around)-1].Contains(p.Addr()) {
			around = around[:len(around)-1]
		}
		if says[p] != "" {
			around = append(around, p)
		}
		value := ":"
		if onward[p] {
			value = slashed(t.longer[p.Bits()]) + value
		}
		if len(around) > 0 {
			value += says[around[len(around)-1]]
		}
		keys[p] = value
	}
	return keys, t.levels()
}

// A lengthTree is in which order lengths of networks are tried.
type lengthTree struct {
	root            int
	longer, shorter map[int]int // which comes next; none: no key
	steps           [][]int     // the lengths that each step may be at
}

// newLengthTree is the tree of lengths that are sorted.
func newLengthTree(lengths []int) lengthTree {
	t := lengthTree{longer: map[int]int{}, shorter: map[int]int{}}
	var half func(ls []int, step int, next map[int]int, from int)
	half = func(ls []int, step int, next map[int]int, from int) {
		if len(ls) == 0 {
			return
		}
		mid := len(ls) / 2
		next[from] = ls[mid]
		if len(t.steps) == step {
			t.steps = append(t.steps, nil)
		}
		t.steps[step] = append(t.steps[step], ls[mid])
		half(ls[:mid], step+1, t.shorter, ls[mid])
		half(ls[mid+1:], step+1, t.longer, ls[mid])
	}
	root := map[int]int{}
	half(lengths, 0, root, 0)
	t.root = root[0]
	return t
}

// levels is the tree in words for Exim, which reads on behind a "=" that nothing stands
// after.
func (t lengthTree) levels() string {
	levels := []string{slashed(t.root) + "=" + t.next(t.root)}
	for _, step := range t.steps[1:] {
		words := []string{}
		for _, l := range step {
			if s := t.next(l); s != "" {
				words = append(words, slashed(l)+"="+s)
			}
		}
		if len(words) == 0 {
			words = append(words, "-")
		}
		levels = append(levels, strings.Join(words, " "))
	}
	return strings.Join(levels, ";")
}

func (t lengthTree) next(length int) string {
	if s, is := t.shorter[length]; is {
		return slashed(s)
	}
	return ""
}

func slashed(length int) string { return "/" + strconv.Itoa(length) }

// masked is a network as Exim's operator mask writes it (Exim specification, section
// 11.7): of IPv6 all eight groups, with dots between.
func masked(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.String()
	}
	b := p.Addr().As16()
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = fmt.Sprintf("%02x%02x", b[2*i], b[2*i+1])
	}
	return strings.Join(groups, ".") + "/" + strconv.Itoa(p.Bits())
}
